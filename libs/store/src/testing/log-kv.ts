/**
 * The twin of the ordered byte store on disk, for simulations: the rows are in memory, each batch is one
 * record of a log file, read again when the store is opened. It keeps after a crash what the
 * engine keeps: all batches up to the last synced one, and then some of those that follow, without a
 * gap. Works over node:fs with synchronous calls alone, so that a simulated disk can stand in.
 */
import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { makeDirectories } from "../disk/make-directories.ts";
import { syncPath } from "../disk/sync.ts";
import type { Kv, KvBatch, KvIterator, KvRange } from "../kv/kv.ts";
import { MemoryKv } from "../kv/memory-kv.ts";
import { StoreError } from "../model/errors.ts";

const fdatasyncOnPool = promisify(fdatasync);

/** Length and checksum of what follows. */
const HEAD_BYTES = 8;
/** Stands for the length of the value of a deleted row. */
const DELETED = 0xffffffff;
const LOG_NAME = "000001.log";
const CURRENT_NAME = "CURRENT";

/** An ordered byte store in a directory, for simulations. */
export class LogKv implements Kv {
  readonly #rows: MemoryKv;
  readonly #file: number;
  #end: number;
  #isOpen = true;
  /** A log that could not be written takes nothing more. */
  #failure: StoreError | undefined;

  private constructor(rows: MemoryKv, file: number, end: number) {
    this.#rows = rows;
    this.#file = file;
    this.#end = end;
  }

  /**
   * Opens the store in a directory, which is made unless it must exist.
   * @throws StoreError storage.
   */
  static open(path: string, options: { readonly mustExist?: boolean } = {}): Promise<LogKv> {
    return new Promise((resolve) => {
      resolve(openLog(path, options.mustExist === true, (...parts) => new LogKv(...parts)));
    });
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(key);
  }

  getMany(keys: readonly Uint8Array[]): readonly (Uint8Array | undefined)[] {
    return this.#rows.getMany(keys);
  }

  batch(): KvBatch {
    return new LogBatch(this.#rows.batch(), (record, isSynced) => {
      this.#append(record, isSynced);
    });
  }

  iterator(range: KvRange): KvIterator {
    return this.#rows.iterator(range);
  }

  async prepareSync(): Promise<void> {
    const isOpen = (): boolean => this.#isOpen;
    if (!isOpen()) return;
    try {
      await fdatasyncOnPool(this.#file);
    } catch (error) {
      if (isOpen()) throw storageError("the log could not be synced", error);
    }
  }

  approximateSizeBytes(): number {
    return this.#isOpen ? this.#rows.approximateSizeBytes() : 0;
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#rows.close();
    closeSync(this.#file);
  }

  #append(record: Buffer, isSynced: boolean): void {
    if (!this.#isOpen) throw new StoreError("closed", "the store is closed");
    if (this.#failure !== undefined) throw this.#failure;
    try {
      writeSync(this.#file, record, 0, record.length, this.#end);
      this.#end += record.length;
      if (isSynced) fdatasyncSync(this.#file);
    } catch (error) {
      this.#failure = storageError("the store could not be written", error);
      throw this.#failure;
    }
  }
}

class LogBatch implements KvBatch {
  readonly #batch: KvBatch;
  readonly #append: (record: Buffer, isSynced: boolean) => void;
  #parts: Buffer[] = [];

  constructor(batch: KvBatch, append: (record: Buffer, isSynced: boolean) => void) {
    this.#batch = batch;
    this.#append = append;
  }

  get length(): number {
    return this.#batch.length;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#batch.put(key, value);
    this.#row(key, value);
  }

  delete(key: Uint8Array): void {
    this.#batch.delete(key);
    this.#row(key, undefined);
  }

  write(options: { readonly sync: boolean }): void {
    const body = Buffer.concat(this.#parts);
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(body.length, 0);
    head.writeUInt32LE(crc32(body), 4);
    this.#append(Buffer.concat([head, body]), options.sync);
    this.#parts = [];
    this.#batch.write(options);
  }

  #row(key: Uint8Array, value: Uint8Array | undefined): void {
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32LE(key.length, 0);
    lengths.writeUInt32LE(value?.length ?? DELETED, 4);
    this.#parts.push(lengths, Buffer.from(key));
    if (value !== undefined) this.#parts.push(Buffer.from(value));
  }
}

function openLog(
  path: string,
  mustExist: boolean,
  make: (rows: MemoryKv, file: number, end: number) => LogKv,
): LogKv {
  const current = join(path, CURRENT_NAME);
  const log = join(path, LOG_NAME);
  if (!existsSync(current)) {
    if (mustExist) {
      throw new StoreError("storage", `there is no store at ${path}: its file CURRENT is missing`);
    }
    makeDirectories(path);
    for (const name of [log, current]) {
      writeFileSync(name, "");
      syncPath(name);
    }
    syncPath(path);
    syncPath(dirname(path));
  }
  const rows = new MemoryKv();
  try {
    const end = replay(readFileSync(log), rows);
    const file = openSync(log, "r+");
    // What follows was torn.
    ftruncateSync(file, end);
    return make(rows, file, end);
  } catch (error) {
    throw storageError(`the store at ${path} could not be opened`, error);
  }
}

/** @returns Where the last whole record ends. */
function replay(bytes: Buffer, rows: MemoryKv): number {
  let at = 0;
  while (at + HEAD_BYTES <= bytes.length) {
    const length = bytes.readUInt32LE(at);
    const body = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
    if (length === 0 || body.length < length || crc32(body) !== bytes.readUInt32LE(at + 4)) break;
    replayRecord(body, rows);
    at += HEAD_BYTES + length;
  }
  return at;
}

function replayRecord(body: Buffer, rows: MemoryKv): void {
  const batch = rows.batch();
  for (let at = 0; at < body.length;) {
    const keyLength = body.readUInt32LE(at);
    const valueLength = body.readUInt32LE(at + 4);
    const key = body.subarray(at + 8, at + 8 + keyLength);
    at += 8 + keyLength;
    if (valueLength === DELETED) batch.delete(key);
    else {
      batch.put(key, body.subarray(at, at + valueLength));
      at += valueLength;
    }
  }
  batch.write({ sync: false });
}

function storageError(what: string, cause: unknown): StoreError {
  const detail = cause instanceof Error ? cause.message : String(cause);
  return new StoreError("storage", `${what}: ${detail}`, { cause });
}
