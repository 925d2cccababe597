/**
 * The log file of etcd 0.4: records one after the other, without checksums. Owns the framing, the
 * field layout and the rule for a tail that a crash cut short. Does not know what commands mean.
 */
import { MigrateError } from "../errors.ts";
import type { FileCursor } from "../io/file-cursor.ts";
import { isZero } from "../io/file-cursor.ts";
import { decodeAt, FormatError } from "../io/format-error.ts";
import { ProtoReader } from "../io/proto-reader.ts";
import type { TailDamage } from "../tail.ts";

/** Eight characters of length and a line feed. */
const HEADER_BYTES = 9;

/** No request of 0.4 comes near this; a larger length is damage. */
const RECORD_BYTES_MAX = 256 * 1024 * 1024;

export interface Log04Record {
  readonly index: number;
  readonly term: number;
  readonly name: string;
  /** JSON text; valid until the next record is read. */
  readonly command: Buffer;
  readonly offset: number;
  readonly end: number;
}

/** Reads the records of a log in order; `tail` says how the log ended once next() is undefined. */
export class Log04Reader {
  readonly #cursor: FileCursor;
  #lastIndex = 0;
  tail: TailDamage | undefined;

  constructor(cursor: FileCursor) {
    this.#cursor = cursor;
  }

  /** @throws MigrateError "corrupt" for anything but a cut or zero-filled tail. */
  next(): Log04Record | undefined {
    const cursor = this.#cursor;
    const offset = cursor.position;
    if (this.tail !== undefined || cursor.remaining === 0) return undefined;
    const header = cursor.peek(HEADER_BYTES);
    if (isZero(header) && cursor.isZeroFrom(offset)) return this.#endAt(offset, "zeroFilled");
    if (header.length < HEADER_BYTES) return this.#endAt(offset, "cutShort");
    const length = decodeAt(cursor.path, offset, () => parseLength(header));
    cursor.seek(offset + HEADER_BYTES);
    if (length > cursor.remaining) {
      this.#checkCutRecord(offset, length);
      return this.#endAt(offset, "cutShort");
    }
    const body = cursor.take(length);
    const record = decodeAt(cursor.path, offset, () => decodeRecord(body, offset, cursor.position));
    if (this.#lastIndex !== 0 && record.index !== this.#lastIndex + 1) {
      throw new MigrateError(
        "corrupt",
        `log index ${record.index} follows ${this.#lastIndex}: entries are missing`,
        { file: cursor.path, offset },
      );
    }
    this.#lastIndex = record.index;
    return record;
  }

  /**
   * A record that ends beyond the file is a torn tail only if what is there looks like the start
   * of a record of that very length. Otherwise its length is damaged, and cutting there would
   * silently drop good records behind it.
   */
  #checkCutRecord(offset: number, length: number): void {
    const { path } = this.#cursor;
    const start = this.#cursor.peek(512);
    const claimed = decodeAt(path, offset, () => claimedLength(start));
    if (claimed !== undefined && claimed !== length) {
      throw new MigrateError(
        "corrupt",
        `the record's length ${length} contradicts its content (${claimed} bytes)`,
        { file: path, offset },
      );
    }
  }

  #endAt(offset: number, kind: TailDamage["kind"]): Log04Record | undefined {
    const { path, size } = this.#cursor;
    this.tail = { file: path, offset, bytes: size - offset, kind };
    this.#cursor.seek(offset);
    return undefined;
  }
}

function parseLength(header: Buffer): number {
  const text = header.toString("latin1", 0, 8).trimStart();
  if (header[8] !== 0x0a || !/^[0-9a-f]{1,8}$/i.test(text)) {
    throw new FormatError("no record starts here: its length is not a hexadecimal number");
  }
  const length = Number.parseInt(text, 16);
  if (length > RECORD_BYTES_MAX) {
    throw new FormatError(`a record of ${length} bytes is larger than etcd writes`);
  }
  return length;
}

function decodeRecord(body: Buffer, offset: number, end: number): Log04Record {
  let index = 0;
  let term = 0;
  let name = "";
  let command: Buffer = Buffer.alloc(0);
  const reader = new ProtoReader(body);
  while (reader.next()) {
    if (reader.field === 1) index = reader.number();
    else if (reader.field === 2) term = reader.number();
    else if (reader.field === 3) name = reader.byteString();
    else if (reader.field === 4) command = reader.bytes();
    else throw new FormatError(`unreadable record: unknown field ${reader.field}`);
  }
  if (index === 0) throw new FormatError("unreadable record: it has no index");
  if (name === "") throw new FormatError("unreadable record: it has no command name");
  return { index, term, name, command, offset, end };
}

/**
 * The length a record must have judging by its first fields, undefined when too little is left
 * to tell. The command comes last, so its own length settles the total.
 * @throws FormatError when the bytes are no start of a record.
 */
function claimedLength(start: Buffer): number | undefined {
  const expectedTags = [0x08, 0x10, 0x1a, 0x22];
  let position = 0;
  for (const tag of expectedTags) {
    if (position >= start.length) return undefined;
    if (start[position] !== tag) throw new FormatError("no record starts here");
    position++;
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = start[position++];
      if (byte === undefined) return undefined;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) break;
      if (shift > 63) throw new FormatError("no record starts here");
    }
    if (tag === 0x1a || tag === 0x22) position += value;
  }
  return position;
}
