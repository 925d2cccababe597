/**
 * A protobuf field reader over one message, for the few old messages that have no schema here.
 * Checks lengths and number ranges; knows nothing of what the fields mean.
 */
import { FormatError } from "./format-error.ts";

/** Wire types of protobuf. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

export class ProtoReader {
  readonly #bytes: Buffer;
  #position = 0;
  /** Field number and wire type of the field found by next(). */
  field = 0;
  #wire = 0;
  /** Halves of the last varint. */
  #low = 0;
  #high = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get position(): number {
    return this.#position;
  }

  /** Moves to the next field; false at the end. Each field must then be read or skipped. */
  next(): boolean {
    if (this.#position >= this.#bytes.length) return false;
    this.#varint();
    if (this.#high !== 0) throw new FormatError("unreadable message: field number too large");
    this.field = this.#low >>> 3;
    this.#wire = this.#low & 7;
    if (this.field === 0) throw new FormatError("unreadable message: field number 0");
    return true;
  }

  /** An unsigned number that must be a safe integer. */
  number(): number {
    this.#expect(VARINT);
    this.#varint();
    if (this.#high > 0x1f_ffff) throw new FormatError("unreadable message: number too large");
    return this.#high * 0x1_0000_0000 + this.#low;
  }

  boolean(): boolean {
    this.#expect(VARINT);
    this.#varint();
    return (this.#low | this.#high) !== 0;
  }

  /** A 64-bit id as 16 hexadecimal digits. */
  id(): string {
    this.#expect(VARINT);
    this.#varint();
    return hex8(this.#high) + hex8(this.#low);
  }

  /** A signed 64-bit number. */
  signed(): bigint {
    this.#expect(VARINT);
    this.#varint();
    if ((this.#low | this.#high) === 0) return 0n;
    return BigInt.asIntN(64, (BigInt(this.#high) << 32n) | BigInt(this.#low));
  }

  /** The bytes of a field, shared with the message. */
  bytes(): Buffer {
    this.#expect(BYTES);
    return this.#span(this.#length());
  }

  /** The bytes of a field as a byte string. */
  byteString(): string {
    this.#expect(BYTES);
    const length = this.#length();
    const from = this.#position;
    this.#advance(length);
    return this.#bytes.toString("latin1", from, from + length);
  }

  skip(): void {
    switch (this.#wire) {
      case VARINT:
        this.#varint();
        return;
      case FIXED64:
        this.#advance(8);
        return;
      case BYTES:
        this.#advance(this.#length());
        return;
      case FIXED32:
        this.#advance(4);
        return;
      default:
        throw new FormatError(`unreadable message: wire type ${this.#wire}`);
    }
  }

  #expect(wire: number): void {
    if (this.#wire !== wire) {
      throw new FormatError(`unreadable message: field ${this.field} has the wrong type`);
    }
  }

  #length(): number {
    this.#varint();
    if (this.#high !== 0) throw new FormatError("unreadable message: field too long");
    return this.#low;
  }

  #span(length: number): Buffer {
    const from = this.#position;
    this.#advance(length);
    return this.#bytes.subarray(from, from + length);
  }

  #advance(length: number): void {
    if (this.#position + length > this.#bytes.length) {
      throw new FormatError("unreadable message: field longer than the message");
    }
    this.#position += length;
  }

  #varint(): void {
    const bytes = this.#bytes;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[this.#position++];
      if (byte === undefined) throw new FormatError("unreadable message: cut short");
      const bits = byte & 127;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 128) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw new FormatError("unreadable message: number too long");
  }
}

function hex8(word: number): string {
  return word.toString(16).padStart(8, "0");
}
