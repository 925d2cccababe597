/**
 * What the records of a log add up to: entries, hard state, compaction point.
 *
 * Works from any segment on, so the entries of a replay may begin later than the log does: what a
 * compaction marker further on drops need not be there. Owns the rules by which records follow one
 * another. A breach of them in records whose checksums are right is a ReplayError.
 */
import { decodeEntry, decodeHardState } from "../codec/records.ts";
import type { Entry, HardState, Index } from "../core/model/types.ts";
import { NOBODY } from "../core/model/types.ts";
import { MemoryLog } from "./memory-log.ts";
import { decodeCompaction, decodeMetadata, RECORD_TYPE } from "./format/record.ts";
import type { CompactionMarker, WalMetadata } from "./format/record.ts";
import type { RawRecord } from "./format/segment-reader.ts";

/** Records that cannot have been written by this program in this order. */
export class ReplayError extends Error {
  override readonly name = "ReplayError";
}

/** A decoded record. */
export type WalRecordContent =
  | { readonly type: "metadata"; readonly metadata: WalMetadata }
  | { readonly type: "entry"; readonly entry: Entry }
  | { readonly type: "hardState"; readonly hardState: HardState }
  | { readonly type: "compaction"; readonly marker: CompactionMarker }
  | { readonly type: "batch" };

/** @throws CodecError or ReplayError for a payload that is not what its type says. */
export function decodeRecord(record: RawRecord): WalRecordContent {
  switch (record.type) {
    case RECORD_TYPE.entry:
      return { type: "entry", entry: decodeEntry(record.payload) };
    case RECORD_TYPE.hardState:
      return { type: "hardState", hardState: decodeHardState(record.payload) };
    case RECORD_TYPE.batch:
      return { type: "batch" };
    case RECORD_TYPE.metadata:
      return { type: "metadata", metadata: decodeMetadata(record.payload) };
    case RECORD_TYPE.compaction:
      return { type: "compaction", marker: decodeCompaction(record.payload) };
    default:
      throw new ReplayError(`a record of unknown type ${record.type}`);
  }
}

/** The outcome of a replay. */
export interface RecoveredLog {
  readonly metadata: WalMetadata;
  readonly hardState: HardState;
  readonly marker: CompactionMarker | undefined;
  readonly log: MemoryLog;
}

/** What the records of a log add up to. */
export class Replay {
  #metadata: WalMetadata | undefined;
  #hardState: HardState = { term: 0, vote: NOBODY, commit: 0 };
  #marker: CompactionMarker | undefined;
  /** Consecutive entries from #base on. */
  #entries: Entry[] = [];
  #base: Index;

  /** `firstIndex` is that of the first segment read. */
  constructor(firstIndex: Index) {
    this.#base = firstIndex;
  }

  /** @throws ReplayError when the record cannot follow what came before. */
  apply(record: WalRecordContent): void {
    switch (record.type) {
      case "entry":
        this.#append(record.entry);
        return;
      case "hardState":
        this.#hardState = record.hardState;
        return;
      case "metadata":
        this.#setMetadata(record.metadata);
        return;
      case "compaction":
        this.#compact(record.marker);
        return;
      case "batch":
        return;
    }
  }

  /** @throws ReplayError when what was read is not the whole log. */
  finish(): RecoveredLog {
    if (this.#metadata === undefined) throw new ReplayError("the log does not say whose it is");
    const keepFrom = this.#marker?.keepFrom ?? 1;
    if (this.#base !== keepFrom) {
      throw new ReplayError(
        `the log starts at index ${keepFrom}, but the segments begin at ${this.#base}: ` +
          "a segment is missing",
      );
    }
    const log = new MemoryLog(keepFrom - 1, this.#marker?.previousTerm ?? 0);
    log.append(this.#entries);
    if (this.#hardState.commit > log.lastIndex()) {
      throw new ReplayError(
        `index ${this.#hardState.commit} is committed, but the entries end at ${log.lastIndex()}`,
      );
    }
    return {
      metadata: this.#metadata,
      hardState: atLeast(this.#hardState, this.#marker),
      marker: this.#marker,
      log,
    };
  }

  #append(entry: Entry): void {
    const end = this.#base + this.#entries.length;
    if (entry.index > end) {
      throw new ReplayError(`entry ${entry.index} where ${end} is due`);
    }
    if (entry.index >= this.#base) {
      if (entry.index < end) this.#entries.length = entry.index - this.#base;
      this.#entries.push(entry);
      return;
    }
    if (entry.index < (this.#marker?.keepFrom ?? 1)) {
      throw new ReplayError(`entry ${entry.index} is below the compaction point`);
    }
    // It overwrites entries of segments that are gone.
    this.#base = entry.index;
    this.#entries = [entry];
  }

  #setMetadata(metadata: WalMetadata): void {
    const known = this.#metadata;
    this.#metadata = metadata;
    if (known === undefined) return;
    if (known.memberId !== metadata.memberId || known.clusterId !== metadata.clusterId) {
      throw new ReplayError(
        `a record says member ${metadata.memberId} of cluster ${metadata.clusterId}, ` +
          `the ones before it member ${known.memberId} of cluster ${known.clusterId}`,
      );
    }
  }

  #compact(marker: CompactionMarker): void {
    this.#marker = marker;
    if (marker.isReset) {
      this.#base = marker.keepFrom;
      this.#entries = [];
      return;
    }
    const dropped = marker.keepFrom - this.#base;
    if (dropped > this.#entries.length) {
      throw new ReplayError(
        `compacted up to ${marker.keepFrom - 1}, but the entries end at ` +
          `${this.#base + this.#entries.length - 1}`,
      );
    }
    if (dropped <= 0) return;
    this.#entries = this.#entries.slice(dropped);
    this.#base = marker.keepFrom;
  }
}

/**
 * The hard state that holds at a compaction point. A crash between a snapshot's marker and the hard
 * state that goes with it loses the latter, and a change of commit alone may not have been saved.
 */
export function atLeast(hardState: HardState, marker: CompactionMarker | undefined): HardState {
  if (marker === undefined) return hardState;
  const { index, term } = marker.snapshot;
  const raised: HardState =
    hardState.term >= term ? hardState : { term, vote: NOBODY, commit: hardState.commit };
  return raised.commit >= index ? raised : { ...raised, commit: index };
}
