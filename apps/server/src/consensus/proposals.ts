/**
 * The requests of this member that wait for their log entry, found again by the request id inside
 * the proposed bytes. Owns deadlines and the wording of a timeout; knows nothing of raft or HTTP.
 *
 * They wait in a ring, because ids count up by one. A map would do, but a map that is always set
 * and deleted makes itself anew every few entries, and each dead table in the collector's old space
 * keeps its successor and the requests in it alive: every request of a busy server then outlives
 * the young generation (0008-requests-in-a-ring.md).
 */
import { decodeRequestId, EtcdError } from "@etcd2/store";
import type { Command, RequestId } from "@etcd2/store";

/** Ends a request; called once. */
export type Settle<T> = (result: T | EtcdError) => void;

export interface Pending<T> {
  readonly sequence: number;
  readonly data: Uint8Array;
  /** The decoded form, so that a member never decodes its own proposals. */
  readonly command: Command;
  readonly settle: Settle<T>;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  readonly deadline: number;
  /** Term of the leader it was handed to, or will be; see RaftNodeListener.onProposalTerm. */
  term: number;
}

/** Slots to start with; a power of two, as every later size. */
const RING_MIN = 256;

export class ProposalTable<T> {
  /** Distinguishes this process from every other that ever proposed. */
  readonly session: number;
  readonly #limit: number;
  /** By sequence modulo its length. All that wait lie between `#oldest` and `#sequence`. */
  #ring: (Pending<T> | undefined)[] = emptyRing<T>(RING_MIN);
  #size = 0;
  /** No request of a lower sequence waits. */
  #oldest = 1;
  #sequence = 0;

  constructor(session: number, limit: number) {
    this.session = session;
    this.#limit = limit;
  }

  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size >= this.#limit;
  }

  nextId(): RequestId {
    this.#sequence += 1;
    return { session: this.session, sequence: this.#sequence };
  }

  /** `pending.sequence` comes from the latest nextId(). */
  add(pending: Pending<T>): void {
    if (this.#size === 0) this.#oldest = pending.sequence;
    while (pending.sequence - this.#oldest >= this.#ring.length) this.#makeRoom();
    this.#ring[pending.sequence & (this.#ring.length - 1)] = pending;
    this.#size += 1;
  }

  /** The request that proposed these bytes, here or on the way back from the wire. */
  byData(data: Uint8Array): Pending<T> | undefined {
    const id = decodeRequestId(data);
    return id?.session === this.session ? this.#at(id.sequence) : undefined;
  }

  /**
   * Those handed to leaders before `term`. They go to the leader of `currentTerm` now, which is later
   * than `term` on a member that catches up: were they counted as given to an earlier one, they would
   * be proposed, and applied, a second time.
   */
  takeOlderThan(term: number, currentTerm: number): readonly Uint8Array[] {
    const older: Uint8Array[] = [];
    for (const pending of this.#waiting()) {
      if (pending.term >= term) continue;
      pending.term = currentTerm;
      older.push(pending.data);
    }
    return older;
  }

  /** The fate of whatever was handed over is unknown: none of it may be proposed again. */
  loseTrack(): void {
    for (const pending of this.#waiting()) pending.term = Number.POSITIVE_INFINITY;
  }

  settle(pending: Pending<T>, result: T | EtcdError): void {
    if (this.#at(pending.sequence) !== pending) return;
    this.#ring[pending.sequence & (this.#ring.length - 1)] = undefined;
    this.#size -= 1;
    pending.settle(result);
  }

  /** Ends requests whose time is up, oldest first. All have the same time limit. */
  expire(now: number, cause: (pending: Pending<T>) => string): readonly Pending<T>[] {
    const expired: Pending<T>[] = [];
    for (const pending of this.#waiting()) {
      if (pending.deadline > now) break;
      expired.push(pending);
    }
    for (const pending of expired) this.settle(pending, new EtcdError(300, cause(pending), 0));
    return expired;
  }

  failAll(cause: string): void {
    for (const pending of this.#waiting()) this.settle(pending, new EtcdError(300, cause, 0));
  }

  #at(sequence: number): Pending<T> | undefined {
    const pending = this.#ring[sequence & (this.#ring.length - 1)];
    return pending?.sequence === sequence ? pending : undefined;
  }

  /** Those that wait now, oldest first. */
  #waiting(): readonly Pending<T>[] {
    const waiting: Pending<T>[] = [];
    for (let sequence = this.#oldest; sequence <= this.#sequence; sequence += 1) {
      const pending = this.#at(sequence);
      if (pending !== undefined) waiting.push(pending);
      else if (waiting.length === 0) this.#oldest = sequence + 1;
    }
    return waiting;
  }

  /** Passes over the sequences that no longer wait, or doubles the ring if the oldest still does. */
  #makeRoom(): void {
    const before = this.#oldest;
    while (this.#at(this.#oldest) === undefined) this.#oldest += 1;
    if (this.#oldest > before) return;
    const waiting = this.#waiting();
    this.#ring = emptyRing<T>(this.#ring.length * 2);
    for (const pending of waiting) {
      this.#ring[pending.sequence & (this.#ring.length - 1)] = pending;
    }
  }
}

function emptyRing<T>(length: number): (Pending<T> | undefined)[] {
  return new Array<Pending<T> | undefined>(length).fill(undefined);
}
