/**
 * Linearizable reads that wait, each with its time limit. How they share confirmation rounds is the
 * raft node's business.
 */
import type { ReadCallback } from "@etcd2/raft";
import { EtcdError } from "@etcd2/store";

export type ReadDone = (error: EtcdError | undefined) => void;

/** One read, in a ring with the others (decision 8): a table would keep them from dying young. */
class WaitingRead {
  readonly done: ReadDone;
  readonly deadline: number;
  previous: WaitingRead = this;
  next: WaitingRead = this;

  constructor(done: ReadDone, deadline: number) {
    this.done = done;
    this.deadline = deadline;
  }

  /** What the raft node calls. */
  readonly callback: ReadCallback = (error) => {
    this.leave();
    this.done(error && new EtcdError(300, "etcdserver: server stopped", 0));
  };

  leave(): void {
    this.previous.next = this.next;
    this.next.previous = this.previous;
    this.previous = this;
    this.next = this;
  }
}

export interface PendingReadsOptions {
  /** Calls back once a read of the local state is linearizable. */
  readonly confirm: (callback: ReadCallback) => void;
  /** The callback is not wanted any more. */
  readonly abandon: (callback: ReadCallback) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly timeoutMs: number;
  /** Words for a read whose time is up. */
  readonly timeoutCause: () => string;
}

export class PendingReads {
  readonly #options: PendingReadsOptions;
  /** Stands between the last and the first read; they are in the order in which their time will be up. */
  readonly #ring = new WaitingRead(() => undefined, Infinity);

  constructor(options: PendingReadsOptions) {
    this.#options = options;
  }

  add(done: ReadDone): void {
    const { confirm, now, timeoutMs } = this.#options;
    const read = new WaitingRead(done, now() + timeoutMs);
    const last = this.#ring.previous;
    last.next = read;
    read.previous = last;
    read.next = this.#ring;
    this.#ring.previous = read;
    confirm(read.callback);
  }

  /**
   * Ends reads whose time is up.
   * @returns How many.
   */
  expire(now: number): number {
    let count = 0;
    let error: EtcdError | undefined;
    for (let read = this.#ring.next; read.deadline <= now; read = this.#ring.next) {
      error ??= new EtcdError(300, this.#options.timeoutCause(), 0);
      read.leave();
      this.#options.abandon(read.callback);
      count += 1;
      read.done(error);
    }
    return count;
  }
}
