/**
 * The requests of this member that wait for their log entry: found again by the very bytes that
 * were proposed (on the leader), or by request id (when they came back over the wire). Owns
 * deadlines and the wording of a timeout; knows nothing of raft or HTTP.
 */
import { EtcdError } from "@etcd2/store";
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

export class ProposalTable<T> {
  /** Distinguishes this process from every other that ever proposed. */
  readonly session: number;
  readonly #limit: number;
  readonly #byData = new Map<Uint8Array, Pending<T>>();
  readonly #bySequence = new Map<number, Pending<T>>();
  #sequence = 0;

  constructor(session: number, limit: number) {
    this.session = session;
    this.#limit = limit;
  }

  get size(): number {
    return this.#bySequence.size;
  }

  get isFull(): boolean {
    return this.#bySequence.size >= this.#limit;
  }

  nextId(): RequestId {
    this.#sequence += 1;
    return { session: this.session, sequence: this.#sequence };
  }

  add(pending: Pending<T>): void {
    this.#byData.set(pending.data, pending);
    this.#bySequence.set(pending.sequence, pending);
  }

  /** The request whose own bytes these are; it stays in the table. */
  byData(data: Uint8Array): Pending<T> | undefined {
    return this.#byData.get(data);
  }

  byId(id: RequestId): Pending<T> | undefined {
    return id.session === this.session ? this.#bySequence.get(id.sequence) : undefined;
  }

  /** Those handed to leaders before `term`; they belong to its leader from now on. */
  takeOlderThan(term: number): readonly Uint8Array[] {
    const older: Uint8Array[] = [];
    for (const pending of this.#bySequence.values()) {
      if (pending.term >= term) continue;
      pending.term = term;
      older.push(pending.data);
    }
    return older;
  }

  /** The fate of whatever was handed over is unknown: none of it may be proposed again. */
  loseTrack(): void {
    for (const pending of this.#bySequence.values()) pending.term = Number.POSITIVE_INFINITY;
  }

  settle(pending: Pending<T>, result: T | EtcdError): void {
    if (!this.#bySequence.delete(pending.sequence)) return;
    this.#byData.delete(pending.data);
    pending.settle(result);
  }

  /** Ends requests whose time is up, oldest first. All have the same time limit. */
  expire(now: number, cause: (pending: Pending<T>) => string): readonly Pending<T>[] {
    const expired: Pending<T>[] = [];
    for (const pending of this.#bySequence.values()) {
      if (pending.deadline > now) break;
      expired.push(pending);
    }
    for (const pending of expired) this.settle(pending, new EtcdError(300, cause(pending), 0));
    return expired;
  }

  failAll(cause: string): void {
    for (const pending of [...this.#bySequence.values()]) {
      this.settle(pending, new EtcdError(300, cause, 0));
    }
  }
}
