/**
 * Digests of the state at chosen applied indexes, so that members can be compared that never stand
 * still: the applier makes a stop at each index that somebody waits for.
 */
import type { StateHash, StateMachine } from "@etcd2/store";

interface Waiter {
  readonly index: number;
  readonly settle: (hash: Promise<StateHash> | undefined) => void;
}

export class HashPoints {
  readonly #machine: () => StateMachine;
  readonly #waiters = new Set<Waiter>();
  #next = Number.POSITIVE_INFINITY;

  constructor(machine: () => StateMachine) {
    this.#machine = machine;
  }

  /** The lowest index that somebody waits for; infinite when nobody does. Cheap. */
  get next(): number {
    return this.#next;
  }

  /**
   * The digest of the state with exactly the entries up to `index` applied.
   * @returns undefined when they were passed already, or are not applied in time.
   */
  async at(index: number, timeoutMs: number): Promise<StateHash | undefined> {
    const { appliedIndex } = this.#machine();
    if (appliedIndex > index) return undefined;
    if (appliedIndex === index) return this.#machine().hash();
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        index,
        settle: (hash) => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          this.#lookAgain();
          if (hash === undefined) resolve(undefined);
          else hash.then(resolve, reject);
        },
      };
      const timer = setTimeout(() => {
        waiter.settle(undefined);
      }, timeoutMs).unref();
      this.#waiters.add(waiter);
      this.#lookAgain();
    });
  }

  /** Entries up to `index` have been applied, and none after it. */
  reached(index: number): void {
    if (index < this.#next) return;
    const due = [...this.#waiters].filter((waiter) => waiter.index <= index);
    const exact = due.some((waiter) => waiter.index === index);
    const hash = exact ? this.#machine().hash() : undefined;
    for (const waiter of due) waiter.settle(waiter.index === index ? hash : undefined);
  }

  #lookAgain(): void {
    this.#next = Math.min(
      Number.POSITIVE_INFINITY,
      ...[...this.#waiters].map(({ index }) => index),
    );
  }
}
