/**
 * Writing and reading compact binary records: variable-length integers and byte strings in
 * reusable buffers. It knows no record; the layouts are in the *-record.ts files.
 */
import type { ByteString } from "../model/byte-string.ts";
import { StoreError } from "../model/errors.ts";

/** Below this length a loop beats the call into native code. */
const SHORT_TEXT = 24;

/** A growing buffer to encode into, made once and reused. */
export class ByteWriter {
  bytes: Buffer;
  length = 0;
  constructor(capacity = 1024) {
    this.bytes = Buffer.allocUnsafeSlow(capacity);
  }

  /** Makes room for `count` further bytes. */
  reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + count));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }

  /** Forgets the content; gives memory back after an exceptionally large record. */
  reset(capacityMax = 1 << 20): void {
    this.length = 0;
    if (this.bytes.length > capacityMax) this.bytes = Buffer.allocUnsafeSlow(capacityMax);
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** An integer from 0 to 2^53-1, low seven bits first. */
  varint(value: number): void {
    this.reserve(8);
    const bytes = this.bytes;
    let at = this.length;
    let rest = value;
    while (rest > 0x7fffffff) {
      bytes[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.length = at;
  }

  /** An integer of at most 52 bits and sign, in zigzag form. */
  signedVarint(value: number): void {
    this.varint(value < 0 ? -value * 2 - 1 : value * 2);
  }

  /** Four bytes, big end first. */
  uint32(value: number): void {
    this.reserve(4);
    this.bytes.writeUInt32BE(value, this.length);
    this.length += 4;
  }

  /** The bytes of a byte string, without its length. */
  text(value: ByteString): void {
    const count = value.length;
    this.reserve(count);
    if (count < SHORT_TEXT) {
      const bytes = this.bytes;
      let at = this.length;
      for (let i = 0; i < count; i++) bytes[at++] = value.charCodeAt(i);
    } else {
      this.bytes.write(value, this.length, count, "latin1");
    }
    this.length += count;
  }

  /** A byte string after its length. */
  sizedText(value: ByteString): void {
    this.varint(value.length);
    this.text(value);
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.bytes.set(value, this.length);
    this.length += value.length;
  }

  /** The content, valid until the next change. */
  view(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  /** The content as a buffer of its own. */
  copy(): Buffer {
    return Buffer.from(this.view());
  }
}

/** A cursor over an encoded record. Reading beyond the end throws StoreError corrupt. */
export class ByteReader {
  bytes: Buffer;
  at = 0;
  constructor(bytes: Uint8Array = EMPTY) {
    this.bytes = asBuffer(bytes);
  }

  reset(bytes: Uint8Array): void {
    this.bytes = asBuffer(bytes);
    this.at = 0;
  }

  get ended(): boolean {
    return this.at >= this.bytes.length;
  }

  byte(): number {
    const value = this.bytes[this.at++];
    if (value === undefined) throw truncated();
    return value;
  }

  varint(): number {
    const bytes = this.bytes;
    let at = this.at;
    let result = 0;
    let scale = 1;
    for (;;) {
      const value = bytes[at++];
      if (value === undefined) throw truncated();
      if (value < 0x80) {
        result += value * scale;
        break;
      }
      result += (value & 0x7f) * scale;
      scale *= 128;
      if (scale > MAX_SCALE) throw truncated();
    }
    this.at = at;
    if (result > Number.MAX_SAFE_INTEGER) throw truncated();
    return result;
  }

  signedVarint(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  uint32(): number {
    if (this.at + 4 > this.bytes.length) throw truncated();
    const value = this.bytes.readUInt32BE(this.at);
    this.at += 4;
    return value;
  }

  text(count: number): ByteString {
    const end = this.at + count;
    if (end > this.bytes.length) throw truncated();
    const value = this.bytes.toString("latin1", this.at, end);
    this.at = end;
    return value;
  }

  sizedText(): ByteString {
    return this.text(this.varint());
  }

  /** Number of bytes that remain. */
  get left(): number {
    return this.bytes.length - this.at;
  }

  /** The remaining bytes as a byte string. */
  rest(): ByteString {
    return this.text(this.bytes.length - this.at);
  }
}

const EMPTY = Buffer.alloc(0);
const MAX_SCALE = 128 ** 7;

function truncated(): StoreError {
  return new StoreError("corrupt", "a record ends early or holds an impossible number");
}

/** The same memory as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
