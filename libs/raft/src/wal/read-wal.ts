/**
 * Reads a log record by record without opening it: for the dump tool, for checks and for tests.
 * Takes no lock and changes nothing, so it may be used on the log of a running member; what is
 * being written at that moment then looks like a torn tail.
 */
import type { FileSystem } from "./files/file-system.ts";
import { asDamage, readSegments, selectSegments } from "./log-reader.ts";
import type { WalDamage } from "./log-reader.ts";
import { nodeFileSystem } from "./files/node-file-system.ts";
import { RECORD_HEADER_BYTES } from "./format/record.ts";
import { decodeRecord, Replay } from "./replay.ts";
import type { RecoveredLog, WalRecordContent } from "./replay.ts";
import { listSegments } from "./format/segment.ts";

/** One record and where it stands. */
export interface WalRecord {
  readonly kind: "record";
  readonly file: string;
  readonly offset: number;
  /** Length of the record, its header included. */
  readonly bytes: number;
  readonly content: WalRecordContent;
}

/** What reading a log comes upon. After damage comes nothing more. */
export type WalItem =
  | WalRecord
  /** A file that is not part of the log: what an interrupted compaction left behind. */
  | { readonly kind: "obsolete"; readonly file: string }
  | { readonly kind: "damage"; readonly damage: WalDamage };

/**
 * All records in a log directory in order, up to the end or the first damage.
 * @returns the state that the records up to there add up to; undefined when they are not a log by
 * themselves.
 */
export function* readWal(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Generator<WalItem, RecoveredLog | undefined, undefined> {
  const { log, obsolete } = selectSegments(listSegments(fileSystem, directory));
  const first = log[0];
  if (first === undefined) return undefined;
  for (const segment of obsolete) yield { kind: "obsolete", file: segment.file };
  const replay = new Replay(first.firstIndex);
  for (const part of readSegments(fileSystem, directory, log)) {
    if (part.kind === "damage") {
      yield { kind: "damage", damage: part.damage };
      if (part.damage.kind === "corruption") return prefixState(replay);
    }
    if (part.kind !== "batch") continue;
    const { file } = part.segment;
    for (const { offset, payload, ...raw } of part.batch.records) {
      let content: WalRecordContent;
      try {
        content = decodeRecord({ offset, payload, ...raw });
        replay.apply(content);
      } catch (error) {
        const damage = asDamage(error, file, offset, part.batch.offset);
        if (damage === undefined) throw error;
        yield { kind: "damage", damage };
        return prefixState(replay);
      }
      const bytes = RECORD_HEADER_BYTES + payload.length;
      yield { kind: "record", file, offset, bytes, content };
    }
  }
  try {
    return replay.finish();
  } catch (error) {
    const damage = asDamage(error, first.file, 0, 0);
    if (damage === undefined) throw error;
    yield { kind: "damage", damage };
    return undefined;
  }
}

/** The state before damage that was reported already, if it is one. */
function prefixState(replay: Replay): RecoveredLog | undefined {
  try {
    return replay.finish();
  } catch (error) {
    if (asDamage(error, "", 0, 0) === undefined) throw error;
    return undefined;
  }
}
