/**
 * Reads protobuf fields from a byte range. Every read is checked against the end of the message
 * being read, so damaged bytes give a CodecError and never a read outside. Owns single fields;
 * which fields make up a record is the business of codec/records.ts.
 */
import { CodecError } from "./codec-error.ts";
import { isHexDigit } from "./wire-writer.ts";

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;

const EMPTY = new Uint8Array(0);
/** Ids seen lately. There are a handful per cluster; a hit costs no allocation. */
const KNOWN_IDS_MAX = 16;
const knownIds: string[] = [];
let nextKnownId = 0;

/**
 * Reads protobuf fields from the front. Every method throws CodecError when the bytes do not allow
 * it.
 */
export class WireReader {
  readonly #buffer: Buffer;
  #at = 0;
  /** End of the message being read, at most the end of the buffer. */
  #end: number;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = this.#buffer.length;
  }

  /** True while the current message has fields left. */
  more(): boolean {
    return this.#at < this.#end;
  }

  /** The next field's tag: number times 8 plus wire type. */
  tag(): number {
    const tag = this.uint();
    if (tag >>> 3 === 0 || tag > 0xffffffff) throw new CodecError("malformed", "bad field tag");
    return tag;
  }

  /** A varint that fits a safe integer. */
  uint(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    let scale = 0x80;
    for (let i = 1; i < 10; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value <= Number.MAX_SAFE_INTEGER) return value;
        throw new CodecError("outOfRange", "integer above 2^53 - 1");
      }
      scale *= 0x80;
    }
    throw new CodecError("malformed", "varint of more than ten bytes");
  }

  bool(): boolean {
    let bits = 0;
    for (let i = 0; i < 10; i++) {
      const byte = this.#byte();
      bits |= byte & 0x7f;
      if (byte < 0x80) return bits !== 0;
    }
    throw new CodecError("malformed", "varint of more than ten bytes");
  }

  /** A view into the buffer, not a copy. */
  bytes(): Uint8Array {
    const size = this.uint();
    if (size === 0) return EMPTY;
    const from = this.#take(size);
    return this.#buffer.subarray(from, from + size);
  }

  string(): string {
    const size = this.uint();
    if (size === 0) return "";
    const from = this.#take(size);
    return this.#buffer.toString("utf8", from, from + size);
  }

  /**
   * A member id: exactly 16 lower-case hex digits.
   * @throws CodecError for anything else, the empty string included.
   */
  id(): string {
    const size = this.uint();
    const from = this.#take(size);
    if (size !== 16) throw new CodecError("outOfRange", `member id of ${size} bytes`);
    for (const id of knownIds) if (this.#matches(id, from)) return id;
    for (let i = from; i < from + 16; i++) {
      if (!isHexDigit(this.#buffer[i] ?? 0)) {
        throw new CodecError("outOfRange", "member id is not lower-case hexadecimal");
      }
    }
    const id = this.#buffer.toString("latin1", from, from + 16);
    knownIds[nextKnownId++ % KNOWN_IDS_MAX] = id;
    return id;
  }

  /** Enters a nested message; hand the result to leave() once more() is false. */
  enter(): number {
    const size = this.uint();
    const outer = this.#end;
    if (size > outer - this.#at) throw truncated();
    this.#end = this.#at + size;
    return outer;
  }

  leave(outer: number): void {
    this.#end = outer;
  }

  /** Skips the value of an unknown field. */
  skip(tag: number): void {
    switch (tag & 7) {
      case WIRE_VARINT:
        this.bool();
        return;
      case WIRE_FIXED64:
        this.#take(8);
        return;
      case WIRE_BYTES:
        this.#take(this.uint());
        return;
      case WIRE_FIXED32:
        this.#take(4);
        return;
      default:
        throw new CodecError("malformed", `wire type ${tag & 7} is not supported`);
    }
  }

  #byte(): number {
    const byte = this.#buffer[this.#at];
    if (byte === undefined || this.#at >= this.#end) throw truncated();
    this.#at++;
    return byte;
  }

  #take(size: number): number {
    const from = this.#at;
    if (size > this.#end - from) throw truncated();
    this.#at = from + size;
    return from;
  }

  #matches(id: string, from: number): boolean {
    const buffer = this.#buffer;
    for (let i = 15; i >= 0; i--) if (buffer[from + i] !== id.charCodeAt(i)) return false;
    return true;
  }
}

function truncated(): CodecError {
  return new CodecError("truncated", "the bytes end in the middle of a field");
}
