/**
 * Reads a log directory: which segments make up the log, all batches in order up to the end or to
 * the first damage, and the state they add up to. Never writes. Owns the wording of what is wrong
 * with a log and what an operator can do about it.
 */
import { FatalError } from "../core/model/errors.ts";
import type { FileSystem } from "./files/file-system.ts";
import { BATCH_RECORD_BYTES, RECORD_TYPE } from "./format/record.ts";
import { decodeRecord, Replay, ReplayError } from "./replay.ts";
import type { RecoveredLog } from "./replay.ts";
import { HEAD_OFFSET, listSegments, pathIn, segmentName } from "./format/segment.ts";
import type { SegmentName } from "./format/segment.ts";
import { SegmentReader } from "./format/segment-reader.ts";
import type { Damage, RawBatch } from "./format/segment-reader.ts";
import { CodecError } from "../codec/codec-error.ts";
import { InvariantError } from "../core/model/invariant.ts";

/** Something wrong with a log, and where. */
export interface WalDamage extends Damage {
  readonly file: string;
}

/** One step of reading a log in order; after "damage" comes nothing more. */
export type LogPart =
  | { readonly kind: "batch"; readonly segment: SegmentName; readonly batch: RawBatch }
  | {
      readonly kind: "end";
      readonly segment: SegmentName;
      readonly end: number;
      readonly rollingCrc: number;
    }
  | {
      readonly kind: "damage";
      readonly segment: SegmentName;
      readonly damage: WalDamage;
      readonly rollingCrc: number;
      /** Where the last byte ends that is not zero. */
      readonly endOfContent: number;
    };

/** The segments of a directory, told apart. */
export interface SegmentSelection {
  /** Consecutive segments up to the last one: the log. */
  readonly log: readonly SegmentName[];
  /** What an interrupted compaction left behind. */
  readonly obsolete: readonly SegmentName[];
}

/**
 * Tells the log from older segments. Compaction removes segments oldest first, but a crash may
 * undo any of the removals, so gaps are legal as long as the run after the last one is the whole
 * log: the replay finds out.
 */
export function selectSegments(segments: readonly SegmentName[]): SegmentSelection {
  let start = segments.length - 1;
  while (start > 0 && segments[start - 1]?.sequence === (segments[start]?.sequence ?? 0) - 1) {
    start -= 1;
  }
  start = Math.max(0, start);
  return { log: segments.slice(start), obsolete: segments.slice(0, start) };
}

/** Reads the given consecutive segments. */
export function* readSegments(
  fileSystem: FileSystem,
  directory: string,
  segments: readonly SegmentName[],
): Generator<LogPart, void, undefined> {
  let rollingCrc: number | undefined;
  for (const segment of segments) {
    const isLast = segment === segments.at(-1);
    const file = fileSystem.open(pathIn(directory, segment.file), "read");
    try {
      const reader = new SegmentReader(fileSystem, file, segment, isLast);
      const damage = reader.readStart() ?? validateCrcChain(rollingCrc, reader.rollingCrc);
      if (damage !== undefined) {
        yield damagePart(reader, damage);
        return;
      }
      for (let part = reader.next(); part.kind !== "end"; part = reader.next()) {
        if (part.kind === "damage") {
          yield damagePart(reader, part.damage);
          return;
        }
        yield { kind: "batch", segment, batch: part.batch };
      }
      rollingCrc = reader.rollingCrc;
      yield { kind: "end", segment, end: reader.offset, rollingCrc };
    } finally {
      fileSystem.close(file);
    }
  }
}

function damagePart(reader: SegmentReader, damage: Damage): LogPart {
  return {
    kind: "damage",
    segment: reader.name,
    damage: { ...damage, file: reader.name.file },
    rollingCrc: reader.rollingCrc,
    endOfContent: reader.endOfContent(damage.batchOffset),
  };
}

/** A whole log, ready to be opened for writing. */
export interface Recovery extends RecoveredLog {
  readonly segments: readonly SegmentName[];
  readonly obsolete: readonly SegmentName[];
  readonly tail: SegmentName;
  /** End of the verified data in the last segment. */
  readonly end: number;
  /** End of the head batch of the last segment. */
  readonly headEnd: number;
  /** Where the last byte of the last segment ends that is not zero. */
  readonly endOfContent: number;
  /** Offset in the last segment before which nothing has to be made durable again. */
  readonly synced: number;
  readonly rollingCrc: number;
  /** The log was closed in good order, and nothing was written since. */
  readonly isClosed: boolean;
  /** Present when the log ends in a torn tail. */
  readonly tornTail: WalDamage | undefined;
  readonly bytesSinceCompaction: number;
}

/**
 * Reads the log in a directory into memory.
 * @throws FatalError when there is none, or when it must not be used.
 */
export function recover(fileSystem: FileSystem, directory: string): Recovery {
  const { log, obsolete } = selectSegments(listSegments(fileSystem, directory));
  const first = log[0];
  const tail = log.at(-1);
  if (first === undefined || tail === undefined) {
    throw new FatalError(`open wal error: there is no log in ${directory}`);
  }
  const replay = new Replay(first.firstIndex);
  const place = { end: 0, headEnd: 0, endOfContent: 0, synced: 0, rollingCrc: 0, isClosed: false };
  let tornTail: WalDamage | undefined;
  let bytesSinceCompaction = 0;
  for (const part of readSegments(fileSystem, directory, log)) {
    if (part.kind === "batch") {
      const { batch, segment } = part;
      applyBatch(replay, directory, segment, batch);
      if (batch.offset === HEAD_OFFSET) place.headEnd = batch.end;
      place.synced = batch.synced;
      place.isClosed = batch.end - batch.offset === BATCH_RECORD_BYTES;
      if (isCompaction(batch)) bytesSinceCompaction = 0;
      else bytesSinceCompaction += batch.end - batch.offset;
      continue;
    }
    place.rollingCrc = part.rollingCrc;
    if (part.kind === "end") {
      place.end = part.end;
      place.endOfContent = part.end;
      continue;
    }
    if (part.damage.kind === "corruption") throw damageError(directory, part.damage);
    tornTail = part.damage;
    place.end = tornTail.batchOffset;
    place.endOfContent = part.endOfContent;
  }
  const state = finishReplay(replay, directory, first);
  return { ...state, ...place, segments: log, obsolete, tail, tornTail, bytesSinceCompaction };
}

/** What stops the member when its log is damaged: where, what, and the way out. */
function damageError(directory: string, damage: WalDamage, cause?: unknown): FatalError {
  const path = pathIn(directory, damage.file);
  return new FatalError(
    `open wal error: ${path} at offset ${damage.offset}: ${damage.problem}. ` +
      (damage.isOtherVersion === true ? OTHER_RELEASE : WAY_OUT),
    { cause },
  );
}

const OTHER_RELEASE =
  "Another release of this program wrote it: start that release again, or restore a backup.";

const WAY_OUT =
  "Acknowledged writes may be missing from this log, so this member must not go on with it. " +
  "Rebuild the member from its peers (remove it from the cluster, clear its data directory, add " +
  "it again), or restore a backup.";

function applyBatch(
  replay: Replay,
  directory: string,
  segment: SegmentName,
  batch: RawBatch,
): void {
  for (const record of batch.records) {
    try {
      replay.apply(decodeRecord(record));
    } catch (error) {
      const damage = asDamage(error, segment.file, record.offset, batch.offset);
      if (damage === undefined) throw error;
      throw damageError(directory, damage, error);
    }
  }
}

function finishReplay(replay: Replay, directory: string, first: SegmentName): RecoveredLog {
  try {
    return replay.finish();
  } catch (error) {
    const missing = segmentName(Math.max(0, first.sequence - 1), 0).file.slice(0, 16);
    const problem = error instanceof ReplayError ? error.message : undefined;
    if (problem === undefined) throw error;
    const hint = first.sequence > 0 ? ` (looked for ${missing}-*.wal)` : "";
    const found: WalDamage = {
      ...{ kind: "corruption", file: first.file, offset: 0, batchOffset: 0 },
      problem: problem + hint,
    };
    throw damageError(directory, found, error);
  }
}

/** Damage for an error that a record caused, undefined for any other error. */
export function asDamage(
  error: unknown,
  file: string,
  offset: number,
  batchOffset: number,
): WalDamage | undefined {
  const isExpected =
    error instanceof ReplayError || error instanceof CodecError || error instanceof InvariantError;
  if (!isExpected) return undefined;
  return { kind: "corruption", file, offset, batchOffset, problem: error.message };
}

function validateCrcChain(rollingCrc: number | undefined, start: number): Damage | undefined {
  if (rollingCrc === undefined || rollingCrc === start) return undefined;
  const problem = "the checksum chain does not go on from the segment before";
  return { kind: "corruption", offset: HEAD_OFFSET, batchOffset: HEAD_OFFSET, problem };
}

/** A marker in the head of a segment repeats an earlier one. */
function isCompaction(batch: RawBatch): boolean {
  if (batch.offset === HEAD_OFFSET) return false;
  return batch.records.some((record) => record.type === RECORD_TYPE.compaction);
}
