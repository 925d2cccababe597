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
  /** Watches with bytes that outlived the turn of the event loop they were written in. */
  readonly #waiting = new Map<BudgetedWatch, number>();
  #waitingBytes = 0;
  /** Watches written to in this turn, and how much. */
  #written = new Set<BudgetedWatch>();
  #writtenBytes = 0;

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
    this.#written.delete(watch);
    this.#note(watch, 0);
  }

  /** Whether so many bytes may be written for the watch now; the caller does so at once. */
  admits(watch: BudgetedWatch, bytes: number): boolean {
    if (this.#waitingBytes + this.#writtenBytes + bytes > this.#bytesMax) {
      for (const slow of [...this.#waiting.keys()]) this.#note(slow, slow.waitingBytes);
      if (this.#waitingBytes + this.#writtenBytes + bytes > this.#bytesMax) return false;
    }
    if (this.#written.size === 0) setImmediate(this.#settle);
    this.#written.add(watch);
    this.#writtenBytes += bytes;
    return true;
  }

  /** The watch was cut off because its client did not read. */
  dropped(): void {
    this.#counters.watchDropped();
  }

  /** The system has taken what it takes: what is left of this turn's bytes waits. */
  readonly #settle = (): void => {
    const written = this.#written;
    this.#written = new Set();
    this.#writtenBytes = 0;
    for (const watch of written) this.#note(watch, watch.waitingBytes);
  };

  #note(watch: BudgetedWatch, bytes: number): void {
    const before = this.#waiting.get(watch) ?? 0;
    if (before === bytes) return;
    this.#waitingBytes += bytes - before;
    if (bytes === 0) this.#waiting.delete(watch);
    else this.#waiting.set(watch, bytes);
  }
}
