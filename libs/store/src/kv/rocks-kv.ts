/**
 * The ordered byte store on disk: RocksDB. The only file that knows the binding; it uses the
 * binding's synchronous calls, which run on the calling thread. It knows nothing of what the rows
 * mean.
 */
import { existsSync } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { RocksLevel } from "@nxtedition/rocksdb";
import { StoreError } from "../model/errors.ts";
import type { Kv, KvBatch, KvIterator, KvIteratorOptions, KvRange, KvRows } from "./kv.ts";

/** Settings of a database; all have defaults. */
export interface RocksKvOptions {
  /** Memory for data blocks read from disk, in bytes. */
  readonly blockCacheBytes?: number;
  /** Memory for rows not yet written to sorted files, in bytes, all buffers together. */
  readonly memtableBytes?: number;
  /** Refuse to open what is not there: damage that hides a database must not end in an empty one. */
  readonly mustExist?: boolean;
}

const BLOCK_CACHE_BYTES = 8 << 20;
const MEMTABLE_BYTES = 32 << 20;
/** One call of nextMany stops after this many bytes: a few huge values must not fill the memory. */
const ROWS_BYTES_MAX = 1 << 20;
const EMPTY = {};
const WRITE_SYNC = { sync: true } as const;
const WRITE_UNSYNCED = { sync: false } as const;

function storageError(what: string, cause: unknown): StoreError {
  const detail = innermostMessage(cause);
  const code = hasCode(cause, "LEVEL_LOCKED") ? "locked" : "storage";
  return new StoreError(code, `${what}: ${detail}`, { cause });
}

/** The binding reports the real reason as the cause of "Database is not open". */
function innermostMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : innermostMessage(error.cause);
}

function hasCode(error: unknown, code: string): boolean {
  if (!(error instanceof Error)) return false;
  return ("code" in error && error.code === code) || hasCode(error.cause, code);
}

/** The engine crashes the process when it is used after its end. */
function closedError(): StoreError {
  return new StoreError("closed", "the store is closed");
}

/** The native memory of a larger batch is not kept for the next one. */
const BATCH_REUSE_BYTES_MAX = 2 << 20;

class RocksKvBatch implements KvBatch {
  readonly #batch: ReturnType<RocksLevel["_chainedBatch"]>;
  readonly #written: (batch: RocksKvBatch) => void;
  #bytes = 0;
  length = 0;
  constructor(db: RocksLevel, written: (batch: RocksKvBatch) => void) {
    this.#batch = db._chainedBatch();
    // The database would hold on to every batch until it is closed by the public, slow call.
    db.detachResource(this.#batch);
    this.#written = written;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.length += 1;
    this.#bytes += key.length + value.length;
    this.#batch._put(key, value, EMPTY);
  }

  delete(key: Uint8Array): void {
    this.length += 1;
    this.#bytes += key.length;
    this.#batch._del(key, EMPTY);
  }

  write(options: { readonly sync: boolean }): void {
    try {
      this.#batch._writeSync(options.sync ? WRITE_SYNC : WRITE_UNSYNCED);
    } catch (error) {
      throw storageError("the store could not be written", error);
    }
    this.#batch._clear();
    if (this.#bytes <= BATCH_REUSE_BYTES_MAX) this.#written(this);
    else this.#batch._closeSync();
    this.#bytes = 0;
    this.length = 0;
  }
}

class RocksKvIterator implements KvIterator {
  readonly #iterator: ReturnType<RocksLevel["_iterator"]>;
  readonly #closed: (iterator: RocksKvIterator) => void;
  #open = true;
  constructor(
    db: RocksLevel,
    range: KvRange,
    keysOnly: boolean,
    closed: (iterator: RocksKvIterator) => void,
  ) {
    this.#closed = closed;
    this.#iterator = db._iterator({
      gte: range.from,
      lt: range.to,
      keyEncoding: "buffer",
      valueEncoding: "buffer",
      keys: true,
      values: !keysOnly,
      highWaterMarkBytes: ROWS_BYTES_MAX,
    });
    // As with batches; RocksKv knows which are open.
    db.detachResource(this.#iterator);
  }

  nextMany(rowsMax: number): KvRows {
    if (!this.#open) throw closedError();
    try {
      return this.#iterator._nextvSync(rowsMax, EMPTY).rows;
    } catch (error) {
      throw storageError("the store could not be read", error);
    }
  }

  seek(key: Uint8Array): void {
    if (!this.#open) throw closedError();
    try {
      this.#iterator._seekSync(key);
    } catch (error) {
      throw storageError("the store could not be read", error);
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#iterator._closeSync();
    this.#closed(this);
  }
}

/** An ordered byte store in a RocksDB directory. */
export class RocksKv implements Kv {
  readonly #db: RocksLevel;
  readonly #path: string;
  readonly #key: Uint8Array[] = [];
  readonly #iterators = new Set<RocksKvIterator>();
  /**
   * A written batch for the next to use: each has native memory, which goes only when the garbage
   * collector, who does not see it, finds the batch.
   */
  #freeBatch: RocksKvBatch | undefined;
  #open = true;
  /** Whether the database goes with this object: whoever attached to another's must never close it. */
  readonly #isOwner: boolean;
  private constructor(db: RocksLevel, path: string, isOwner: boolean) {
    this.#db = db;
    this.#path = path;
    this.#isOwner = isOwner;
  }

  /**
   * The database that another thread of this process has open, for reading. The owner must not close
   * it before this one is closed.
   * @param handle what the owner's `handle` gave.
   */
  static attach(handle: bigint): RocksKv {
    const db = new RocksLevel(handle, { keyEncoding: "buffer", valueEncoding: "buffer" });
    let failure: unknown;
    // Of what is open already it takes the parts at once.
    db._open({}, (error) => {
      failure = error ?? undefined;
    });
    if (failure !== undefined) throw storageError("the store could not be shared", failure);
    return new RocksKv(db, "", false);
  }

  /**
   * Opens the database in a directory, which is made if missing unless it must exist.
   * @throws StoreError locked, storage.
   */
  static async open(path: string, options: RocksKvOptions = {}): Promise<RocksKv> {
    const mustExist = options.mustExist === true;
    // The engine would leave a lock file, and even a folder, where it found no database.
    if (mustExist && !existsSync(join(path, "CURRENT"))) {
      throw new StoreError("storage", `there is no store at ${path}: its file CURRENT is missing`);
    }
    const db = new RocksLevel(path, {
      keyEncoding: "buffer",
      valueEncoding: "buffer",
    });
    try {
      await db.open({
        createIfMissing: !mustExist,
        compaction: "level",
        memtableMemoryBudget: options.memtableBytes ?? MEMTABLE_BYTES,
        cacheSize: options.blockCacheBytes ?? BLOCK_CACHE_BYTES,
        compression: false,
        walCompression: false,
        parallelism: 2,
      });
    } catch (error) {
      throw storageError(`the store at ${path} could not be opened`, error);
    }
    return new RocksKv(db, path, true);
  }

  /** Names the open database for attach() on another thread of this process. */
  get handle(): bigint {
    return this.#db.handle;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#key[0] = key;
    return this.getMany(this.#key)[0];
  }

  getMany(keys: readonly Uint8Array[]): readonly (Uint8Array | undefined)[] {
    if (!this.#open) throw closedError();
    try {
      // The binding yields null only with a limit on the size of values, which is not set.
      return this.#db._getManySync(keys, EMPTY) as (Uint8Array | undefined)[];
    } catch (error) {
      throw storageError("the store could not be read", error);
    }
  }

  batch(): KvBatch {
    if (!this.#open) throw closedError();
    const free = this.#freeBatch;
    this.#freeBatch = undefined;
    return free ?? new RocksKvBatch(this.#db, this.#keep);
  }

  iterator(range: KvRange, options: KvIteratorOptions = EMPTY): KvIterator {
    if (!this.#open) throw closedError();
    const keysOnly = options.keysOnly === true;
    const iterator = new RocksKvIterator(this.#db, range, keysOnly, this.#forget);
    this.#iterators.add(iterator);
    return iterator;
  }

  /** Syncs the engine's log files on the thread pool: its own synced write would block. */
  async prepareSync(): Promise<void> {
    for (const name of await readdir(this.#path)) {
      if (!name.endsWith(".log")) continue;
      try {
        const file = await open(join(this.#path, name), "r");
        await file.datasync().finally(() => file.close());
      } catch (error) {
        // The engine deletes logs it needs no more.
        if (!hasCode(error, "ENOENT")) throw storageError(`${name} could not be synced`, error);
      }
    }
  }

  approximateSizeBytes(): number {
    if (!this.#open) return 0;
    const files = Number(this.#db.getProperty("rocksdb.live-sst-files-size"));
    const memory = Number(this.#db.getProperty("rocksdb.cur-size-all-mem-tables"));
    return files + memory;
  }

  /** A number of the engine, such as "rocksdb.estimate-num-keys"; "" where unknown. */
  property(name: string): string {
    if (!this.#open) throw closedError();
    return this.#db.getProperty(name);
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    for (const iterator of this.#iterators) iterator.close();
    if (this.#isOwner) await this.#db.close();
  }

  readonly #keep = (batch: RocksKvBatch): void => {
    this.#freeBatch = batch;
  };

  readonly #forget = (iterator: RocksKvIterator): void => {
    this.#iterators.delete(iterator);
  };
}
