/**
 * One file of the write-ahead log: its name, its header, and the writing end.
 *
 *     <sequence, 16 hex digits>-<first index, 16 hex digits>.wal
 *
 * Sequences count up without gaps. "First index" is the index after the last entry at the time the
 * segment was started: a log that begins there, or later, needs no earlier segment (entries from
 * that index on can only have been written after it). A segment holds
 *
 *     header     magic 8 | version u32 | sequence u64 | first index u64 | crc u32
 *     crc record the rolling crc at the end of the segment before: here the chain goes on
 *     head batch metadata, hard state and compaction marker as of the start of the segment
 *     batches    see record.ts
 *     zeros      up to the size the file was extended to, only in the last segment
 *
 * and appears under its name only when header, crc record and head batch are durable.
 */
import { crc32 } from "node:zlib";
import { join } from "node:path";
import type { Index } from "../../core/model/types.ts";
import type { FileHandle, FileSystem } from "../files/file-system.ts";
import { encodeRecord, RECORD_HEADER_BYTES, RECORD_TYPE } from "./record.ts";

const MAGIC = Buffer.from("ETCD2WAL", "latin1");
/** Version of the format as a whole: of the header, the records and their payloads. */
const VERSION = 1;
const HEADER_BYTES = 32;
/** Where the head batch begins. */
export const HEAD_OFFSET = HEADER_BYTES + RECORD_HEADER_BYTES + 4;
/** Files grow by this part of a segment, so that hardly any sync has to record a new size. */
const EXTENTS = 16;

/** Where segments are kept, and how large they may become. */
export interface SegmentStore {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  /** A segment this large is followed by another. */
  readonly segmentBytes: number;
}
const NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/;

/** What the name of a segment says. */
export interface SegmentName {
  readonly file: string;
  readonly sequence: number;
  readonly firstIndex: Index;
}

/** The file name of a segment; both numbers are positive safe integers. */
export function segmentName(sequence: number, firstIndex: Index): SegmentName {
  return { file: `${hex16(sequence)}-${hex16(firstIndex)}.wal`, sequence, firstIndex };
}

/** The segments in a directory, by sequence; other files are passed over. */
export function listSegments(fileSystem: FileSystem, directory: string): SegmentName[] {
  const segments: SegmentName[] = [];
  for (const file of fileSystem.readDirectory(directory)) {
    const match = NAME.exec(file);
    if (match === null) continue;
    const [, sequence = "", firstIndex = ""] = match;
    segments.push({
      file,
      sequence: Number.parseInt(sequence, 16),
      firstIndex: Number.parseInt(firstIndex, 16),
    });
  }
  return segments.sort((a, b) => a.sequence - b.sequence || a.firstIndex - b.firstIndex);
}

/** Header and crc record; the chain goes on from `rollingCrc` after them. */
export function encodeSegmentStart(name: SegmentName, rollingCrc: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, 8);
  header.writeBigUInt64LE(BigInt(name.sequence), 12);
  header.writeBigUInt64LE(BigInt(name.firstIndex), 20);
  header.writeUInt32LE(crc32(header.subarray(0, 28)), 28);
  const value = Buffer.alloc(4);
  value.writeUInt32LE(rollingCrc);
  return Buffer.concat([header, encodeRecord(RECORD_TYPE.crc, value, 0).bytes]);
}

/** What is wrong with the start of a segment, or the rolling crc it begins with. */
export function decodeSegmentStart(
  bytes: Buffer,
  name: SegmentName,
):
  | { readonly problem: string; readonly isOtherVersion?: boolean }
  | { readonly rollingCrc: number } {
  if (bytes.length < HEAD_OFFSET) return { problem: "the file is too short for its header" };
  if (!bytes.subarray(0, 8).equals(MAGIC)) return { problem: "not a segment: wrong magic" };
  const isWhole = bytes.readUInt32LE(28) === crc32(bytes.subarray(0, 28));
  const version = bytes.readUInt32LE(8);
  if (version !== VERSION) {
    const problem = `format version ${version}, this program reads version ${VERSION}`;
    return { problem, isOtherVersion: isWhole };
  }
  if (!isWhole) {
    return { problem: "the checksum of the header is wrong" };
  }
  const sequence = Number(bytes.readBigUInt64LE(12));
  const firstIndex = Number(bytes.readBigUInt64LE(20));
  if (sequence !== name.sequence || firstIndex !== name.firstIndex) {
    return { problem: `the header is that of ${segmentName(sequence, firstIndex).file}` };
  }
  const value = bytes.subarray(HEADER_BYTES + RECORD_HEADER_BYTES, HEAD_OFFSET);
  const expected = encodeRecord(RECORD_TYPE.crc, value, 0).bytes;
  if (!bytes.subarray(HEADER_BYTES, HEAD_OFFSET).equals(expected)) {
    return { problem: "the crc record after the header is damaged" };
  }
  return { rollingCrc: value.readUInt32LE(0) };
}

/** The segment at the end of the log, open for writing. */
export class SegmentWriter {
  readonly name: SegmentName;
  readonly file: FileHandle;
  /** Where the next batch goes. */
  end: number;
  /** Up to here the file is known to be durable. */
  synced: number;
  /** Where the head batch ends: a segment that ends there holds nothing of its own. */
  headEnd = 0;
  readonly #fileSystem: FileSystem;
  readonly #extentBytes: number;
  #size: number;

  constructor(store: SegmentStore, name: SegmentName, file: FileHandle, end: number) {
    this.#fileSystem = store.fileSystem;
    this.#extentBytes = Math.ceil(store.segmentBytes / EXTENTS);
    this.name = name;
    this.file = file;
    this.end = end;
    this.synced = end;
    this.#size = store.fileSystem.size(file);
  }

  append(bytes: Uint8Array): void {
    const end = this.end + bytes.length;
    if (end > this.#size) {
      this.#size = end + this.#extentBytes;
      this.#fileSystem.truncate(this.file, this.#size);
    }
    this.#fileSystem.write(this.file, bytes, this.end);
    this.end = end;
  }

  /** Gives back what was extended ahead: nothing follows in this segment. */
  trim(): void {
    this.#size = this.end;
    this.#fileSystem.truncate(this.file, this.end);
  }
}

/** Paths in a log directory. */
export function pathIn(directory: string, file: string): string {
  return join(directory, file);
}

function hex16(value: number): string {
  return value.toString(16).padStart(16, "0");
}
