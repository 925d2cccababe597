/**
 * Where each kind of row lies in the ordered byte store, byte by byte: see docs/storage-format.md.
 * A node's key holds its path so that a directory, its children and all below form one contiguous
 * range in depth-first order. It knows keys only; values are in the *-record.ts files.
 */
import type { ByteString } from "../model/byte-string.ts";
import { asBuffer } from "./bytes.ts";
import { StoreError } from "../model/errors.ts";
import type { KvRange } from "../kv/kv.ts";

/** Version of the layout of keys and values; a store with another one is refused. */
export const FORMAT_VERSION = 1;

/** First byte of every key. */
export const PREFIX = {
  history: 0x68,
  meta: 0x6d,
  node: 0x6e,
  removedNames: 0x72,
  sweep: 0x73,
  ttl: 0x74,
  host: 0x78,
} as const;

const SEGMENT_END = 0x01;
const ESCAPE = 0x02;
const ESCAPE_OFFSET = 0x10;
const SLASH = 0x2f;
const INDEX_BYTES = 7;

/** Room for keys that are used at once; grows with the longest path seen. */
let scratch = Buffer.allocUnsafeSlow(4096);

/** Writes the key of a path behind `at` bytes and returns its end. */
function encodePath(path: ByteString, at: number): number {
  const count = path.length;
  const needed = at + count * 2 + 3;
  if (needed > scratch.length) {
    const grown = Buffer.allocUnsafeSlow(needed * 2);
    scratch.copy(grown, 0, 0, at);
    scratch = grown;
  }
  const bytes = scratch;
  let end = at;
  for (let i = 1; i < count; i++) {
    const code = path.charCodeAt(i);
    if (code === SLASH) {
      bytes[end++] = SEGMENT_END;
    } else if (code <= ESCAPE) {
      bytes[end++] = ESCAPE;
      bytes[end++] = ESCAPE_OFFSET + code;
    } else {
      bytes[end++] = code;
    }
  }
  if (count > 0) bytes[end++] = SEGMENT_END;
  return end;
}

function own(end: number): Buffer {
  return Buffer.from(scratch.subarray(0, end));
}

/** Key of a node, in shared memory: valid until the next call of this module. */
export function nodeKeyView(path: ByteString): Buffer {
  scratch[0] = PREFIX.node;
  // A long path moves the scratch space: what it is comes after.
  const end = encodePath(path, 1);
  return scratch.subarray(0, end);
}

/** Key of a node. */
export function nodeKey(path: ByteString): Buffer {
  scratch[0] = PREFIX.node;
  return own(encodePath(path, 1));
}

/** Path of a node key (or of the path part of another key, from `start`). */
export function pathOfKey(key: Uint8Array, start = 1): ByteString {
  const bytes = asBuffer(key);
  let escaped = false;
  const end = bytes.length;
  for (let i = start; i < end; i++) if (bytes[i] === ESCAPE) escaped = true;
  if (end <= start) return "";
  if (bytes[end - 1] !== SEGMENT_END) throw new StoreError("corrupt", "a node key lacks its end");
  let path = "/";
  if (!escaped) {
    // Segment by segment: a native slice and a join beat byte-wise concatenation.
    let from = start;
    for (let i = start; i < end - 1; i++) {
      if (bytes[i] !== SEGMENT_END) continue;
      path += bytes.toString("latin1", from, i) + "/";
      from = i + 1;
    }
    return path + bytes.toString("latin1", from, end - 1);
  }
  for (let i = start; i < end - 1; i++) {
    const code = bytes[i] ?? 0;
    if (code === SEGMENT_END) path += "/";
    else if (code === ESCAPE) path += String.fromCharCode((bytes[++i] ?? 0) - ESCAPE_OFFSET);
    else path += String.fromCharCode(code);
  }
  return path;
}

/** Everything below a directory, without itself. */
export function descendantsRange(path: ByteString): KvRange {
  const from = Buffer.concat([nodeKey(path), Buffer.of(ESCAPE)]);
  return { from, to: subtreeEnd(path) };
}

/** First key behind a node and everything below it. */
function subtreeEnd(path: ByteString): Buffer {
  const end = nodeKey(path);
  end[end.length - 1] = (end[end.length - 1] ?? 0) + 1;
  return end;
}

/** All rows of one kind. */
export function prefixRange(prefix: number): KvRange {
  return { from: Buffer.of(prefix), to: Buffer.of(prefix + 1) };
}

/** Number of path segments in a node key. */
export function depthOfKey(key: Uint8Array): number {
  let depth = 0;
  for (let i = 1; i < key.length; i++) if (key[i] === SEGMENT_END) depth += 1;
  return depth;
}

function writeIndex(bytes: Buffer, index: number, at: number): void {
  bytes.writeUIntBE(Math.floor(index / 2 ** 32), at, 3);
  bytes.writeUInt32BE(index % 2 ** 32, at + 3);
}

/** Key of a row that is ordered by an index or a time (0 to 2^53-1). */
export function indexKey(prefix: number, index: number): Buffer {
  const key = Buffer.allocUnsafe(1 + INDEX_BYTES);
  key[0] = prefix;
  writeIndex(key, index, 1);
  return key;
}

/** The index in a key made by indexKey or ttlKey. */
export function indexOfKey(key: Uint8Array): number {
  const bytes = asBuffer(key);
  return bytes.readUIntBE(1, 3) * 2 ** 32 + bytes.readUInt32BE(4);
}

/** Key of a TTL row: by deadline (times before 0 count as 0), then by path. */
export function ttlKey(deadlineMs: number, path: ByteString): Buffer {
  scratch[0] = PREFIX.ttl;
  const end = encodePath(path, 1 + INDEX_BYTES);
  writeIndex(scratch, Math.max(0, Math.ceil(deadlineMs)), 1);
  return own(end);
}

/** Path in a TTL key. */
export function pathOfTtlKey(key: Uint8Array): ByteString {
  return pathOfKey(key, 1 + INDEX_BYTES);
}

/** Key of a pending removal of everything below a directory. */
export function sweepKey(index: number, path: ByteString): Buffer {
  scratch[0] = PREFIX.sweep;
  const end = encodePath(path, 1 + INDEX_BYTES);
  writeIndex(scratch, index, 1);
  return own(end);
}

/** Key of one of the store's own single rows. */
export function metaKey(name: string): Buffer {
  return Buffer.concat([Buffer.of(PREFIX.meta), Buffer.from(name, "latin1")]);
}

/** Key of a small value that the host keeps. */
export function hostKey(name: string): Buffer {
  return Buffer.concat([Buffer.of(PREFIX.host), Buffer.from(name, "latin1")]);
}
