/**
 * The log as the protocol sees it: the durable part read through the storage port, the unstable
 * tail behind it, and two cursors over both.
 *
 *     compacted ≤ applied ≤ committed ≤ last
 *
 * Owns consistency checks and conflict hints (paper §5.3). Refuses to know members and roles.
 */
import type { LogStorage } from "../model/log-storage.ts";
import { invariant } from "../model/invariant.ts";
import type { Entry, Index, SnapshotMetadata, Term } from "../model/types.ts";
import { Unstable } from "./unstable.ts";

/** Where a log ends: what elections compare. */
export interface LogEnd {
  readonly index: Index;
  readonly term: Term;
}

/** True when a log that ends at `a` is at least as complete as one that ends at `b` (§5.4.1). */
export function isUpToDate(a: LogEnd, b: LogEnd): boolean {
  return a.term > b.term || (a.term === b.term && a.index >= b.index);
}

/**
 * The whole log as the core sees it: what is durable, what is not yet, and how far it is committed
 * and applied.
 */
export class RaftLog {
  readonly #storage: LogStorage;
  readonly #unstable: Unstable;
  #committed: Index;
  #applied: Index;

  /** `committed` as found on disk may lag behind what was compacted or applied. */
  constructor(storage: LogStorage, committed: Index, applied: Index) {
    const compacted = storage.firstIndex() - 1;
    const last = storage.lastIndex();
    this.#storage = storage;
    this.#unstable = new Unstable(last + 1);
    this.#applied = Math.max(applied, compacted);
    this.#committed = Math.max(committed, this.#applied);
    invariant(
      this.#committed <= last,
      `commit ${this.#committed} is beyond the log's end, ${last}`,
    );
  }

  get committed(): Index {
    return this.#committed;
  }

  get applied(): Index {
    return this.#applied;
  }

  get lastIndex(): Index {
    return this.#unstable.lastIndex;
  }

  get lastTerm(): Term {
    return this.termAt(this.lastIndex);
  }

  /** First index still readable. */
  get firstIndex(): Index {
    const snapshot = this.#unstable.snapshot;
    return snapshot === undefined ? this.#storage.firstIndex() : snapshot.index + 1;
  }

  /** Highest index that is durable on this member and still part of its log. */
  get stableIndex(): Index {
    return this.#unstable.offset - 1;
  }

  /** A snapshot the log was restored to and that the host has not persisted yet. */
  get pendingSnapshot(): SnapshotMetadata | undefined {
    return this.#unstable.snapshot;
  }

  /** Term at `index`; 0 when it is compacted away, beyond the end, or before the first entry. */
  termAt(index: Index): Term {
    if (index >= this.#unstable.offset) return this.#unstable.termAt(index);
    const snapshot = this.#unstable.snapshot;
    if (snapshot !== undefined) return index === snapshot.index ? snapshot.term : 0;
    return index < this.#storage.firstIndex() - 1 ? 0 : this.#storage.term(index);
  }

  hasEntry(index: Index, term: Term): boolean {
    return index <= this.lastIndex && this.termAt(index) === term;
  }

  /** Entries in [lo, hi): at least one, then as many as fit in `bytesMax` of data. */
  entries(lo: Index, hi: Index, bytesMax: number): readonly Entry[] {
    if (lo >= hi) return [];
    const offset = this.#unstable.offset;
    if (lo >= offset) return this.#unstableEntries(lo, hi, bytesMax);
    const stableHi = Math.min(hi, offset);
    const stable = this.#storage.entries(lo, stableHi, bytesMax);
    if (hi <= offset || stable.length < stableHi - lo) return stable;
    const rest = this.#unstableEntries(offset, hi, bytesMax - byteLength(stable));
    // The second part must obey the bound strictly: the first already holds an entry.
    return byteLength(stable) + byteLength(rest) > bytesMax ? stable : stable.concat(rest);
  }

  #unstableEntries(lo: Index, hi: Index, bytesMax: number): readonly Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    for (let index = lo; index < hi; index += 1) {
      const entry = this.#unstable.entryAt(index);
      invariant(entry !== undefined, `entry ${index} is beyond the log's end`);
      bytes += entry.data.length;
      if (bytes > bytesMax && index > lo) break;
      entries.push(entry);
    }
    return entries;
  }

  /** Entries the host has to make durable. */
  unstableEntries(): readonly Entry[] {
    return this.#unstable.entries();
  }

  get hasUnstableEntries(): boolean {
    return this.#unstable.length > 0;
  }

  /** Last index that may be handed out for applying: committed, durable here, no snapshot due. */
  get #applicable(): Index {
    if (this.#unstable.snapshot !== undefined) return this.#applied;
    return Math.min(this.#committed, this.stableIndex);
  }

  get hasCommittedEntries(): boolean {
    return this.#applicable > this.#applied;
  }

  /** The next entries to apply, up to `bytesMax` of data. */
  committedEntries(bytesMax: number): readonly Entry[] {
    return this.entries(this.#applied + 1, this.#applicable + 1, bytesMax);
  }

  /** Appends a leader's own entries. */
  append(entries: readonly Entry[]): void {
    this.#unstable.append(entries);
  }

  /**
   * Takes entries from a leader whose log has `prev` just before them. Entries that are here
   * already are skipped, a conflicting suffix is replaced (paper §5.3).
   * @returns the last index that now agrees with the leader, or -1 when `prev` is not here.
   */
  appendAfter(prev: LogEnd, entries: readonly Entry[]): Index {
    if (!this.hasEntry(prev.index, prev.term)) return -1;
    let known = 0;
    for (const entry of entries) {
      if (!this.hasEntry(entry.index, entry.term)) break;
      known += 1;
    }
    if (known < entries.length) {
      const conflict = prev.index + 1 + known;
      invariant(
        conflict > this.#committed,
        `entry ${conflict} conflicts with one committed up to ${this.#committed}`,
      );
      this.#unstable.append(known === 0 ? entries : entries.slice(known));
    }
    return prev.index + entries.length;
  }

  /**
   * The highest index at or below `index` whose term is at most `term`: no entry above it can
   * agree with a log that has `term` there. Lets both sides skip a whole term per round.
   */
  lastAtMost(index: Index, term: Term): LogEnd {
    let at = Math.min(index, this.lastIndex);
    const floor = this.firstIndex - 1;
    while (at > floor && this.termAt(at) > term) at -= 1;
    return { index: at, term: this.termAt(at) };
  }

  /** @returns false when `index` was committed before. */
  commitTo(index: Index): boolean {
    if (index <= this.#committed) return false;
    invariant(
      index <= this.lastIndex,
      `commit ${index} is beyond the log's end, ${this.lastIndex}: was the log lost?`,
    );
    this.#committed = index;
    return true;
  }

  appliedTo(index: Index): void {
    invariant(index <= this.#committed, `applied ${index} is not committed`);
    this.#applied = Math.max(this.#applied, index);
  }

  /** The host made the log durable up to this entry. */
  stableTo(index: Index, term: Term): void {
    this.#unstable.stableTo(index, term);
  }

  snapshotStable(index: Index): void {
    this.#unstable.snapshotStable(index);
  }

  /** Replaces the whole log by a snapshot. */
  restore(snapshot: SnapshotMetadata): void {
    this.#unstable.restore(snapshot);
    this.#committed = snapshot.index;
  }

  /** Where a snapshot taken now would stand. */
  snapshot(): SnapshotMetadata {
    return this.#storage.snapshot();
  }
}

/** Bytes of data in `entries`. */
export function byteLength(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.data.length;
  return bytes;
}
