/**
 * A bounded cache of decoded nodes in front of the kv, paths known to be missing included. Evicts
 * by second chance: an entry used since the last look stays. It knows nothing of rows.
 */
import type { ByteString } from "./command.ts";
import type { TreeNode } from "./tree/tree-node.ts";

/** What an entry costs besides its text. */
const ENTRY_OVERHEAD_BYTES = 240;

class CacheEntry {
  node: TreeNode | undefined;
  used = false;
  bytes: number;
  constructor(node: TreeNode | undefined, bytes: number) {
    this.node = node;
    this.bytes = bytes;
  }
}

export class NodeCache {
  readonly #entries = new Map<ByteString, CacheEntry>();
  readonly #bytesMax: number;
  #bytes = 0;
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The node, null for a path known to be missing, undefined when nothing is known. */
  get(path: ByteString): TreeNode | null | undefined {
    const entry = this.#entries.get(path);
    if (entry === undefined) return undefined;
    entry.used = true;
    return entry.node ?? null;
  }

  /** Remembers a node, or with undefined that there is none. */
  set(path: ByteString, node: TreeNode | undefined): void {
    const bytes = ENTRY_OVERHEAD_BYTES + path.length + (node?.value.length ?? 0);
    const entry = this.#entries.get(path);
    // One huge value must not drive out everything else.
    if (bytes > this.#bytesMax / 8) {
      this.delete(path);
      return;
    }
    if (entry === undefined) {
      this.#entries.set(path, new CacheEntry(node, bytes));
      this.#bytes += bytes;
    } else {
      this.#bytes += bytes - entry.bytes;
      entry.node = node;
      entry.bytes = bytes;
    }
    if (this.#bytes > this.#bytesMax) this.#evict();
  }

  delete(path: ByteString): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    this.#entries.delete(path);
    this.#bytes -= entry.bytes;
  }

  /** Forgets every path that begins with `prefix`. Costs O(entries). */
  deletePrefix(prefix: ByteString): void {
    for (const path of this.#entries.keys()) if (path.startsWith(prefix)) this.delete(path);
  }

  /** Entries are in the order of their last look; each look spares those used since. */
  #evict(): void {
    for (const [path, entry] of this.#entries) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#entries.delete(path);
      if (entry.used) {
        entry.used = false;
        this.#entries.set(path, entry);
      } else {
        this.#bytes -= entry.bytes;
      }
    }
  }
}
