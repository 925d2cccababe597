/**
 * Reads one segment and decides what damage means.
 *
 * The rule. A disk may lose, after a power cut, any part of what was written since the last
 * completed sync: later sectors may be there and earlier ones not. So bytes that do not verify say
 * nothing by themselves; what matters is whether they had been durable. Every batch record states
 * up to which offset its segment was durable when the batch was written, and can be recognised
 * without an intact chain before it. Therefore, with damage in a batch that begins at X:
 *
 *   - in a segment that has a successor: corruption. The successor was started after a sync.
 *   - a batch record later in the segment says "durable up to Y", Y > X: corruption. What stood at
 *     X was durable, may have been acknowledged, and is lost: the log must not be used.
 *   - none does: a torn tail. Nothing from X on was known to be durable; it is cut off.
 *
 * Damage of the medium in the very last durable batch cannot be told from a torn write, unless
 * the log was closed in good order: then an empty batch at the end vouches for all before it.
 *
 * Owns verification and decoding of batches. What the records mean is replay.ts's business.
 */
import { crc32 } from "node:zlib";
import type { FileHandle, FileSystem } from "../files/file-system.ts";
import {
  BATCH_BYTES_MAX,
  BATCH_MAGIC,
  BATCH_RECORD_BYTES,
  readBatchRecord,
  RECORD_HEADER_BYTES,
} from "./record.ts";
import { decodeSegmentStart, HEAD_OFFSET } from "./segment.ts";
import type { SegmentName } from "./segment.ts";

/** One record as it stands in a file, verified. */
export interface RawRecord {
  readonly offset: number;
  readonly type: number;
  /** A view into the bytes read; the reader does not write to them again. */
  readonly payload: Buffer;
}

/** A verified batch: the batch record first. */
export interface RawBatch {
  readonly offset: number;
  readonly end: number;
  /** Offset up to which the segment was durable before this batch. */
  readonly synced: number;
  readonly records: readonly RawRecord[];
}

/** Bytes that are neither a batch nor the zeros after the last one. */
export interface Damage {
  readonly kind: "tornTail" | "corruption";
  /** Where the damage was noticed: the offset of a record. */
  readonly offset: number;
  /** Where the batch begins that is damaged: a torn tail is cut here. */
  readonly batchOffset: number;
  readonly problem: string;
  /** The file says that it is of another format version, so it need not be damaged at all. */
  readonly isOtherVersion?: boolean;
}

/** What the next record of a segment is. */
export type ReadResult =
  | { readonly kind: "batch"; readonly batch: RawBatch }
  | { readonly kind: "end" }
  | { readonly kind: "damage"; readonly damage: Damage };

/** Bytes read at once. Entries are views into these buffers, which live as long as they do. */
const WINDOW_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(64 * 1024);

/** Reads the records of one segment in order. */
export class SegmentReader {
  readonly name: SegmentName;
  readonly size: number;
  /** The rolling crc after what was read last. */
  rollingCrc = 0;
  /** Where the next batch is expected. */
  offset = HEAD_OFFSET;
  readonly #fileSystem: FileSystem;
  readonly #file: FileHandle;
  readonly #isLast: boolean;
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;

  constructor(fileSystem: FileSystem, file: FileHandle, name: SegmentName, isLast: boolean) {
    this.#fileSystem = fileSystem;
    this.#file = file;
    this.#isLast = isLast;
    this.name = name;
    this.size = fileSystem.size(file);
  }

  /** Reads header and crc record, which give the chain its value. */
  readStart(): Damage | undefined {
    const start = decodeSegmentStart(this.#view(0, HEAD_OFFSET), this.name);
    if ("problem" in start) {
      return { kind: "corruption", offset: 0, batchOffset: 0, ...start };
    }
    this.rollingCrc = start.rollingCrc;
    return undefined;
  }

  /** Reads the next batch. After anything but a batch there is nothing more to read. */
  next(): ReadResult {
    const batchOffset = this.offset;
    const head = this.#view(batchOffset, BATCH_RECORD_BYTES);
    if (head.length < 4 || head.readUInt32LE(0) === 0) return this.#atEnd(batchOffset);
    const record = readBatchRecord(head, 0, this.name.sequence, batchOffset);
    if (record === undefined) return this.#damage(batchOffset, "no batch record where one is due");
    if (record.bytes < BATCH_RECORD_BYTES || record.bytes > BATCH_BYTES_MAX) {
      return this.#damage(batchOffset, `a batch of ${record.bytes} bytes`);
    }
    const bytes = this.#view(batchOffset, record.bytes);
    if (bytes.length < record.bytes) {
      return this.#damage(this.size, `the file ends in a batch of ${record.bytes} bytes`);
    }
    const records: RawRecord[] = [];
    let rollingCrc = this.rollingCrc;
    for (let at = 0; at < bytes.length;) {
      const offset = batchOffset + at;
      if (at + RECORD_HEADER_BYTES > bytes.length) {
        return this.#damage(offset, "a record is cut short by the end of its batch");
      }
      const end = at + 8 + bytes.readUInt32LE(at);
      if (end < at + RECORD_HEADER_BYTES || end > bytes.length) {
        return this.#damage(offset, "a record does not fit its batch");
      }
      rollingCrc = crc32(bytes.subarray(at + 8, end), rollingCrc);
      if (rollingCrc !== bytes.readUInt32LE(at + 4)) {
        return this.#damage(offset, "the checksum of a record is wrong");
      }
      const payload = bytes.subarray(at + RECORD_HEADER_BYTES, end);
      records.push({ offset, type: bytes[at + 8] ?? 0, payload });
      at = end;
    }
    this.rollingCrc = rollingCrc;
    this.offset = batchOffset + bytes.length;
    return {
      kind: "batch",
      batch: { offset: batchOffset, end: this.offset, synced: record.synced, records },
    };
  }

  /** The offset after the last byte that is not zero, at least `from`. */
  endOfContent(from: number): number {
    let position = this.size;
    while (position > from) {
      const start = Math.max(from, position - ZEROS.length);
      const bytes = this.#read(start, position - start);
      if (!bytes.equals(ZEROS.subarray(0, bytes.length))) {
        let end = bytes.length;
        while (bytes[end - 1] === 0) end -= 1;
        return start + end;
      }
      position = start;
    }
    return from;
  }

  #atEnd(offset: number): ReadResult {
    if (!this.#isLast) {
      if (offset === this.size) return { kind: "end" };
      return this.#damage(offset, "the data ends although another segment follows");
    }
    if (this.endOfContent(offset) === offset) return { kind: "end" };
    return this.#damage(offset, "zeros where a batch record is due, and data after them");
  }

  #damage(offset: number, problem: string): ReadResult {
    const batchOffset = this.offset;
    const isCorruption = !this.#isLast || this.#isKnownDurable(batchOffset);
    const kind = isCorruption ? "corruption" : "tornTail";
    return { kind: "damage", damage: { kind, offset, batchOffset, problem } };
  }

  /** Whether a batch after `offset` says that what stood there was durable. */
  #isKnownDurable(offset: number): boolean {
    // The head batch is durable before the segment has its name.
    if (offset === HEAD_OFFSET) return true;
    const overlap = BATCH_RECORD_BYTES - 1;
    for (let start = offset; start < this.size; start += WINDOW_BYTES - overlap) {
      const bytes = this.#read(start, Math.min(WINDOW_BYTES, this.size - start));
      for (let at = bytes.indexOf(BATCH_MAGIC); at >= 0; at = bytes.indexOf(BATCH_MAGIC, at + 1)) {
        const recordAt = at - RECORD_HEADER_BYTES;
        if (recordAt < 0) continue;
        const position = start + recordAt;
        const record = readBatchRecord(bytes, recordAt, this.name.sequence, position);
        if (record !== undefined && position > offset && record.synced > offset) return true;
      }
    }
    return false;
  }

  /** Up to `length` bytes at `offset`, fewer only at the end of the file. */
  #view(offset: number, length: number): Buffer {
    const end = Math.min(offset + length, this.size);
    if (offset < this.#windowStart || end > this.#windowStart + this.#window.length) {
      this.#windowStart = offset;
      this.#window = this.#read(offset, Math.max(length, WINDOW_BYTES));
    }
    return this.#window.subarray(offset - this.#windowStart, end - this.#windowStart);
  }

  #read(offset: number, length: number): Buffer {
    const buffer = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, this.size - offset)));
    return buffer.subarray(0, this.#fileSystem.read(this.#file, buffer, offset));
  }
}
