/**
 * The tail of the log that is not yet durable here, and a snapshot on its way in. Owns the entries
 * between the host's storage and the end of the log; refuses to know commit and apply.
 */
import { invariant } from "../model/invariant.ts";
import type { Entry, Index, SnapshotMetadata, Term } from "../model/types.ts";

/** The entries that the host has not made durable yet. */
export class Unstable {
  #entries: Entry[] = [];
  /** Index of the first entry here, even when there is none. */
  #offset: Index;
  #snapshot: SnapshotMetadata | undefined;

  constructor(offset: Index) {
    this.#offset = offset;
  }

  get offset(): Index {
    return this.#offset;
  }

  get lastIndex(): Index {
    return this.#offset + this.#entries.length - 1;
  }

  get length(): number {
    return this.#entries.length;
  }

  /** A snapshot the log was restored to, until the host has persisted its metadata. */
  get snapshot(): SnapshotMetadata | undefined {
    return this.#snapshot;
  }

  /** Term of an entry held here; 0 for any other index. */
  termAt(index: Index): Term {
    return this.#entries[index - this.#offset]?.term ?? 0;
  }

  entryAt(index: Index): Entry | undefined {
    return this.#entries[index - this.#offset];
  }

  /** A copy of everything held: the host may keep it while the log goes on. */
  entries(): readonly Entry[] {
    return this.#entries.slice();
  }

  /** Appends from the first entry's index on; what was there before is cut off. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    invariant(first.index <= this.lastIndex + 1, `gap before entry ${first.index}`);
    if (first.index <= this.#offset) {
      this.#offset = first.index;
      this.#entries = [];
    } else {
      this.#entries.length = first.index - this.#offset;
    }
    for (const entry of entries) this.#entries.push(entry);
  }

  /**
   * The host made the log durable up to this entry. Ignored when the entry has been cut off
   * since: then what is durable is not what the log holds.
   */
  stableTo(index: Index, term: Term): void {
    if (index < this.#offset || this.termAt(index) !== term) return;
    this.#entries = index === this.lastIndex ? [] : this.#entries.slice(index + 1 - this.#offset);
    this.#offset = index + 1;
  }

  /** Replaces everything by a snapshot. */
  restore(snapshot: SnapshotMetadata): void {
    this.#offset = snapshot.index + 1;
    this.#entries = [];
    this.#snapshot = snapshot;
  }

  /** The host persisted the snapshot at `index`. */
  snapshotStable(index: Index): void {
    if (this.#snapshot?.index === index) this.#snapshot = undefined;
  }
}
