/** The files of a write-ahead log directory: names, order, gaps. Opens none of them. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { MigrateError } from "../errors.ts";
import type { NoticeSink } from "../notices.ts";

const NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/;

/** Files that servers leave behind and that carry nothing. */
const HARMLESS = /^(?:\.touch|.*\.broken|.*\.tmp)$/;

export interface Segment {
  readonly path: string;
  readonly sequence: number;
  /** First raft index the file may hold. */
  readonly firstIndex: number;
  readonly sizeBytes: number;
}

/** All segments in order of sequence. */
export function listSegments(walDir: string, notice: NoticeSink): readonly Segment[] {
  const segments: Segment[] = [];
  for (const name of readdirSync(walDir).sort()) {
    const match = NAME.exec(name);
    const path = join(walDir, name);
    if (match === null) {
      if (!HARMLESS.test(name)) notice({ code: "ignoredFile", text: "is no log file", file: path });
      continue;
    }
    segments.push({
      path,
      sequence: Number.parseInt(match[1] ?? "", 16),
      firstIndex: Number.parseInt(match[2] ?? "", 16),
      sizeBytes: statSync(path).size,
    });
  }
  return segments;
}

/**
 * The segments to read for a start behind `snapshotIndex`: from the last one that begins at or
 * before it to the newest.
 * @throws MigrateError "missing" when one of them is not there.
 */
export function chooseSegments(
  segments: readonly Segment[],
  snapshotIndex: number,
  walDir: string,
): readonly Segment[] {
  const start = segments.findLastIndex((segment) => segment.firstIndex <= snapshotIndex);
  const first = segments[0];
  if (first === undefined) {
    throw new MigrateError("missing", "there is no log file here", { file: walDir });
  }
  if (start < 0) {
    throw new MigrateError(
      "missing",
      `the log begins at raft index ${first.firstIndex}, but nothing covers what comes before ` +
        `(snapshot at ${snapshotIndex})`,
      { file: first.path, remedy: "take the data directory of another member" },
    );
  }
  const chosen = segments.slice(start);
  for (const [i, segment] of chosen.entries()) {
    const previous = chosen[i - 1];
    if (previous !== undefined && segment.sequence !== previous.sequence + 1) {
      throw new MigrateError(
        "missing",
        `a log file is missing: sequence ${segment.sequence} follows ${previous.sequence}`,
        { file: segment.path, remedy: "take the data directory of another member" },
      );
    }
  }
  return chosen;
}
