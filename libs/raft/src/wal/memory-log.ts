/**
 * The in-memory window of log entries: everything after the compaction point.
 *
 * Owns the index arithmetic of a log that is appended to, cut at a conflict, compacted from the
 * front and replaced by a snapshot. Refuses to know whether its entries are durable: the
 * write-ahead log and memory-storage.ts each keep one and answer for that themselves.
 */
import { invariant } from "../core/model/invariant.ts";
import type { Entry, Index, Term } from "../core/model/types.ts";
import { RaftError } from "../core/model/errors.ts";

/** Fills the slots of dropped entries, so that their data can be collected. */
const DROPPED: Entry = { term: 0, index: 0, type: "normal", data: new Uint8Array(0) };

/** Below this many dropped slots the array is never moved. */
const DROPPED_SLOTS_MIN = 1024;

/** Consecutive entries (compactedIndex, lastIndex], plus the term at the compacted index. */
export class MemoryLog {
  /** Slots before #head are dropped; #slots[#head] is the entry compactedIndex + 1. */
  #slots: Entry[] = [];
  #head = 0;
  #compactedIndex: Index;
  #compactedTerm: Term;
  #bytes = 0;

  constructor(compactedIndex: Index, compactedTerm: Term) {
    this.#compactedIndex = compactedIndex;
    this.#compactedTerm = compactedTerm;
  }

  /** Bytes of entry data held. */
  get bytes(): number {
    return this.#bytes;
  }

  firstIndex(): Index {
    return this.#compactedIndex + 1;
  }

  lastIndex(): Index {
    return this.#compactedIndex + this.#slots.length - this.#head;
  }

  /**
   * Term of the entry at `index`; also answers for the compaction point.
   * @throws RaftError "compacted" below that, "unavailable" above lastIndex().
   */
  term(index: Index): Term {
    if (index === this.#compactedIndex) return this.#compactedTerm;
    this.#mustHold(index, index + 1);
    return this.#at(index).term;
  }

  /**
   * Entries in [lo, hi), at least one, then as many as fit in `bytesMax` of data.
   * @throws RaftError "compacted" or "unavailable" when part of the range is not held.
   */
  entries(lo: Index, hi: Index, bytesMax: number): readonly Entry[] {
    invariant(lo <= hi, `range [${lo}, ${hi}) is reversed`);
    this.#mustHold(lo, hi);
    const start = this.#slotOf(lo);
    const end = start + (hi - lo);
    let bytes = 0;
    let stop = start;
    while (stop < end) {
      bytes += (this.#slots[stop] ?? DROPPED).data.length;
      if (bytes > bytesMax && stop > start) break;
      stop += 1;
    }
    return this.#slots.slice(start, stop);
  }

  /**
   * Appends consecutive entries; what is held from the first of their indexes on is overwritten.
   * A gap, or an entry at or below the compaction point, breaks an invariant.
   */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    invariant(
      first.index > this.#compactedIndex && first.index <= this.lastIndex() + 1,
      `append at ${first.index} does not fit a log of ${this.firstIndex()}..${this.lastIndex()}`,
    );
    this.#cut(first.index);
    let expected = first.index;
    for (const entry of entries) {
      invariant(entry.index === expected, `gap: entry ${entry.index} where ${expected} is due`);
      this.#slots.push(entry);
      this.#bytes += entry.data.length;
      expected += 1;
    }
  }

  /**
   * Drops the entries up to and including `index` and remembers its term. A no-op at or below the
   * present compaction point.
   * @throws RaftError "unavailable" above lastIndex().
   */
  compact(index: Index): void {
    if (index <= this.#compactedIndex) return;
    const term = this.term(index);
    const head = this.#slotOf(index + 1);
    for (let slot = this.#head; slot < head; slot += 1) {
      this.#bytes -= (this.#slots[slot] ?? DROPPED).data.length;
      this.#slots[slot] = DROPPED;
    }
    this.#head = head;
    this.#compactedIndex = index;
    this.#compactedTerm = term;
    // Moving the survivors only once at least as many slots are dropped keeps the copying
    // proportional to what was dropped.
    if (this.#head >= DROPPED_SLOTS_MIN && this.#head * 2 >= this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Empties the log: a snapshot that ends at `index` and `term` has replaced it. */
  reset(index: Index, term: Term): void {
    this.#slots = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#compactedIndex = index;
    this.#compactedTerm = term;
  }

  /** Removes the entries from `index` on. */
  #cut(index: Index): void {
    const length = this.#slotOf(index);
    for (let slot = length; slot < this.#slots.length; slot += 1) {
      this.#bytes -= (this.#slots[slot] ?? DROPPED).data.length;
    }
    this.#slots.length = length;
  }

  #slotOf(index: Index): number {
    return this.#head + (index - this.#compactedIndex - 1);
  }

  #at(index: Index): Entry {
    const entry = this.#slots[this.#slotOf(index)];
    invariant(entry !== undefined && entry.index === index, `entry ${index} is not in its slot`);
    return entry;
  }

  #mustHold(lo: Index, hi: Index): void {
    if (lo <= this.#compactedIndex) {
      throw new RaftError("compacted", `index ${lo} is compacted up to ${this.#compactedIndex}`);
    }
    if (hi > this.lastIndex() + 1) {
      throw new RaftError("unavailable", `index ${hi - 1} is beyond the last, ${this.lastIndex()}`);
    }
  }
}
