/**
 * The bytes of the write-ahead log: records, and the batches they are written in.
 *
 * A record is
 *
 *     length u32 | crc u32 | type u8 | payload          (little endian; length = 1 + payload bytes)
 *
 * where crc covers type and payload and continues from the crc of the record before, over all
 * segments: the chain. A length of zero marks the end of the data, since segments are extended by
 * zeros ahead of the writing.
 *
 * Records are written in batches, one write each. A batch opens with a batch record:
 *
 *     magic 8 | sequence u64 | offset u32 | bytes u32 | synced u32 | crc u32
 *
 * `offset` is where the batch record stands in the segment numbered `sequence`; `bytes` is the
 * length of the whole batch; `synced` is the offset up to which this segment was known to be
 * durable when the batch was written. The crc of its own makes it recognisable when the chain up
 * to it is broken, and that is what it is for: see segment-reader.ts.
 *
 * Owns encoding and the recognition of batch records. Knows no files.
 */
import { crc32 } from "node:zlib";
import {
  encodeHardState,
  readSnapshotMetadata,
  writeSnapshotMetadata,
} from "../../codec/records.ts";
import { encodeWith } from "../../codec/records.ts";
import { invariant } from "../../core/model/invariant.ts";
import type {
  Entry,
  HardState,
  Index,
  NodeId,
  SnapshotMetadata,
  Term,
} from "../../core/model/types.ts";
import { WireReader } from "../../codec/wire-reader.ts";
import type { WireWriter } from "../../codec/wire-writer.ts";

/** What the type byte of a record says. */
export const RECORD_TYPE = {
  crc: 1,
  metadata: 2,
  entry: 3,
  hardState: 4,
  compaction: 5,
  batch: 6,
} as const;

/** Whose log it is. */
export interface WalMetadata {
  readonly memberId: NodeId;
  readonly clusterId: string;
}

/** Where the log begins: everything below `keepFrom` is covered by the state machine. */
export interface CompactionMarker {
  /** The durable state of the state machine: at or beyond keepFrom - 1. */
  readonly snapshot: SnapshotMetadata;
  /** First index of the log from here on. */
  readonly keepFrom: Index;
  /** Term of the entry keepFrom - 1. */
  readonly previousTerm: Term;
  /** True when a snapshot replaced the log: entries held so far are void, also later ones. */
  readonly isReset: boolean;
}

/** Bytes before the payload of a record. */
export const RECORD_HEADER_BYTES = 9;
const BATCH_PAYLOAD_BYTES = 32;
/** Bytes of a batch record, which is also the smallest batch. */
export const BATCH_RECORD_BYTES = RECORD_HEADER_BYTES + BATCH_PAYLOAD_BYTES;
/** Opens the payload of every batch record. */
export const BATCH_MAGIC = Buffer.from([0xe7, 0xcd, 0x0d, 0x32, 0xba, 0x7c, 0x4e, 0xad]);
/** Bytes of an encoded entry beyond its data, at most. */
const ENTRY_OVERHEAD_BYTES = RECORD_HEADER_BYTES + 32;
/** Offsets are u32, and readers hold a batch in memory. */
export const BATCH_BYTES_MAX = 1024 * 1024 * 1024;
const SCRATCH_BYTES_MIN = 64 * 1024;
/** What stays allocated between two batches. */
const SCRATCH_BYTES_MAX = 4 * 1024 * 1024;

/** An upper bound of the encoded size of entries. */
export function entriesBytesMax(entries: readonly Entry[]): number {
  let bytes = entries.length * ENTRY_OVERHEAD_BYTES;
  for (const entry of entries) bytes += entry.data.length;
  return bytes;
}

/** Builds one batch after the other in a buffer that is used again. */
export class BatchWriter {
  #buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES_MIN);
  #end = 0;

  /** Starts a batch; the previous one is gone. */
  begin(): void {
    if (this.#buffer.length > SCRATCH_BYTES_MAX) {
      this.#buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES_MIN);
    }
    this.#end = BATCH_RECORD_BYTES;
  }

  addMetadata(metadata: WalMetadata): void {
    this.#add(RECORD_TYPE.metadata, encodeWith(writeMetadata, metadata));
  }

  addHardState(hardState: HardState): void {
    this.#add(RECORD_TYPE.hardState, encodeHardState(hardState));
  }

  addCompaction(marker: CompactionMarker): void {
    this.#add(RECORD_TYPE.compaction, encodeWith(writeCompaction, marker));
  }

  /** Adds entries as protobuf (raft.v1.Entry), encoded in place. */
  addEntries(entries: readonly Entry[]): void {
    this.#reserve(entriesBytesMax(entries));
    const buffer = this.#buffer;
    let at = this.#end;
    for (const entry of entries) {
      const start = at + RECORD_HEADER_BYTES;
      const end = writeEntryAt(buffer, start, entry);
      writeU32(buffer, at, end - start + 1);
      buffer[at + 8] = RECORD_TYPE.entry;
      at = end;
    }
    this.#end = at;
  }

  /**
   * Completes the batch for its place in the log.
   * @returns its bytes, valid until the next begin(), and the rolling crc after it.
   */
  finish(
    place: BatchPlace,
    rollingCrc: number,
  ): { readonly bytes: Buffer; readonly rollingCrc: number } {
    const buffer = this.#buffer;
    const bytes = this.#end;
    writeU32(buffer, 0, BATCH_PAYLOAD_BYTES + 1);
    buffer[8] = RECORD_TYPE.batch;
    BATCH_MAGIC.copy(buffer, 9);
    writeU32(buffer, 17, place.sequence % 0x1_0000_0000);
    writeU32(buffer, 21, Math.floor(place.sequence / 0x1_0000_0000));
    writeU32(buffer, 25, place.offset);
    writeU32(buffer, 29, bytes);
    writeU32(buffer, 33, place.synced);
    writeU32(buffer, 37, crc32(buffer.subarray(9, 37)));
    let value = rollingCrc;
    for (let at = 0; at < bytes;) {
      const end = at + 8 + buffer.readUInt32LE(at);
      value = crc32(buffer.subarray(at + 8, end), value);
      writeU32(buffer, at + 4, value);
      at = end;
    }
    return { bytes: buffer.subarray(0, bytes), rollingCrc: value };
  }

  #add(type: number, payload: Uint8Array): void {
    this.#reserve(RECORD_HEADER_BYTES + payload.length);
    writeU32(this.#buffer, this.#end, payload.length + 1);
    this.#buffer[this.#end + 8] = type;
    this.#buffer.set(payload, this.#end + RECORD_HEADER_BYTES);
    this.#end += RECORD_HEADER_BYTES + payload.length;
  }

  #reserve(bytes: number): void {
    const needed = this.#end + bytes;
    invariant(needed <= BATCH_BYTES_MAX, `a batch of ${needed} bytes is too large`);
    if (needed <= this.#buffer.length) return;
    const next = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(next, 0, 0, this.#end);
    this.#buffer = next;
  }
}

/** Where a batch stands. */
export interface BatchPlace {
  readonly sequence: number;
  readonly offset: number;
  /** Offset up to which the segment was durable before this batch. */
  readonly synced: number;
}

/** A batch record that proved itself by its own checksum. */
export interface BatchRecord extends BatchPlace {
  /** Length of the batch, this record included. */
  readonly bytes: number;
}

/**
 * Reads the batch record at `at`, without regard to the chain; undefined when there is none, or
 * when it belongs to another place.
 */
export function readBatchRecord(
  bytes: Buffer,
  at: number,
  sequence: number,
  offset: number,
): BatchRecord | undefined {
  if (at + BATCH_RECORD_BYTES > bytes.length) return undefined;
  if (bytes.readUInt32LE(at) !== BATCH_PAYLOAD_BYTES + 1) return undefined;
  if (bytes[at + 8] !== RECORD_TYPE.batch) return undefined;
  if (bytes.compare(BATCH_MAGIC, 0, 8, at + 9, at + 17) !== 0) return undefined;
  if (bytes.readUInt32LE(at + 37) !== crc32(bytes.subarray(at + 9, at + 37))) return undefined;
  const found = {
    sequence: bytes.readUInt32LE(at + 17) + bytes.readUInt32LE(at + 21) * 0x1_0000_0000,
    offset: bytes.readUInt32LE(at + 25),
    bytes: bytes.readUInt32LE(at + 29),
    synced: bytes.readUInt32LE(at + 33),
  };
  return found.sequence === sequence && found.offset === offset ? found : undefined;
}

/** One complete record, for the few that stand outside a batch. */
export function encodeRecord(
  type: number,
  payload: Uint8Array,
  rollingCrc: number,
): { readonly bytes: Buffer; readonly rollingCrc: number } {
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES + payload.length);
  bytes.writeUInt32LE(payload.length + 1, 0);
  bytes[8] = type;
  bytes.set(payload, RECORD_HEADER_BYTES);
  const value = crc32(bytes.subarray(8), rollingCrc);
  bytes.writeUInt32LE(value, 4);
  return { bytes, rollingCrc: value };
}

/** @throws CodecError */
export function decodeMetadata(payload: Uint8Array): WalMetadata {
  const reader = new WireReader(payload);
  let memberId = "";
  let clusterId = "";
  while (reader.more()) {
    const tag = reader.tag();
    if (tag === 0x0a) memberId = reader.string();
    else if (tag === 0x12) clusterId = reader.string();
    else reader.skip(tag);
  }
  return { memberId, clusterId };
}

/** @throws CodecError */
export function decodeCompaction(payload: Uint8Array): CompactionMarker {
  const reader = new WireReader(payload);
  let snapshot: SnapshotMetadata | undefined;
  let keepFrom = 0;
  let previousTerm = 0;
  let isReset = false;
  while (reader.more()) {
    const tag = reader.tag();
    if (tag === 0x0a) {
      const outer = reader.enter();
      snapshot = readSnapshotMetadata(reader);
      reader.leave(outer);
    } else if (tag === 0x10) keepFrom = reader.uint();
    else if (tag === 0x18) previousTerm = reader.uint();
    else if (tag === 0x20) isReset = reader.bool();
    else reader.skip(tag);
  }
  invariant(snapshot !== undefined, "a compaction marker holds snapshot metadata");
  return { snapshot, keepFrom, previousTerm, isReset };
}

function writeMetadata(writer: WireWriter, metadata: WalMetadata): void {
  writer.stringField(0x12, metadata.clusterId);
  writer.stringField(0x0a, metadata.memberId);
}

function writeCompaction(writer: WireWriter, marker: CompactionMarker): void {
  writer.boolField(0x20, marker.isReset);
  writer.uintField(0x18, marker.previousTerm);
  writer.uintField(0x10, marker.keepFrom);
  const before = writer.length;
  writeSnapshotMetadata(writer, marker.snapshot);
  writer.nestedField(0x0a, before);
}

/** Writes raft.v1.Entry in field order; returns the end. The caller has reserved the space. */
function writeEntryAt(buffer: Buffer, start: number, entry: Entry): number {
  let at = start;
  if (entry.term !== 0) {
    buffer[at] = 0x08;
    at = writeVarint(buffer, at + 1, entry.term);
  }
  if (entry.index !== 0) {
    buffer[at] = 0x10;
    at = writeVarint(buffer, at + 1, entry.index);
  }
  buffer[at] = 0x18;
  buffer[at + 1] = entry.type === "normal" ? 1 : 2;
  at += 2;
  const size = entry.data.length;
  if (size === 0) return at;
  buffer[at] = 0x22;
  at = writeVarint(buffer, at + 1, size);
  buffer.set(entry.data, at);
  return at + size;
}

function writeVarint(buffer: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest > 0x7fffffff; rest = Math.floor(rest / 0x80)) buffer[at++] = (rest % 0x80) | 0x80;
  for (; rest >= 0x80; rest >>>= 7) buffer[at++] = (rest & 0x7f) | 0x80;
  buffer[at] = rest;
  return at + 1;
}

function writeU32(buffer: Buffer, at: number, value: number): void {
  buffer[at] = value & 0xff;
  buffer[at + 1] = (value >>> 8) & 0xff;
  buffer[at + 2] = (value >>> 16) & 0xff;
  buffer[at + 3] = value >>> 24;
}
