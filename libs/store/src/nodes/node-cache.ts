/**
 * A bounded cache of decoded nodes in front of the kv, paths known to be missing included. Two
 * generations: what is used moves to the young one; when that is full it becomes the old one, whose
 * leftovers go at once. It knows nothing of rows.
 */
import type { ByteString } from "../model/byte-string.ts";
import type { TreeNode } from "../tree/tree-node.ts";

/** What an entry costs besides its text. */
const ENTRY_OVERHEAD_BYTES = 200;

/** A node above this part of the cache is not kept: it would drive out too much. */
const LARGE_NODE_DIVISOR = 8;

function bytesOf(path: ByteString, node: TreeNode | null): number {
  return ENTRY_OVERHEAD_BYTES + path.length + (node?.value.length ?? 0);
}

/** Decoded nodes by path, up to a number of bytes; those not used lately go. */
export class NodeCache {
  #young = new Map<ByteString, TreeNode | null>();
  #old = new Map<ByteString, TreeNode | null>();
  #youngBytes = 0;
  readonly #generationBytesMax: number;
  readonly #nodeBytesMax: number;
  constructor(bytesMax: number) {
    this.#generationBytesMax = bytesMax / 2;
    this.#nodeBytesMax = bytesMax / LARGE_NODE_DIVISOR;
  }

  /** The node, null for a path known to be missing, undefined when nothing is known. */
  get(path: ByteString): TreeNode | null | undefined {
    const young = this.#young.get(path);
    if (young !== undefined) return young;
    const old = this.#old.get(path);
    if (old !== undefined) this.#insert(path, old, 0);
    return old;
  }

  /** Remembers a node, or with undefined that there is none. */
  set(path: ByteString, node: TreeNode | undefined): void {
    const kept = node ?? null;
    if (bytesOf(path, kept) > this.#nodeBytesMax) {
      this.delete(path);
      return;
    }
    const replaced = this.#young.get(path);
    this.#insert(path, kept, replaced === undefined ? 0 : bytesOf(path, replaced));
  }

  delete(path: ByteString): void {
    const young = this.#young.get(path);
    if (young !== undefined) {
      this.#youngBytes -= bytesOf(path, young);
      this.#young.delete(path);
    }
    this.#old.delete(path);
  }

  /** Forgets every path that begins with `prefix`. Costs O(entries). */
  deletePrefix(prefix: ByteString): void {
    for (const generation of [this.#young, this.#old]) {
      for (const path of generation.keys()) if (path.startsWith(prefix)) this.delete(path);
    }
  }

  #insert(path: ByteString, node: TreeNode | null, replacedBytes: number): void {
    this.#young.set(path, node);
    this.#youngBytes += bytesOf(path, node) - replacedBytes;
    if (this.#youngBytes <= this.#generationBytesMax) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngBytes = 0;
  }
}
