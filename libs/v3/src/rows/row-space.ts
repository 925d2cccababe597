/** The tree's view of a snapshot: reads come from its rows, writes are kept as a list of changes. */
import { type ByteString, type NodeSpace, RemovedNames, type TreeNode } from "@etcd2/store";
import { CLIENTS } from "../mapping/tree-rows.ts";

/** What the tree did to one path; undefined stands for a removal. */
export interface RowChange {
  readonly path: ByteString;
  readonly node: TreeNode | undefined;
  readonly previous: TreeNode | undefined;
}

export interface RowSource {
  /** The node at a path of clients, "/foo". */
  node(path: ByteString): TreeNode | undefined;
  /** Whether anything lies below the path that is written. */
  readonly hasChildren: boolean;
}

/** Names below a removed directory: watchers learn them from the watch, the writer needs none. */
const NOT_LISTED = new RemovedNames(undefined);

export class RowSpace implements NodeSpace {
  readonly changes: RowChange[] = [];
  readonly #source: RowSource;

  constructor(source: RowSource) {
    this.#source = source;
  }

  get(path: ByteString): TreeNode | undefined {
    return this.#source.node(path.slice(CLIENTS.length));
  }

  put(path: ByteString, node: TreeNode, previous: TreeNode | undefined): void {
    this.changes.push({ path: path.slice(CLIENTS.length), node, previous });
  }

  remove(path: ByteString, previous: TreeNode): void {
    this.changes.push({ path: path.slice(CLIENTS.length), node: undefined, previous });
  }

  hasChildren(): boolean {
    return this.#source.hasChildren;
  }

  removeBelow(): RemovedNames {
    return NOT_LISTED;
  }
}
