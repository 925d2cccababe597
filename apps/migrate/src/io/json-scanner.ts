/**
 * A pull parser for JSON that comes in chunks, so that a store of hundreds of megabytes is never
 * one string. Strings come out as byte strings (UTF-8 bytes). Knows JSON only, no document shapes.
 */
import { toByteString } from "@etcd2/store";
import { FormatError } from "./format-error.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const EMPTY = Buffer.alloc(0);

/** Deepest nesting accepted; the deepest etcd tree is bounded by its key length. */
const DEPTH_MAX = 2000;

/** A decoded value whose strings are byte strings. */
export type JsonValue =
  string | number | boolean | null | readonly JsonValue[] | ReadonlyMap<string, JsonValue>;

/** A member of a decoded object; undefined where there is none, or no object. */
export function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  if (!(value instanceof Map)) return undefined;
  return (value as ReadonlyMap<string, JsonValue>).get(name);
}

export class JsonScanner {
  readonly #chunks: Iterator<Buffer>;
  #buffer: Buffer = EMPTY;
  #position = 0;
  #consumed = 0;

  constructor(chunks: Iterable<Buffer>) {
    this.#chunks = chunks[Symbol.iterator]();
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#consumed + this.#position;
  }

  /** The first byte of the next token without taking it; undefined at the end. */
  peek(): number | undefined {
    for (;;) {
      while (this.#position < this.#buffer.length) {
        const byte = this.#buffer[this.#position];
        if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
        this.#position++;
      }
      if (!this.#more()) return undefined;
    }
  }

  /** Takes one punctuation character. */
  expect(character: string): void {
    if (this.peek() !== character.charCodeAt(0)) this.#fail(`"${character}" expected`);
    this.#position++;
  }

  /** Takes the character if it is next. */
  accept(character: string): boolean {
    if (this.peek() !== character.charCodeAt(0)) return false;
    this.#position++;
    return true;
  }

  /** Calls `member` for each member of an object; it must read the value. */
  object(member: (key: string) => void): void {
    this.expect("{");
    if (this.accept("}")) return;
    do {
      const key = this.string();
      this.expect(":");
      member(key);
    } while (this.accept(","));
    this.expect("}");
  }

  /** Calls `item` for each item of an array; it must read the value. */
  array(item: () => void): void {
    this.expect("[");
    if (this.accept("]")) return;
    do item();
    while (this.accept(","));
    this.expect("]");
  }

  /** A string as UTF-8 bytes. */
  string(): string {
    this.expect('"');
    for (let from = this.#position; ;) {
      const end = this.#stringEnd(from);
      if (end >= 0) {
        const start = this.#position;
        this.#position = end + 1;
        return this.#decode(start, end);
      }
      // The unread rest moves to the front when a chunk is added; an escape at the very end
      // makes rescanning from the start of the string the simple and safe choice.
      if (!this.#more()) this.#fail("string without an end");
      from = this.#position;
    }
  }

  /** Yields the raw bytes between the quotes of a string that holds no escapes. */
  *rawString(): Generator<Buffer> {
    this.expect('"');
    for (;;) {
      const end = this.#buffer.indexOf(QUOTE, this.#position);
      const stop = end < 0 ? this.#buffer.length : end;
      const part = this.#buffer.subarray(this.#position, stop);
      this.#position = stop;
      if (part.length > 0) yield part;
      if (end >= 0) {
        this.#position++;
        return;
      }
      if (!this.#more()) this.#fail("string without an end");
    }
  }

  number(): number {
    this.peek();
    let text = "";
    for (;;) {
      const byte = this.#buffer[this.#position];
      if (byte === undefined) {
        if (!this.#more()) break;
        continue;
      }
      if (!((byte >= 0x30 && byte <= 0x39) || "+-.eE".includes(String.fromCharCode(byte)))) break;
      text += String.fromCharCode(byte);
      this.#position++;
    }
    const value = Number(text);
    if (text === "" || Number.isNaN(value)) this.#fail("number expected");
    return value;
  }

  /** An index: a whole number from 0 within the safe range. */
  index(): number {
    const value = this.number();
    if (!Number.isSafeInteger(value) || value < 0) this.#fail(`index ${value} is out of range`);
    return value;
  }

  /** Any value, held in memory. */
  value(depth = 0): JsonValue {
    if (depth > DEPTH_MAX) this.#fail("nested too deeply");
    const first: number = this.peek() ?? 0;
    switch (first) {
      case QUOTE:
        return this.string();
      case 0x7b: {
        const members = new Map<string, JsonValue>();
        this.object((key) => members.set(key, this.value(depth + 1)));
        return members;
      }
      case 0x5b: {
        const items: JsonValue[] = [];
        this.array(() => items.push(this.value(depth + 1)));
        return items;
      }
      case 0x74:
        return this.#word("true", true);
      case 0x66:
        return this.#word("false", false);
      case 0x6e:
        return this.#word("null", null);
      default:
        return this.number();
    }
  }

  /** Takes `null` if it is next. */
  acceptNull(): boolean {
    if (this.peek() !== 0x6e) return false;
    this.#word("null", null);
    return true;
  }

  /** Nothing but white space may follow. */
  end(): void {
    if (this.peek() !== undefined) this.#fail("text after the end of the document");
  }

  #word<T>(word: string, value: T): T {
    for (const character of word) this.#literal(character);
    return value;
  }

  #literal(character: string): void {
    if (this.#position >= this.#buffer.length) this.#more();
    if (this.#buffer[this.#position] !== character.charCodeAt(0)) this.#fail("unexpected word");
    this.#position++;
  }

  /** Position of the closing quote at or after `from`, -1 when it is not in the buffer. */
  #stringEnd(from: number): number {
    const bytes = this.#buffer;
    const length = bytes.length;
    for (let i = from; i < length; i++) {
      const byte = bytes[i];
      if (byte === QUOTE) return i;
      if (byte === BACKSLASH) i++;
    }
    return -1;
  }

  #decode(start: number, end: number): string {
    const escape = this.#buffer.indexOf(BACKSLASH, start);
    if (escape < 0 || escape >= end) return this.#buffer.toString("latin1", start, end);
    return unescape(this.#buffer.subarray(start, end)) ?? this.#fail("bad escape in a string");
  }

  /** Drops what was read and adds the next chunk; false when there is none. */
  #more(): boolean {
    const next = this.#chunks.next();
    if (next.done === true) return false;
    const rest = this.#buffer.subarray(this.#position);
    this.#consumed += this.#position;
    // The chunk may be a window that its owner reuses, so it is copied in either case.
    this.#buffer = Buffer.concat([rest, next.value]);
    this.#position = 0;
    return true;
  }

  #fail(problem: string): never {
    throw new FormatError(`unreadable JSON: ${problem} at byte ${this.offset}`);
  }
}

/** Resolves the escapes of a JSON string body given and returned as UTF-8 bytes. */
function unescape(body: Buffer): string | undefined {
  try {
    const text: unknown = JSON.parse(`"${body.toString("utf8")}"`);
    return typeof text === "string" ? toByteString(text) : undefined;
  } catch {
    return undefined;
  }
}
