/**
 * What all watches of a member may take together: how many are open, and how many bytes wait in
 * the process for clients that do not read. Owns the counting; a watch asks before it starts and
 * before each event. Knows neither HTTP nor events.
 */
import { WATCH_BYTES_MAX } from "./limits.ts";

/** What is counted about watches that were turned down or cut off. */
export interface WatchCounters {
  watchRefused(): void;
  watchDropped(): void;
}

/** One open watch, as the budget sees it. */
export interface BudgetedWatch {
  /** Bytes that wait for its client at this moment. */
  readonly waitingBytes: number;
}

export interface WatchLimits {
  /** Watches open at one time; 0 for any number. */
  readonly watchesMax: number;
  /** Bytes waiting for all of them together. */
  readonly bytesMax?: number;
}

export class WatchBudget {
  readonly watchesMax: number;
  readonly #bytesMax: number;
  readonly #counters: WatchCounters;
  readonly #open = new Set<BudgetedWatch>();
  /** What waited when it was last counted, and all that was written since: never too little. */
  #waitingMax = 0;
  #hasCounted = false;

  constructor(counters: WatchCounters, limits: WatchLimits) {
    this.#counters = counters;
    this.watchesMax = limits.watchesMax === 0 ? Number.POSITIVE_INFINITY : limits.watchesMax;
    this.#bytesMax = limits.bytesMax ?? WATCH_BYTES_MAX;
  }

  get open(): number {
    return this.#open.size;
  }

  /** False when no further watch may start; counted. */
  hasRoom(): boolean {
    if (this.#open.size < this.watchesMax) return true;
    this.#counters.watchRefused();
    return false;
  }

  enter(watch: BudgetedWatch): void {
    this.#open.add(watch);
  }

  /** The watch is over and nothing waits for its client any more. */
  leave(watch: BudgetedWatch): void {
    this.#open.delete(watch);
  }

  /**
   * Whether so many bytes may be written for a watch now; the caller does so at once. Bytes are
   * added up until the sum reaches the bound; only then is counted what is left of them, once a
   * turn, because it takes a look at every watch.
   */
  admits(bytes: number): boolean {
    if (this.#waitingMax + bytes > this.#bytesMax) {
      if (this.#hasCounted) return false;
      this.#hasCounted = true;
      setImmediate(this.#nextTurn);
      this.#waitingMax = 0;
      for (const watch of this.#open) this.#waitingMax += watch.waitingBytes;
      if (this.#waitingMax + bytes > this.#bytesMax) return false;
    }
    this.#waitingMax += bytes;
    return true;
  }

  /** The watch was cut off because its client did not read. */
  dropped(): void {
    this.#counters.watchDropped();
  }

  readonly #nextTurn = (): void => {
    this.#hasCounted = false;
  };
}
