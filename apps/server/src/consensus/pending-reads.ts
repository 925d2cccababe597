/**
 * Linearizable reads that wait, each with its time limit. How they share confirmation rounds is the
 * raft node's business.
 */
import type { ReadCallback } from "@etcd2/raft";
import { EtcdError } from "@etcd2/store";

export type ReadDone = (error: EtcdError | undefined) => void;

interface WaitingRead {
  readonly callback: ReadCallback;
  readonly done: ReadDone;
  readonly deadline: number;
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
  /** In the order in which their time will be up. */
  readonly #waiting = new Set<WaitingRead>();

  constructor(options: PendingReadsOptions) {
    this.#options = options;
  }

  add(done: ReadDone): void {
    const { confirm, now, timeoutMs } = this.#options;
    const read: WaitingRead = {
      callback: (error) => {
        this.#waiting.delete(read);
        done(error && new EtcdError(300, "etcdserver: server stopped", 0));
      },
      done,
      deadline: now() + timeoutMs,
    };
    this.#waiting.add(read);
    confirm(read.callback);
  }

  /**
   * Ends reads whose time is up.
   * @returns How many.
   */
  expire(now: number): number {
    const expired: WaitingRead[] = [];
    for (const read of this.#waiting) {
      if (read.deadline > now) break;
      expired.push(read);
    }
    if (expired.length === 0) return 0;
    const error = new EtcdError(300, this.#options.timeoutCause(), 0);
    for (const read of expired) {
      this.#waiting.delete(read);
      this.#options.abandon(read.callback);
      read.done(error);
    }
    return expired.length;
  }
}
