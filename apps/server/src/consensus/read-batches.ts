/**
 * Linearizable reads in batches: all reads that arrive while one confirmation round is under way
 * share the next one, so a member costs its leader one round at a time however many clients ask.
 */
import type { RaftError } from "@etcd2/raft";
import { EtcdError } from "@etcd2/store";

export type ReadDone = (error: EtcdError | undefined) => void;

interface WaitingRead {
  readonly done: ReadDone;
  readonly deadline: number;
}

export interface ReadBatchesOptions {
  /** Starts a confirmation round. */
  readonly confirm: (callback: (error: RaftError | undefined) => void) => void;
  readonly now: () => number;
  readonly timeoutMs: number;
  /** Words for a read whose time is up. */
  readonly timeoutCause: () => string;
}

export class ReadBatches {
  readonly #options: ReadBatchesOptions;
  #inFlight: WaitingRead[] = [];
  #waiting: WaitingRead[] = [];
  #confirming = false;

  constructor(options: ReadBatchesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#inFlight.length + this.#waiting.length;
  }

  add(done: ReadDone): void {
    this.#waiting.push({ done, deadline: this.#options.now() + this.#options.timeoutMs });
    if (!this.#confirming) this.#start();
  }

  #start(): void {
    this.#confirming = true;
    this.#inFlight = this.#waiting;
    this.#waiting = [];
    this.#options.confirm((error) => {
      const batch = this.#inFlight;
      this.#inFlight = [];
      this.#confirming = false;
      if (this.#waiting.length > 0) this.#start();
      const refusal =
        error === undefined ? undefined : new EtcdError(300, "etcdserver: server stopped", 0);
      for (const read of batch) read.done(refusal);
    });
  }

  /**
   * Ends reads whose time is up; the round itself goes on and serves later ones.
   * @returns How many.
   */
  expire(now: number): number {
    const before = this.size;
    this.#inFlight = this.#expireIn(this.#inFlight, now);
    this.#waiting = this.#expireIn(this.#waiting, now);
    return before - this.size;
  }

  #expireIn(reads: WaitingRead[], now: number): WaitingRead[] {
    const [oldest] = reads;
    if (oldest === undefined || oldest.deadline > now) return reads;
    const alive = reads.filter((read) => read.deadline > now);
    const error = new EtcdError(300, this.#options.timeoutCause(), 0);
    for (const read of reads) if (read.deadline <= now) read.done(error);
    return alive;
  }
}
