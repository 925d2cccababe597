/**
 * Reading a write-ahead log of etcd 2.x or 3.x, record by record over all its files: the checksum
 * chain, the order of records, torn and preallocated tails. Reads one record at a time. What the
 * entries mean and which of them count is for others (wal-scan.ts, ../replay).
 */
import { crc32c } from "../crc32c.ts";
import { MigrateError } from "../errors.ts";
import { FileCursor, isZero } from "../io/file-cursor.ts";
import { decodeAt, placed } from "../io/format-error.ts";
import type { TailDamage } from "../tail.ts";
import type { Envelope, Frame } from "./records.ts";
import {
  decodeEnvelope,
  decodeFrame,
  ENVELOPE_BYTES_MAX,
  LENGTH_BYTES,
  RECORD_TYPE,
} from "./records.ts";
import type { Segment } from "./segments.ts";

/** Disks write whole sectors: a torn record has at least one that never arrived. */
const SECTOR_BYTES = 512;

export interface WalRecord {
  readonly type: number;
  /** Valid until the next record is read. */
  readonly data: Buffer;
  readonly file: string;
  readonly offset: number;
}

export interface WalReaderOptions {
  /** Off for a second reading of what has been checked already. */
  readonly verify: boolean;
}

/** Reads the records of several segments as one stream. */
export class WalReader {
  readonly #segments: readonly Segment[];
  readonly #verify: boolean;
  #cursor: FileCursor | undefined;
  #segmentIndex = -1;
  /** True until the first record of the current segment has been read. */
  #atSegmentStart = true;
  #crc: number | undefined;
  #bytesBefore = 0;
  /** How the newest file ended, once next() has returned undefined. */
  tail: TailDamage | undefined;

  constructor(segments: readonly Segment[], options: WalReaderOptions) {
    this.#segments = segments;
    this.#verify = options.verify;
  }

  /** Bytes of log passed so far, for progress. */
  get bytesRead(): number {
    return this.#bytesBefore + (this.#cursor?.position ?? 0);
  }

  /** Number of files begun. */
  get segmentsBegun(): number {
    return this.#segmentIndex + 1;
  }

  /**
   * The next record other than checksum records; undefined at the end.
   * @throws MigrateError "corrupt" with file and offset.
   */
  next(): WalRecord | undefined {
    for (;;) {
      if (this.#cursor === undefined && !this.#openNext()) return undefined;
      const record = this.#read();
      if (record === undefined) {
        this.#closeSegment();
        continue;
      }
      if (record.type !== RECORD_TYPE.crc) return record;
    }
  }

  close(): void {
    this.#cursor?.close();
    this.#cursor = undefined;
    this.#segmentIndex = this.#segments.length;
  }

  #openNext(): boolean {
    const segment = this.#segments[this.#segmentIndex + 1];
    if (segment === undefined) return false;
    this.#segmentIndex++;
    this.#atSegmentStart = true;
    this.#cursor = new FileCursor(segment.path);
    return true;
  }

  #closeSegment(): void {
    this.#bytesBefore += this.#cursor?.size ?? 0;
    this.#cursor?.close();
    this.#cursor = undefined;
  }

  get #isNewest(): boolean {
    return this.#segmentIndex === this.#segments.length - 1;
  }

  /** One record of the current segment, undefined at its end. */
  #read(): WalRecord | undefined {
    const cursor = this.#openCursor();
    const offset = cursor.position;
    const file = cursor.path;
    if (cursor.remaining === 0) return this.#segmentEnd(cursor);
    const start = cursor.peek(LENGTH_BYTES + ENVELOPE_BYTES_MAX);
    if (start.length < LENGTH_BYTES) return this.#cut(cursor, offset);
    const frame = decodeAt(file, offset, () => decodeFrame(start));
    if (frame === undefined) return this.#unused(cursor, offset);
    try {
      const available = start.subarray(
        LENGTH_BYTES,
        LENGTH_BYTES + Math.min(frame.length, start.length - LENGTH_BYTES),
      );
      const envelope = decodeEnvelope(available, frame.length);
      if (cursor.remaining < LENGTH_BYTES + frame.length) return this.#cut(cursor, offset);
      if (envelope === undefined) throw damaged("unreadable record", file, offset);
      return this.#body(cursor, offset, frame, envelope);
    } catch (error) {
      if (this.#isTorn(cursor, offset, frame)) return this.#tornSector(cursor, offset);
      throw placed(error, file, offset);
    }
  }

  #body(cursor: FileCursor, offset: number, frame: Frame, envelope: Envelope): WalRecord {
    const file = cursor.path;
    cursor.seek(offset + LENGTH_BYTES);
    const record = cursor.take(frame.length);
    cursor.seek(Math.min(offset + LENGTH_BYTES + frame.length + frame.padding, cursor.size));
    const data = record.subarray(envelope.dataStart);
    this.#check(envelope, data, file, offset);
    if (this.#atSegmentStart && envelope.type !== RECORD_TYPE.crc) {
      throw damaged("the file does not begin with a checksum record", file, offset);
    }
    this.#atSegmentStart = false;
    return { type: envelope.type, data, file, offset };
  }

  #check(envelope: Envelope, data: Buffer, file: string, offset: number): void {
    if (!this.#verify) return;
    if (envelope.type === RECORD_TYPE.crc) {
      // The first checksum record read starts the chain; later ones repeat what it reached.
      if (this.#crc !== undefined && this.#crc !== envelope.crc) {
        throw damaged("the checksum chain is broken here (crc mismatch)", file, offset);
      }
      this.#crc = envelope.crc;
      return;
    }
    if (this.#crc === undefined) throw damaged("no checksum record precedes", file, offset);
    this.#crc = crc32c(data, this.#crc);
    if (this.#crc !== envelope.crc) {
      throw damaged("the record's checksum does not match (crc mismatch)", file, offset);
    }
  }

  /** A file without records is what a crash right after its creation leaves. */
  #segmentEnd(cursor: FileCursor): WalRecord | undefined {
    if (this.#atSegmentStart && !this.#isNewest) {
      throw damaged("the file is empty, but newer log files follow", cursor.path, 0);
    }
    return undefined;
  }

  /** Zeros to the end are preallocated space; anything behind them is damage. */
  #unused(cursor: FileCursor, offset: number): WalRecord | undefined {
    if (!cursor.isZeroFrom(offset)) {
      throw damaged("an empty record, but more data follows", cursor.path, offset);
    }
    if (this.#isNewest && !isPreallocated(cursor.size)) {
      this.tail = {
        file: cursor.path,
        offset,
        bytes: cursor.size - offset,
        kind: "zeroFilled",
      };
    }
    cursor.seek(cursor.size);
    return undefined;
  }

  #cut(cursor: FileCursor, offset: number): WalRecord | undefined {
    if (!this.#isNewest) {
      throw damaged(
        "the last record is cut short, but newer log files follow",
        cursor.path,
        offset,
      );
    }
    this.tail = { file: cursor.path, offset, bytes: cursor.size - offset, kind: "cutShort" };
    cursor.seek(cursor.size);
    return undefined;
  }

  #tornSector(cursor: FileCursor, offset: number): WalRecord | undefined {
    this.tail = { file: cursor.path, offset, bytes: cursor.size - offset, kind: "cutShort" };
    cursor.seek(cursor.size);
    return undefined;
  }

  /**
   * A record that failed its checks in the newest file, with a sector of zeros inside and nothing
   * but zeros behind it, was being written when the machine stopped.
   */
  #isTorn(cursor: FileCursor, offset: number, frame: Frame): boolean {
    if (!this.#isNewest) return false;
    const end = offset + LENGTH_BYTES + frame.length;
    if (end > cursor.size || !cursor.isZeroFrom(end)) return false;
    cursor.seek(offset);
    const bytes = cursor.peek(end - offset);
    for (let from = 0; from < bytes.length;) {
      const to = Math.min(bytes.length, from + SECTOR_BYTES - ((offset + from) % SECTOR_BYTES));
      if (isZero(bytes.subarray(from, to))) return true;
      from = to;
    }
    return false;
  }

  #openCursor(): FileCursor {
    if (this.#cursor === undefined) throw new Error("no segment is open");
    return this.#cursor;
  }
}

/** 3.x makes its files 64,000,000 bytes long and fills them with zeros. */
function isPreallocated(sizeBytes: number): boolean {
  return sizeBytes % 64_000_000 === 0 || sizeBytes % (64 * 1024 * 1024) === 0;
}

function damaged(problem: string, file: string, offset: number): MigrateError {
  return new MigrateError("corrupt", problem, {
    file,
    offset,
    remedy: "take the data directory of another member, or --skip-corrupt for what precedes",
  });
}
