/**
 * The rules no run may break (Raft paper, figure 3), checked while it happens: one leader a term,
 * logs that match, leaders that hold what was committed, one value at an index, acknowledged writes
 * that stay, writes that take effect once, reads that are at least as new as what was committed when they began. It sees all
 * members at once and knows nothing of how they came to do what they did.
 */
import type { Entry, Index, NodeId, Term } from "../../src/core/model/types.ts";
import { decodeWrite, digestAfter } from "./machine.ts";
import type { MachineState } from "./machine.ts";

/** A rule was broken. */
export class Violation extends Error {
  override readonly name = "Violation";
}

interface Stored {
  readonly entry: Entry;
  readonly previousTerm: Term;
}

interface Committed {
  readonly entry: Entry;
  /** Term of the member that was first seen to apply it: the entry was committed by then. */
  readonly byTerm: Term;
  readonly digest: number;
}

/** What is read of a member's log. */
export interface ReadableLog {
  firstIndex(): Index;
  lastIndex(): Index;
  term(index: Index): Term;
}

export class Checker {
  readonly #leaders = new Map<Term, NodeId>();
  readonly #stored = new Map<string, Stored>();
  /** The entry of index i stands at i - 1. */
  readonly #committed: Committed[] = [];
  readonly #acknowledged = new Map<number, Index>();
  readonly #newest = new Map<string, Index>();
  /** Where each write was committed. */
  readonly #writes = new Map<number, Index>();
  reads = 0;
  elections = 0;

  get committedIndex(): Index {
    return this.#committed.length;
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  get lastTerm(): Term {
    return Math.max(0, ...this.#leaders.keys());
  }

  /** A member leads: nobody else may in this term, and nothing committed before may be missing. */
  leads(id: NodeId, term: Term, log: ReadableLog): void {
    const known = this.#leaders.get(term);
    if (known === id) return;
    if (known !== undefined) {
      throw new Violation(`election safety: ${known} and ${id} both lead term ${term}`);
    }
    this.#leaders.set(term, id);
    this.elections += 1;
    for (let index = log.firstIndex(); index <= this.#committed.length; index += 1) {
      const { entry, byTerm } = this.#at(index);
      if (byTerm >= term) continue;
      const held = index <= log.lastIndex() ? log.term(index) : 0;
      if (held !== entry.term) {
        throw new Violation(
          `leader completeness: ${id} leads term ${term} with term ${held} at ${index}, where ${entry.term} was committed`,
        );
      }
    }
  }

  /** A member stored an entry behind one of `previousTerm`: wherever that is held, both are. */
  stores(id: NodeId, entry: Entry, previousTerm: Term): void {
    const place = `${entry.term}.${entry.index}`;
    const known = this.#stored.get(place);
    if (known === undefined) {
      this.#stored.set(place, { entry, previousTerm });
    } else if (known.previousTerm !== previousTerm || !isSame(known.entry, entry)) {
      throw new Violation(`log matching: ${id} holds another entry ${place}`);
    }
  }

  /** A member in `byTerm` applied an entry, which led to `digest`. */
  applies(id: NodeId, entry: Entry, byTerm: Term, digest: number): void {
    const { index } = entry;
    if (index > this.#committed.length + 1) {
      throw new Violation(`state machine safety: ${id} applies ${index} before its predecessor`);
    }
    if (index === this.#committed.length + 1) {
      const digestBefore = this.#committed.at(-1)?.digest ?? 0;
      this.#committed.push({ entry, byTerm, digest: digestAfter(digestBefore, entry) });
      if (entry.type === "normal" && entry.data.length > 0) {
        const write = decodeWrite(entry.data);
        const before = this.#writes.get(write.id);
        if (before !== undefined) {
          throw new Violation(`write ${write.id} takes effect at ${before} and again at ${index}`);
        }
        this.#writes.set(write.id, index);
        this.#newest.set(write.key, index);
      }
    }
    const known = this.#at(index);
    if (known.digest !== digest || !isSame(known.entry, entry)) {
      throw new Violation(
        `state machine safety: ${id} applies ${entry.term}.${index} where ${known.entry.term}.${index} was applied`,
      );
    }
  }

  /** A whole state was taken over from elsewhere, or found on disk. */
  stands(id: NodeId, state: MachineState): void {
    if (state.index === 0) return;
    if (state.index > this.#committed.length || this.#at(state.index).digest !== state.digest) {
      throw new Violation(`state machine safety: ${id} stands at another ${state.index}`);
    }
  }

  acknowledges(write: number, index: Index): void {
    if (!this.#acknowledged.has(write)) this.#acknowledged.set(write, index);
  }

  /** Where the newest committed write of a register stands: a read that begins now must see it. */
  floor(key: string): Index {
    return this.#newest.get(key) ?? 0;
  }

  /** A read that began when `floor` held returned the write at `index`. */
  returns(id: NodeId, key: string, floor: Index, index: Index): void {
    this.reads += 1;
    if (index < floor) {
      throw new Violation(
        `linearizable reads: ${id} returned ${key} as of ${index}; it began after ${floor}`,
      );
    }
  }

  /** At the end: every acknowledged write is where it was acknowledged. */
  finish(): void {
    for (const [write, index] of this.#acknowledged) {
      const { entry } = this.#at(index);
      if (decodeWrite(entry.data).id !== write) {
        throw new Violation(`acknowledged write ${write} at ${index} was lost`);
      }
    }
  }

  #at(index: Index): Committed {
    const committed = this.#committed[index - 1];
    if (committed === undefined) throw new Violation(`nothing was committed at ${index}`);
    return committed;
  }
}

function isSame(a: Entry, b: Entry): boolean {
  if (a === b) return true;
  return a.term === b.term && a.type === b.type && Buffer.compare(a.data, b.data) === 0;
}
