/**
 * A set of paths that knows what lies below each: finding and taking a subtree costs what is in it,
 * not the size of the set. Used for the nodes of one batch, which no iterator of the kv sees yet.
 */
import type { ByteString } from "../model/byte-string.ts";
import { parentPath } from "../tree/tree-node.ts";

/** The set; paths begin with a slash. */
export class PathSet {
  /** Below each path its children: members, and what leads to members. */
  readonly #children = new Map<ByteString, Set<ByteString>>();

  add(path: ByteString): void {
    for (let child = path; child !== ""; child = parentPath(child)) {
      const parent = parentPath(child);
      const siblings = this.#children.get(parent);
      if (siblings?.has(child) === true) return;
      if (siblings === undefined) this.#children.set(parent, new Set([child]));
      else siblings.add(child);
    }
  }

  /** Takes out one path; what lies below it stays known below what is above it. */
  delete(path: ByteString): void {
    if (this.#children.has(path)) return;
    const parent = parentPath(path);
    const siblings = this.#children.get(parent);
    siblings?.delete(path);
    if (siblings?.size === 0) this.#children.delete(parent);
  }

  /** All below a path, with those that only lead to members; parents come before their children. */
  *below(path: ByteString): Generator<ByteString, undefined> {
    const pending = [path];
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      for (const child of this.#children.get(at) ?? []) {
        yield child;
        pending.push(child);
      }
    }
  }

  /** Takes out all below a path. */
  takeBelow(path: ByteString): readonly ByteString[] {
    const taken = [...this.below(path)];
    for (const one of taken) this.#children.delete(one);
    this.#children.delete(path);
    return taken;
  }
}
