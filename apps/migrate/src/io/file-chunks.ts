/** A part of a file as a sequence of chunks, for parsers that stream. */
import type { FileCursor } from "./file-cursor.ts";
import { FormatError } from "./format-error.ts";

const CHUNK_BYTES = 256 * 1024;

/** The bytes from `start` to `end`; each chunk is valid until the next one is asked for. */
export function* fileChunks(cursor: FileCursor, start: number, end: number): Generator<Buffer> {
  let position = start;
  while (position < end) {
    cursor.seek(position);
    const bytes = cursor.take(Math.min(CHUNK_BYTES, end - position));
    if (bytes.length === 0) throw new FormatError("the file became shorter while it was read");
    position += bytes.length;
    yield bytes;
  }
}
