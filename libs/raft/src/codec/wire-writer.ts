/**
 * Writes protobuf from the last byte to the first. A nested message is complete before its length
 * prefix is written, so no sizes have to be computed beforehand: one pass, one buffer. Owns the
 * byte layout of single fields; which fields make up a record is the business of codec/records.ts.
 */
import { CodecError } from "./codec-error.ts";

/** What stays allocated between two records; a larger one is given back. */
const SCRATCH_BYTES_MAX = 1024 * 1024;
const VARINT_BYTES_MAX = 10;

/** Fields must be written in descending order of their numbers, repeated ones last to first. */
export class WireWriter {
  #buffer: Buffer;
  /** Everything from here to the end of the buffer has been written. */
  #start: number;

  constructor(capacity = 4096) {
    this.#buffer = Buffer.allocUnsafeSlow(capacity);
    this.#start = capacity;
  }

  /** Bytes written so far: take it before and after a nested message to learn its length. */
  get length(): number {
    return this.#buffer.length - this.#start;
  }

  byte(value: number): void {
    if (this.#start < 1) this.#grow(1);
    this.#buffer[--this.#start] = value;
  }

  /** @throws CodecError unless `value` is a safe integer, zero or above. */
  varint(value: number): void {
    if (value < 0x80 && value >= 0 && Number.isInteger(value)) {
      this.byte(value);
      return;
    }
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new CodecError("outOfRange", `${String(value)} is not an unsigned safe integer`);
    }
    let size = 1;
    for (let limit = 0x80; value >= limit && size < VARINT_BYTES_MAX; limit *= 0x80) size++;
    if (this.#start < size) this.#grow(size);
    this.#start -= size;
    let at = this.#start;
    let rest = value;
    for (; rest > 0x7fffffff; rest = Math.floor(rest / 0x80)) {
      this.#buffer[at++] = (rest % 0x80) | 0x80;
    }
    for (; rest >= 0x80; rest >>>= 7) this.#buffer[at++] = (rest & 0x7f) | 0x80;
    this.#buffer[at] = rest;
  }

  raw(bytes: Uint8Array): void {
    const size = bytes.length;
    if (this.#start < size) this.#grow(size);
    this.#start -= size;
    this.#buffer.set(bytes, this.#start);
  }

  /** A varint field; left out when zero, as proto3 does. */
  uintField(tag: number, value: number): void {
    if (value === 0) return;
    this.varint(value);
    this.byte(tag);
  }

  boolField(tag: number, value: boolean): void {
    if (!value) return;
    this.byte(1);
    this.byte(tag);
  }

  /** A bytes field; left out when empty. */
  bytesField(tag: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.raw(bytes);
    this.varint(bytes.length);
    this.byte(tag);
  }

  /** A string field; left out when empty. */
  stringField(tag: number, text: string): void {
    if (text === "") return;
    const size = Buffer.byteLength(text, "utf8");
    if (this.#start < size) this.#grow(size);
    this.#start -= size;
    this.#buffer.write(text, this.#start, size, "utf8");
    this.varint(size);
    this.byte(tag);
  }

  /**
   * A member id, or an element of a list of them: exactly 16 lower-case hex digits.
   * @throws CodecError for anything else.
   */
  idField(tag: number, id: string): void {
    if (id.length !== 16) throw new CodecError("outOfRange", `"${id}" is not a member id`);
    if (this.#start < 18) this.#grow(18);
    this.#start -= 16;
    const at = this.#start;
    for (let i = 0; i < 16; i++) {
      const code = id.charCodeAt(i);
      if (!isHexDigit(code)) throw new CodecError("outOfRange", `"${id}" is not a member id`);
      this.#buffer[at + i] = code;
    }
    this.#buffer[--this.#start] = 16;
    this.#buffer[--this.#start] = tag;
  }

  /** Closes a nested message that began when `length` was `before`. */
  nestedField(tag: number, before: number): void {
    this.varint(this.length - before);
    this.byte(tag);
  }

  /** Copies out what was written and starts afresh. */
  finish(): Buffer {
    const out = Buffer.allocUnsafe(this.length);
    out.set(this.#buffer.subarray(this.#start));
    this.reset();
    return out;
  }

  /** Forgets what was written: also after an error half-way. */
  reset(): void {
    if (this.#buffer.length > SCRATCH_BYTES_MAX) this.#buffer = Buffer.allocUnsafeSlow(4096);
    this.#start = this.#buffer.length;
  }

  #grow(size: number): void {
    const used = this.length;
    let capacity = this.#buffer.length * 2;
    while (capacity < used + size) capacity *= 2;
    const next = Buffer.allocUnsafeSlow(capacity);
    next.set(this.#buffer.subarray(this.#start), capacity - used);
    this.#buffer = next;
    this.#start = capacity - used;
  }
}

/** True for the codes of 0-9 and a-f. */
export function isHexDigit(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);
}
