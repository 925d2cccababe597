/**
 * The traced writes on their way, found by their very bytes until they have a place in the log and
 * by their place from then on. Its tables are as long as they ever get from the start: a map whose
 * entries live as long as one request makes itself anew all the time, and its dead tables keep
 * what was in them alive (0008-requests-in-a-ring.md). Knows neither spans nor raft.
 */
import type { Index, NodeId, Term } from "@etcd2/raft";
import type { SpanParent } from "./span-source.ts";
import type { TracedSpan } from "./traced-span.ts";

/** Lengths of the tables; powers of two. */
const BUCKETS = 4096;
const PLACES = 16_384;

/** The bytes looked at to choose a bucket: commands start with the id of their request. */
const HASHED_BYTES = 24;

/** A traced write on its way. */
export interface Followed {
  readonly data: Uint8Array;
  /** What the spans of this member hang below: the propose span, here or at another member. */
  readonly below: SpanParent;
  /** The propose span; undefined when another member has it. */
  readonly span: TracedSpan | undefined;
  readonly sinceMs: number;
  /** Place in the log; 0 before it has one. */
  index: Index;
  term: Term;
  /** When a leader appended it and sent it out; monotonic milliseconds, as below. */
  appendedMs: number;
  /** When a quorum was known to have it; 0 before. */
  committedMs: number;
  /** Whose answer completed the quorum. */
  quorumMember: NodeId;
  isOver: boolean;
  /** The next in its bucket. */
  next: Followed | undefined;
}

function bucketOf(data: Uint8Array): number {
  let hash = 0;
  const end = Math.min(HASHED_BYTES, data.length);
  for (let at = 0; at < end; at += 1) hash = (Math.imul(hash, 31) + (data[at] ?? 0)) | 0;
  return (hash ^ (hash >>> 12)) & (BUCKETS - 1);
}

function empty(length: number): (Followed | undefined)[] {
  return new Array<Followed | undefined>(length).fill(undefined);
}

export class FollowedTable {
  readonly #buckets = empty(BUCKETS);
  /** By index modulo the length; a write so far behind that its place is taken loses it. */
  readonly #places = empty(PLACES);
  #size = 0;
  /** All up to here were told of their commit. */
  #committed: Index = 0;

  get size(): number {
    return this.#size;
  }

  add(followed: Followed): void {
    const bucket = bucketOf(followed.data);
    followed.next = this.#buckets[bucket];
    this.#buckets[bucket] = followed;
    this.#size += 1;
  }

  byData(data: Uint8Array): Followed | undefined {
    let found = this.#buckets[bucketOf(data)];
    while (found !== undefined && found.data !== data) found = found.next;
    return found;
  }

  at(index: Index): Followed | undefined {
    const found = this.#places[index & (PLACES - 1)];
    return found?.index === index ? found : undefined;
  }

  /** Gives a write its place in the log, in place of an earlier one. */
  place(followed: Followed, index: Index, term: Term): void {
    this.#leave(followed);
    followed.index = index;
    followed.term = term;
    this.#places[index & (PLACES - 1)] = followed;
    if (index <= this.#committed) this.#committed = index - 1;
  }

  /** Those committed now that were not before, in the order of the log. */
  *commit(committed: Index): Generator<Followed, void> {
    const first = Math.max(this.#committed + 1, committed - PLACES + 1);
    this.#committed = Math.max(this.#committed, committed);
    if (this.#size === 0) return;
    for (let index = first; index <= committed; index += 1) {
      const followed = this.at(index);
      if (followed !== undefined) yield followed;
    }
  }

  remove(followed: Followed): void {
    if (followed.isOver) return;
    followed.isOver = true;
    this.#size -= 1;
    this.#leave(followed);
    const bucket = bucketOf(followed.data);
    let before = this.#buckets[bucket];
    if (before === followed) this.#buckets[bucket] = followed.next;
    while (before !== undefined && before.next !== followed) before = before.next;
    if (before !== undefined) before.next = followed.next;
    followed.next = undefined;
  }

  #leave(followed: Followed): void {
    const place = followed.index & (PLACES - 1);
    if (this.#places[place] === followed) this.#places[place] = undefined;
  }
}
