/**
 * Prints a log readably, one record a line, up to the end or to where it is damaged. Owns the
 * layout of the lines. What an entry's data means is the caller's to say.
 */
import { decodeConfChange } from "../codec/records.ts";
import type { ConfState, Entry } from "../core/model/types.ts";
import { CodecError } from "../codec/codec-error.ts";
import type { FileSystem } from "./files/file-system.ts";
import type { WalDamage } from "./log-reader.ts";
import { nodeFileSystem } from "./files/node-file-system.ts";
import { readWal } from "./read-wal.ts";
import type { RecoveredLog, WalRecordContent } from "./replay.ts";

/** How a log is printed. */
export interface DumpOptions {
  readonly fileSystem?: FileSystem;
  /** One line about the data of a normal entry that is not empty. */
  readonly describeData?: (data: Uint8Array) => string;
  /** Also print where batches begin. Default false. */
  readonly showBatches?: boolean;
}

/** What a dump found: undamaged means that the log can be opened without loss. */
export interface DumpResult {
  readonly records: number;
  readonly damage: WalDamage | undefined;
}

/** Writes the dump line by line. */
export function dumpWal(
  directory: string,
  print: (line: string) => void,
  options: DumpOptions = {},
): DumpResult {
  const reading = readWal(directory, options.fileSystem ?? nodeFileSystem);
  const describe = options.describeData ?? ((data) => `${data.length} bytes`);
  let records = 0;
  let damage: WalDamage | undefined;
  for (;;) {
    const step = reading.next();
    if (step.done === true) {
      if (step.value !== undefined) print(summary(step.value));
      else if (damage === undefined) print(`there is no log in ${directory}`);
      return { records, damage };
    }
    const item = step.value;
    switch (item.kind) {
      case "obsolete":
        print(`${item.file}  not part of the log: left behind by an interrupted compaction`);
        break;
      case "damage":
        damage = item.damage;
        print(describeDamage(item.damage));
        break;
      case "record":
        records += 1;
        if (item.content.type === "batch" && options.showBatches !== true) break;
        print(`${item.file}:${item.offset}  ${describeRecord(item.content, describe)}`);
        break;
    }
  }
}

function describeRecord(content: WalRecordContent, describe: (data: Uint8Array) => string): string {
  switch (content.type) {
    case "metadata":
      return `metadata member=${content.metadata.memberId} cluster=${content.metadata.clusterId}`;
    case "hardState": {
      const { term, vote, commit } = content.hardState;
      return `hardState term=${term} vote=${vote === "" ? "-" : vote} commit=${commit}`;
    }
    case "compaction": {
      const { snapshot, keepFrom, previousTerm, isReset } = content.marker;
      const what = isReset ? "snapshot installed" : "compaction";
      return (
        `${what} index=${snapshot.index} term=${snapshot.term} keepFrom=${keepFrom} ` +
        `previousTerm=${previousTerm} ${describeConfState(snapshot.confState)}`
      );
    }
    case "batch":
      return "batch";
    case "entry":
      return describeEntry(content.entry, describe);
  }
}

function describeEntry(entry: Entry, describe: (data: Uint8Array) => string): string {
  const { term, index, type, data } = entry;
  const start = `entry term=${term} index=${index} ${type} ${data.length}B`;
  if (type === "confChange") return `${start}  ${describeConfChange(data)}`;
  return data.length === 0 ? `${start}  no-op` : `${start}  ${describe(data)}`;
}

function describeConfChange(data: Uint8Array): string {
  try {
    const { transition, changes } = decodeConfChange(data);
    const list = changes.map((change) => `${change.type} ${change.nodeId}`).join(", ");
    return `${transition}: ${list === "" ? "leave joint" : list}`;
  } catch (error) {
    if (error instanceof CodecError) return `undecodable: ${error.message}`;
    throw error;
  }
}

function describeConfState(state: ConfState): string {
  const parts = [`voters=${state.voters.join(",")}`];
  if (state.learners.length > 0) parts.push(`learners=${state.learners.join(",")}`);
  if (state.votersOutgoing.length > 0) parts.push(`outgoing=${state.votersOutgoing.join(",")}`);
  if (state.learnersNext.length > 0) parts.push(`learnersNext=${state.learnersNext.join(",")}`);
  return parts.join(" ");
}

function describeDamage(damage: WalDamage): string {
  const what =
    damage.kind === "tornTail"
      ? "torn tail, cut off at the next start"
      : "CORRUPTION, the member refuses to start";
  return `${damage.file}:${damage.offset}  ${what}: ${damage.problem}`;
}

function summary(state: RecoveredLog): string {
  const { log, hardState } = state;
  return (
    `entries ${log.firstIndex()}..${log.lastIndex()}, ` +
    `term ${hardState.term}, commit ${hardState.commit}`
  );
}
