/**
 * The port of an ordered byte store: point reads, atomic batches, and iterators that each see one
 * snapshot. Keys order by their bytes. It knows nothing of nodes, events or raft. memory-kv.ts and
 * rocks-kv.ts implement it; one suite of tests runs over both.
 */

/** Rows in pairs: key, value, key, value... */
export type KvRows = readonly Uint8Array[];

/** Keys from `from` up to, but without, `to`. */
export interface KvRange {
  /** First key of the range (inclusive). */
  readonly from: Uint8Array;
  /** End of the range (exclusive). */
  readonly to: Uint8Array;
}

/** Settings of a cursor; all have defaults. */
export interface KvIteratorOptions {
  /** The places of the values in the rows then hold nothing that may be used. */
  readonly keysOnly?: boolean;
}

/** A cursor over the store as it was when the cursor was opened. */
export interface KvIterator {
  /** Up to `rowsMax` further rows in key order; empty at the end of the range. */
  nextMany(rowsMax: number): KvRows;
  /** Continues at the first key >= `key`. Must lie within the range. */
  seek(key: Uint8Array): void;
  /** Idempotent. */
  close(): void;
}

/**
 * Writes that take effect together. Bytes given to put and delete are copied before they return,
 * so that callers can reuse their buffers. A later operation on a key replaces an earlier one.
 */
export interface KvBatch {
  put(key: Uint8Array, value: Uint8Array): void;
  delete(key: Uint8Array): void;
  /** Operations so far. */
  readonly length: number;
  /**
   * Applies all operations atomically and ends the batch. With `sync` it returns only after this
   * and every earlier batch is durable.
   * @throws StoreError storage when the store cannot take it, closed when it is closed.
   */
  write(options: { readonly sync: boolean }): void;
}

/** An ordered byte store. */
export interface Kv {
  /** The value, owned by the caller, or undefined. */
  get(key: Uint8Array): Uint8Array | undefined;
  /** As get for each key, in one call. */
  getMany(keys: readonly Uint8Array[]): readonly (Uint8Array | undefined)[];
  /** A batch to fill and write; one that is not written costs memory until it is collected. */
  batch(): KvBatch;
  iterator(range: KvRange, options?: KvIteratorOptions): KvIterator;
  /**
   * Brings what was written so far towards the disk without holding up this thread, so that a synced
   * write soon after has little left to do. Promises nothing by itself.
   */
  prepareSync(): Promise<void>;
  /** Rough number of bytes on disk or in memory; 0 where unknown. */
  approximateSizeBytes(): number;
  /** Idempotent. Whatever is used afterwards throws StoreError closed. */
  close(): Promise<void>;
}
