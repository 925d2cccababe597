/** What the tree needs of the rows below it. node-table.ts implements it over the kv. */
import type { ByteString } from "../model/byte-string.ts";
import type { RemovedNames } from "./recorded-event.ts";
import type { TreeNode } from "./tree-node.ts";

/** The nodes by path. */
export interface NodeSpace {
  /** The node at a path other than a root; undefined when there is none. */
  get(path: ByteString): TreeNode | undefined;
  /** Stores a node; `previous` is what get() gave for the path. */
  put(path: ByteString, node: TreeNode, previous: TreeNode | undefined): void;
  /** Removes one node; `previous` is what get() gave. What lies below is not touched. */
  remove(path: ByteString, previous: TreeNode): void;
  /** Whether a directory holds anything, hidden or not. */
  hasChildren(path: ByteString): boolean;
  /** Removes all nodes below a directory, which were all created before `etcdIndex`. */
  removeBelow(path: ByteString, etcdIndex: number): RemovedNames;
}
