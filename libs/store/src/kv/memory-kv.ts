/**
 * The in-memory twin of the ordered byte store, for tests and tools. Rows lie in sorted blocks
 * that are copied on write once an iterator shares them, so that iterators keep their snapshot.
 * It keeps nothing on disk.
 */
import { StoreError } from "../model/errors.ts";
import type { Kv, KvBatch, KvIterator, KvRange, KvRows } from "./kv.ts";

const BLOCK_ROWS_MAX = 64;

interface Block {
  /** Only the generation that made a block may change it. */
  generation: number;
  keys: Buffer[];
  values: Buffer[];
}

interface Operation {
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

/** Index of the first key >= `key` in a sorted array. */
function lowerBound(keys: readonly Buffer[], key: Uint8Array): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const candidate = keys[middle];
    if (candidate !== undefined && candidate.compare(key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the block that holds `key` or would: the last whose first key is <= `key`. */
function blockIndex(blocks: readonly Block[], key: Uint8Array): number {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const first = blocks[middle]?.keys[0];
    if (first !== undefined && first.compare(key) <= 0) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

class MemoryBatch implements KvBatch {
  readonly #operations: Operation[] = [];
  readonly #apply: (operations: readonly Operation[]) => void;
  constructor(apply: (operations: readonly Operation[]) => void) {
    this.#apply = apply;
  }

  get length(): number {
    return this.#operations.length;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#operations.push({ key: Buffer.from(key), value: Buffer.from(value) });
  }

  delete(key: Uint8Array): void {
    this.#operations.push({ key: Buffer.from(key), value: undefined });
  }

  write(): void {
    this.#apply(this.#operations);
    this.#operations.length = 0;
  }
}

class MemoryIterator implements KvIterator {
  #blocks: readonly Block[];
  readonly #to: Uint8Array;
  #block = 0;
  #row = 0;
  readonly #mustBeOpen: () => void;
  constructor(blocks: readonly Block[], range: KvRange, mustBeOpen: () => void) {
    this.#blocks = blocks;
    this.#to = range.to;
    this.#mustBeOpen = mustBeOpen;
    this.seek(range.from);
  }

  nextMany(rowsMax: number): KvRows {
    this.#mustBeOpen();
    const rows: Uint8Array[] = [];
    while (rows.length < rowsMax * 2) {
      const block = this.#blocks[this.#block];
      if (block === undefined) break;
      const key = block.keys[this.#row];
      const value = block.values[this.#row];
      if (key === undefined || value === undefined) {
        this.#block += 1;
        this.#row = 0;
        continue;
      }
      if (key.compare(this.#to) >= 0) break;
      rows.push(key, value);
      this.#row += 1;
    }
    return rows;
  }

  seek(key: Uint8Array): void {
    this.#block = blockIndex(this.#blocks, key);
    this.#row = lowerBound(this.#blocks[this.#block]?.keys ?? [], key);
  }

  close(): void {
    this.#blocks = [];
  }
}

/** An ordered byte store in memory. */
export class MemoryKv implements Kv {
  #blocks: Block[] = [];
  #generation = 0;
  #shared = false;
  #sizeBytes = 0;
  #open = true;

  get(key: Uint8Array): Uint8Array | undefined {
    this.#mustBeOpen();
    const block = this.#blocks[blockIndex(this.#blocks, key)];
    if (block === undefined) return undefined;
    const row = lowerBound(block.keys, key);
    return block.keys[row]?.equals(key) === true ? block.values[row] : undefined;
  }

  getMany(keys: readonly Uint8Array[]): readonly (Uint8Array | undefined)[] {
    return keys.map((key) => this.get(key));
  }

  batch(): KvBatch {
    this.#mustBeOpen();
    return new MemoryBatch((operations) => {
      this.#unshare();
      for (const { key, value } of operations) {
        if (value === undefined) this.#delete(key);
        else this.#put(key, value);
      }
    });
  }

  iterator(range: KvRange): KvIterator {
    this.#mustBeOpen();
    this.#shared = true;
    return new MemoryIterator(this.#blocks, range, () => {
      this.#mustBeOpen();
    });
  }

  prepareSync(): Promise<void> {
    return Promise.resolve();
  }

  approximateSizeBytes(): number {
    return this.#open ? this.#sizeBytes : 0;
  }

  close(): Promise<void> {
    this.#open = false;
    return Promise.resolve();
  }

  /** An independent store with the same rows: what a crash right now would leave behind. */
  fork(): MemoryKv {
    const copy = new MemoryKv();
    this.#shared = true;
    copy.#blocks = this.#blocks;
    copy.#shared = true;
    copy.#generation = this.#generation;
    copy.#sizeBytes = this.#sizeBytes;
    return copy;
  }

  #mustBeOpen(): void {
    if (!this.#open) throw new StoreError("closed", "the store is closed");
  }

  #unshare(): void {
    if (!this.#shared) return;
    this.#shared = false;
    this.#generation += 1;
    this.#blocks = [...this.#blocks];
  }

  #ownBlock(index: number): Block {
    const block = this.#blocks[index];
    if (block?.generation === this.#generation) return block;
    const copy: Block = {
      generation: this.#generation,
      keys: [...(block?.keys ?? [])],
      values: [...(block?.values ?? [])],
    };
    this.#blocks[index] = copy;
    return copy;
  }

  #put(key: Buffer, value: Buffer): void {
    const index = blockIndex(this.#blocks, key);
    const block = this.#ownBlock(index);
    const row = lowerBound(block.keys, key);
    const old = block.values[row];
    if (old !== undefined && block.keys[row]?.equals(key) === true) {
      this.#sizeBytes += value.length - old.length;
      block.values[row] = value;
      return;
    }
    this.#sizeBytes += key.length + value.length;
    block.keys.splice(row, 0, key);
    block.values.splice(row, 0, value);
    if (block.keys.length <= BLOCK_ROWS_MAX) return;
    const half = BLOCK_ROWS_MAX / 2;
    this.#blocks.splice(index + 1, 0, {
      generation: this.#generation,
      keys: block.keys.splice(half),
      values: block.values.splice(half),
    });
  }

  #delete(key: Buffer): void {
    const index = blockIndex(this.#blocks, key);
    const found = this.#blocks[index];
    if (found === undefined) return;
    const row = lowerBound(found.keys, key);
    if (found.keys[row]?.equals(key) !== true) return;
    const block = this.#ownBlock(index);
    this.#sizeBytes -= key.length + (block.values[row]?.length ?? 0);
    block.keys.splice(row, 1);
    block.values.splice(row, 1);
    if (block.keys.length === 0) this.#blocks.splice(index, 1);
  }
}
