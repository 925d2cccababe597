/**
 * One record of the write-ahead log of etcd 2.x and 3.x: framing, envelope, and the small messages
 * inside. Pure decoding; files, checksums and order are wal.ts's business.
 */
import { FormatError } from "../io/format-error.ts";
import { ProtoReader } from "../io/proto-reader.ts";

/** No request of etcd comes near this; a larger length is damage. */
const RECORD_BYTES_MAX = 256 * 1024 * 1024;

/** Bytes that hold the length of a record. */
export const LENGTH_BYTES = 8;

/** Longest envelope before the data: three tags, type, checksum and length. */
export const ENVELOPE_BYTES_MAX = 32;

export const RECORD_TYPE = { metadata: 1, entry: 2, state: 3, crc: 4, snapshot: 5 } as const;

export interface Frame {
  /** Bytes of the record itself. */
  readonly length: number;
  /** 3.x: filling behind the record up to a multiple of 8. */
  readonly padding: number;
}

/** Decodes the eight length bytes; all zero means "unused from here" and gives undefined. */
export function decodeFrame(bytes: Buffer): Frame | undefined {
  const low = bytes.readUInt32LE(0);
  const high = bytes.readUInt32LE(4);
  if (low === 0 && high === 0) return undefined;
  const padded = high >>> 31 === 1;
  const padding = padded ? (high >>> 24) & 7 : 0;
  const rest = padded ? high & 0x00ff_ffff : high;
  if (padded && ((high >>> 24) & 0x78) !== 0) throw new FormatError("unreadable record length");
  if (rest !== 0 || low > RECORD_BYTES_MAX) {
    throw new FormatError("the record's length is larger than etcd writes");
  }
  if (padded && (low + padding) % 8 !== 0) throw new FormatError("unreadable record length");
  return { length: low, padding };
}

export interface Envelope {
  readonly type: number;
  readonly crc: number;
  /** Where the data starts within the record. */
  readonly dataStart: number;
}

/**
 * Decodes the start of a record and checks that its inner lengths add up to `length`. A length
 * field is not under the checksum; this is what catches a damaged one. Undefined when `start`
 * holds too little of the record to tell, which only a cut file brings about.
 */
export function decodeEnvelope(start: Buffer, length: number): Envelope | undefined {
  const cursor = { position: 0 };
  const type = taggedVarint(start, cursor, 0x08);
  if (type === undefined) return undefined;
  if (type < 1 || type > 5) throw new FormatError(`unknown record type ${type}`);
  const crc = taggedVarint(start, cursor, 0x10);
  if (crc === undefined) return undefined;
  if (crc > 0xffff_ffff) throw new FormatError("unreadable record: checksum out of range");
  if (cursor.position === length) return { type, crc, dataStart: length };
  const dataLength = taggedVarint(start, cursor, 0x1a);
  if (dataLength === undefined) return undefined;
  if (cursor.position + dataLength !== length) {
    throw new FormatError(
      `the record's length ${length} contradicts its content (${cursor.position + dataLength})`,
    );
  }
  return { type, crc, dataStart: cursor.position };
}

function taggedVarint(
  bytes: Buffer,
  cursor: { position: number },
  tag: number,
): number | undefined {
  const found = bytes[cursor.position];
  if (found === undefined) return undefined;
  if (found !== tag) throw new FormatError("unreadable record: it does not start as one");
  cursor.position++;
  let value = 0;
  for (let scale = 1; scale < 2 ** 70; scale *= 128) {
    const byte = bytes[cursor.position];
    if (byte === undefined) return undefined;
    cursor.position++;
    value += (byte & 127) * scale;
    if (byte < 128) return value;
  }
  throw new FormatError("unreadable record: number too long");
}

export interface WalMetadata {
  /** 16 hexadecimal digits. */
  readonly memberId: string;
  readonly clusterId: string;
}

export function decodeMetadata(data: Buffer): WalMetadata {
  let memberId = "0".repeat(16);
  let clusterId = "0".repeat(16);
  const reader = new ProtoReader(data);
  while (reader.next()) {
    if (reader.field === 1) memberId = reader.id();
    else if (reader.field === 2) clusterId = reader.id();
    else reader.skip();
  }
  return { memberId, clusterId };
}

export interface WalEntry {
  readonly isConfChange: boolean;
  readonly term: number;
  readonly index: number;
  /** Valid until the next record is read. */
  readonly data: Buffer;
}

const NO_DATA = Buffer.alloc(0);

export function decodeEntry(data: Buffer): WalEntry {
  let type = 0;
  let term = 0;
  let index = 0;
  let content: Buffer = NO_DATA;
  const reader = new ProtoReader(data);
  while (reader.next()) {
    if (reader.field === 1) type = reader.number();
    else if (reader.field === 2) term = reader.number();
    else if (reader.field === 3) index = reader.number();
    else if (reader.field === 4) content = reader.bytes();
    else reader.skip();
  }
  if (type > 1) throw new FormatError(`unknown entry type ${type}`);
  return { isConfChange: type === 1, term, index, data: content };
}

export interface WalState {
  readonly term: number;
  readonly vote: string;
  readonly commit: number;
}

export function decodeState(data: Buffer): WalState {
  let term = 0;
  let vote = "0".repeat(16);
  let commit = 0;
  const reader = new ProtoReader(data);
  while (reader.next()) {
    if (reader.field === 1) term = reader.number();
    else if (reader.field === 2) vote = reader.id();
    else if (reader.field === 3) commit = reader.number();
    else reader.skip();
  }
  return { term, vote, commit };
}

export interface WalSnapshotMark {
  readonly index: number;
  readonly term: number;
}

export function decodeSnapshotMark(data: Buffer): WalSnapshotMark {
  let index = 0;
  let term = 0;
  const reader = new ProtoReader(data);
  while (reader.next()) {
    if (reader.field === 1) index = reader.number();
    else if (reader.field === 2) term = reader.number();
    else reader.skip();
  }
  return { index, term };
}
