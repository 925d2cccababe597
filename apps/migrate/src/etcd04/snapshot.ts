/**
 * Snapshot files of etcd 0.4: which one to use, its checksum, and the parts of the JSON object
 * around the store document. Streams: the document is base64 inside JSON and may be large.
 */
import { crc32 } from "node:zlib";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isDamage, MigrateError } from "../errors.ts";
import { fileChunks } from "../io/file-chunks.ts";
import { FileCursor } from "../io/file-cursor.ts";
import { decodeAt, FormatError } from "../io/format-error.ts";
import { JsonScanner } from "../io/json-scanner.ts";
import type { NoticeSink } from "../notices.ts";
import type { SourceNode, StoreDocument } from "../store-json.ts";
import { readStoreJson } from "../store-json.ts";

const NAME = /^(\d{1,15})_(\d{1,15})\.ss$/;

/** Eight hexadecimal digits and a line feed. */
const CHECKSUM_BYTES = 9;

export interface Snapshot04 {
  readonly path: string;
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly document: StoreDocument;
}

/** The paths of snapshots, newest first. */
export function listSnapshots04(directory: string): readonly string[] {
  const found: { path: string; term: number; index: number }[] = [];
  for (const name of readdirSync(directory)) {
    const match = NAME.exec(name);
    if (match === null) continue;
    found.push({ path: join(directory, name), term: Number(match[1]), index: Number(match[2]) });
  }
  found.sort((a, b) => b.term - a.term || b.index - a.index);
  return found.map(({ path }) => path);
}

/** The newest intact snapshot's path; damaged ones are stepped over with a notice. */
export function chooseSnapshot04(
  directory: string,
  notice: NoticeSink,
): { readonly path: string | undefined; readonly damaged: readonly MigrateError[] } {
  const damaged: MigrateError[] = [];
  for (const path of listSnapshots04(directory)) {
    try {
      checkSnapshot04(path);
      return { path, damaged };
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.push(error);
      const text = `damaged snapshot left aside: ${error.message}`;
      notice({ code: "damagedSnapshot", text, file: path, offset: error.offset ?? 0 });
    }
  }
  return { path: undefined, damaged };
}

/** @throws MigrateError "corrupt" unless the checksum is right. */
export function checkSnapshot04(path: string): void {
  const cursor = new FileCursor(path);
  try {
    const text = cursor.peek(CHECKSUM_BYTES).toString("latin1");
    if (!/^[0-9a-f]{8}\n$/i.test(text)) {
      throw new MigrateError("corrupt", "no checksum at the start", { file: path, offset: 0 });
    }
    let crc = 0;
    for (const chunk of fileChunks(cursor, CHECKSUM_BYTES, cursor.size)) crc = crc32(chunk, crc);
    if (crc !== Number.parseInt(text, 16)) {
      throw new MigrateError("corrupt", "crc mismatch", { file: path, offset: CHECKSUM_BYTES });
    }
  } finally {
    cursor.close();
  }
}

/** Reads a checked snapshot; calls `visit` for each node except the root. */
export function readSnapshot04(path: string, visit: (node: SourceNode) => void): Snapshot04 {
  const cursor = new FileCursor(path);
  try {
    return decodeAt(path, CHECKSUM_BYTES, () => {
      const chunks = fileChunks(cursor, CHECKSUM_BYTES, cursor.size);
      const scanner = new JsonScanner(chunks);
      let lastIndex = 0;
      let lastTerm = 0;
      let document: StoreDocument | undefined;
      scanner.object((key) => {
        if (key === "lastIndex") lastIndex = scanner.index();
        else if (key === "lastTerm") lastTerm = scanner.index();
        else if (key === "state") document = readStoreJson(base64(scanner.rawString()), visit);
        else scanner.value();
      });
      if (document === undefined) throw new FormatError("the snapshot has no state");
      return { path, lastIndex, lastTerm, document };
    });
  } finally {
    cursor.close();
  }
}

/** Decodes base64 that comes in chunks of any length. */
function* base64(chunks: Iterable<Buffer>): Generator<Buffer> {
  let rest = "";
  for (const chunk of chunks) {
    const text = rest + chunk.toString("latin1");
    const usable = text.length - (text.length % 4);
    rest = text.slice(usable);
    if (usable > 0) yield Buffer.from(text.slice(0, usable), "base64");
  }
  if (rest !== "") throw new FormatError("the state is not base64");
}
