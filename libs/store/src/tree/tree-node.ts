/** One vertex of the v2 tree as it is stored. It does not know its own path. */
import type { ByteString } from "../model/byte-string.ts";

/** Immutable; caches share it. */
export class TreeNode {
  readonly dir: boolean;
  /** "" for directories. */
  readonly value: ByteString;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
  /** Unix milliseconds shown to clients; undefined is permanent. The same on every member. */
  readonly expirationMs: number | undefined;
  /** When this member deems it due, on its steady clock; undefined is permanent. Local. */
  readonly deadlineMs: number | undefined;
  constructor(
    dir: boolean,
    value: ByteString,
    createdIndex: number,
    modifiedIndex: number,
    expirationMs: number | undefined,
    deadlineMs: number | undefined,
  ) {
    this.dir = dir;
    this.value = value;
    this.createdIndex = createdIndex;
    this.modifiedIndex = modifiedIndex;
    this.expirationMs = expirationMs;
    this.deadlineMs = deadlineMs;
  }
}

/** The roots "", "/0" and "/1": they always exist and cannot be written. */
export const ROOT_NODE = new TreeNode(true, "", 0, 0, undefined, undefined);

/** Whether a path is one of the roots that exist from the start. */
export function isRoot(path: ByteString): boolean {
  return path.length <= 2 && (path === "/1" || path === "/0" || path === "");
}

/** Path of the directory that holds `path`; "" above the namespaces. */
export function parentPath(path: ByteString): ByteString {
  return path.slice(0, path.lastIndexOf("/"));
}
