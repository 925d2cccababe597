/**
 * LogStorage in memory: the write-ahead log's twin for tests and the simulator.
 *
 * Whatever is saved counts as durable at once. Refuses to know about files; a test that wants to
 * lose unsynced data copies the storage at the point it wants to return to.
 */
import type {
  ConfState,
  Entry,
  HardState,
  Index,
  SnapshotMetadata,
  Term,
} from "../core/model/types.ts";
import { EMPTY_CONF_STATE, NOBODY } from "../core/model/types.ts";
import { MemoryLog } from "../wal/memory-log.ts";
import type { LogStorage } from "../core/model/log-storage.ts";

/** A log, a hard state and the place of the latest snapshot, all in memory. */
export class MemoryStorage implements LogStorage {
  readonly #log: MemoryLog;
  #hardState: HardState = { term: 0, vote: NOBODY, commit: 0 };
  #snapshot: SnapshotMetadata;

  /** Starts at `snapshot`, or empty and a member of nothing. */
  constructor(snapshot: SnapshotMetadata = { index: 0, term: 0, confState: EMPTY_CONF_STATE }) {
    this.#log = new MemoryLog(snapshot.index, snapshot.term);
    this.#snapshot = snapshot;
    if (snapshot.index > 0) {
      this.#hardState = { term: snapshot.term, vote: NOBODY, commit: snapshot.index };
    }
  }

  initialState(): { readonly hardState: HardState; readonly confState: ConfState } {
    return { hardState: this.#hardState, confState: this.#snapshot.confState };
  }

  firstIndex(): Index {
    return this.#log.firstIndex();
  }

  lastIndex(): Index {
    return this.#log.lastIndex();
  }

  term(index: Index): Term {
    return this.#log.term(index);
  }

  entries(lo: Index, hi: Index, bytesMax: number): readonly Entry[] {
    return this.#log.entries(lo, hi, bytesMax);
  }

  snapshot(): SnapshotMetadata {
    return this.#snapshot;
  }

  /** Stores the hard state of a Ready. */
  setHardState(hardState: HardState): void {
    this.#hardState = hardState;
  }

  /** Stores the entries of a Ready; they may overwrite a conflicting suffix. */
  append(entries: readonly Entry[]): void {
    this.#log.append(entries);
  }

  /** Records that the state machine stands at `snapshot`; the log is kept. */
  createSnapshot(snapshot: SnapshotMetadata): void {
    this.#snapshot = snapshot;
  }

  /** Replaces the log by a snapshot received from a leader. */
  installSnapshot(snapshot: SnapshotMetadata): void {
    this.#snapshot = snapshot;
    this.#log.reset(snapshot.index, snapshot.term);
  }

  /** Drops the entries up to and including `index`. */
  compact(index: Index): void {
    this.#log.compact(index);
  }
}
