/**
 * Snapshot files of 2.x and 3.x: which one to use, its checksum, its metadata, and where the store
 * document lies in it. The document itself is ../store-json.ts's business.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { crc32c } from "../crc32c.ts";
import { isDamage, MigrateError } from "../errors.ts";
import { fileChunks } from "../io/file-chunks.ts";
import { FileCursor } from "../io/file-cursor.ts";
import { decodeAt, FormatError } from "../io/format-error.ts";
import { ProtoReader } from "../io/proto-reader.ts";
import type { NoticeSink } from "../notices.ts";

const NAME = /^[0-9a-f]{16}-[0-9a-f]{16}\.snap$/;
const HARMLESS = /^(?:\.touch|db|.*\.broken|.*\.tmp|tmp.*|.*\.snap\.db)$/;

/** Most bytes of metadata behind the document. */
const METADATA_BYTES_MAX = 1024 * 1024;

export interface Snapshot2 {
  readonly path: string;
  readonly index: number;
  readonly term: number;
  /** Voters, 16 hexadecimal digits each. */
  readonly voters: readonly string[];
  readonly learners: readonly string[];
  /** Where the store document lies in the file. */
  readonly jsonStart: number;
  readonly jsonEnd: number;
}

export interface SnapshotChoice {
  /** Newest intact snapshot; undefined when there is none. */
  readonly snapshot: Snapshot2 | undefined;
  /** What is wrong with newer ones. */
  readonly damaged: readonly MigrateError[];
}

/** The newest snapshot that is intact; damaged ones are stepped over with a notice. */
export function chooseSnapshot(snapDir: string, notice: NoticeSink): SnapshotChoice {
  const names: string[] = [];
  for (const name of readdirSync(snapDir)) {
    if (NAME.test(name)) names.push(name);
    else if (!HARMLESS.test(name)) {
      notice({ code: "ignoredFile", text: "is no snapshot", file: join(snapDir, name) });
    }
  }
  const damaged: MigrateError[] = [];
  for (const name of names.sort().reverse()) {
    const path = join(snapDir, name);
    try {
      return { snapshot: checkSnapshot(path), damaged };
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.push(error);
      const text = `damaged snapshot left aside: ${error.message}`;
      notice({ code: "damagedSnapshot", text, file: path, offset: error.offset ?? 0 });
    }
  }
  return { snapshot: undefined, damaged };
}

/** @throws MigrateError "corrupt" unless the file is whole and its checksum right. */
export function checkSnapshot(path: string): Snapshot2 {
  const cursor = new FileCursor(path);
  try {
    const outer = decodeAt(path, 0, () => outerLayout(cursor));
    let crc = 0;
    for (const chunk of fileChunks(cursor, outer.dataStart, cursor.size)) crc = crc32c(chunk, crc);
    if (crc !== outer.crc) {
      throw new MigrateError("corrupt", "crc mismatch", { file: path, offset: outer.dataStart });
    }
    return decodeAt(path, outer.dataStart, () => innerLayout(cursor, outer.dataStart));
  } finally {
    cursor.close();
  }
}

function outerLayout(cursor: FileCursor): { crc: number; dataStart: number } {
  const start = cursor.peek(32);
  if (start.length === 0) throw new FormatError("the file is empty");
  const position = { at: 0 };
  const crc = readTagged(start, position, 0x08);
  const length = readTagged(start, position, 0x12);
  if (crc === 0 || length === 0) throw new FormatError("the snapshot has no content");
  if (position.at + length !== cursor.size) {
    throw new FormatError(
      `${length} bytes of content expected, ${cursor.size - position.at} there`,
    );
  }
  return { crc, dataStart: position.at };
}

function innerLayout(cursor: FileCursor, dataStart: number): Snapshot2 {
  cursor.seek(dataStart);
  const position = { at: 0 };
  const jsonLength = readTagged(cursor.peek(16), position, 0x0a);
  const jsonStart = dataStart + position.at;
  const jsonEnd = jsonStart + jsonLength;
  const rest = cursor.size - jsonEnd;
  if (rest < 0 || rest > METADATA_BYTES_MAX) throw new FormatError("unreadable snapshot");
  cursor.seek(jsonEnd);
  const reader = new ProtoReader(Buffer.from(cursor.take(rest)));
  let metadata: Buffer | undefined;
  while (reader.next()) {
    if (reader.field === 2) metadata = reader.bytes();
    else reader.skip();
  }
  if (metadata === undefined) throw new FormatError("the snapshot has no metadata");
  return { path: cursor.path, jsonStart, jsonEnd, ...decodeMetadata(metadata) };
}

function decodeMetadata(
  metadata: Buffer,
): Pick<Snapshot2, "index" | "term" | "voters" | "learners"> {
  let index = 0;
  let term = 0;
  const voters: string[] = [];
  const learners: string[] = [];
  const reader = new ProtoReader(metadata);
  while (reader.next()) {
    if (reader.field === 1) {
      const conf = new ProtoReader(reader.bytes());
      while (conf.next()) {
        if (conf.field === 1) voters.push(conf.id());
        else if (conf.field === 2) learners.push(conf.id());
        else conf.skip();
      }
    } else if (reader.field === 2) index = reader.number();
    else if (reader.field === 3) term = reader.number();
    else reader.skip();
  }
  return { index, term, voters, learners };
}

function readTagged(bytes: Buffer, position: { at: number }, tag: number): number {
  if (bytes[position.at] !== tag) throw new FormatError("the file is no snapshot");
  position.at++;
  let value = 0;
  for (let scale = 1; scale < 2 ** 63; scale *= 128) {
    const byte = bytes[position.at];
    if (byte === undefined) break;
    position.at++;
    value += (byte & 127) * scale;
    if (byte < 128) return value;
  }
  throw new FormatError("the file is no snapshot");
}
