/**
 * What all watches of a member may take together: how many are open, and how many bytes wait in
 * the process for clients to take them. A watch asks before it starts and before each event; one that
 * there is no room for waits here for its turn, and one whose client takes nothing while it or
 * others wait is cut off. Knows neither HTTP nor events.
 */
import type { Counter, Meter } from "@etcd2/observability";
import type { WatchGauge } from "../ports/ports.ts";
import { WATCH_BYTES_MAX, WATCH_QUEUE_BYTES_MAX, WATCH_STALL_MS } from "../ports/limits.ts";

/** One open watch, as the budget sees it. */
export interface BudgetedWatch {
  /** Bytes that wait for its client at this moment. */
  readonly waitingBytes: number;
  /** A number that changes whenever the client takes some of them. */
  readonly progress: number;
  /** There is room for the event that there was none for. */
  resume(): void;
  /** Ends it, because its client takes nothing. */
  cutOff(): void;
}

/** How many watches may be open, and how much may wait for them. */
export interface WatchLimits {
  /** Watches open at one time; 0 for any number. */
  readonly watchesMax: number;
  /** Bytes waiting for all of them together. */
  readonly bytesMax?: number | undefined;
  /** Milliseconds in which a client that others wait for, or that is behind, takes something. */
  readonly stallMs?: number | undefined;
  /** Counts those of others too; those of this budget when left out. */
  readonly gauge?: WatchGauge | undefined;
}

/** How often those that wait for room are looked at, while there are any. */
const LOOK_INTERVAL_MS = 20;

/** What a client that was late may still have waiting when it gets more. */
const CAUGHT_UP_BYTES = WATCH_QUEUE_BYTES_MAX / 2;

interface Standstill {
  progress: number;
  looks: number;
}

/** Counts watches and the bytes that wait for all of them together. */
export class WatchBudget {
  readonly watchesMax: number;
  readonly #bytesMax: number;
  readonly #stallLooks: number;
  readonly #refused: Counter<readonly []>;
  readonly #dropped: Counter<readonly []>;
  readonly #open = new Set<BudgetedWatch>();
  readonly #gauge: WatchGauge | undefined;
  /** What waited when it was last counted, and all that was written since: never too little. */
  #waitingMax = 0;
  #hasCounted = false;
  /**
   * Those without room for their next event, longest first, and the bytes it has; undefined for
   * those that go on by themselves when their clients have taken what waits.
   */
  readonly #late = new Map<BudgetedWatch, number | undefined>();
  readonly #standstills = new Map<BudgetedWatch, Standstill>();
  #timer: NodeJS.Timeout | undefined;

  constructor(meter: Meter, limits: WatchLimits) {
    this.#refused = meter.counter("etcd2_watches_refused_total");
    this.#dropped = meter.counter("etcd2_watchers_dropped_total");
    this.#gauge = limits.gauge;
    this.watchesMax = limits.watchesMax === 0 ? Number.POSITIVE_INFINITY : limits.watchesMax;
    this.#bytesMax = limits.bytesMax ?? WATCH_BYTES_MAX;
    this.#stallLooks = Math.ceil((limits.stallMs ?? WATCH_STALL_MS) / LOOK_INTERVAL_MS);
  }

  get open(): number {
    return this.#open.size;
  }

  /** False when no further watch may start; counted. */
  hasRoom(): boolean {
    if ((this.#gauge?.open ?? this.#open.size) < this.watchesMax) return true;
    this.#refused.add(1);
    return false;
  }

  enter(watch: BudgetedWatch): void {
    this.#open.add(watch);
    this.#gauge?.entered();
  }

  /** The watch is over and nothing waits for its client any more. */
  leave(watch: BudgetedWatch): void {
    if (this.#open.delete(watch)) this.#gauge?.left();
    this.#late.delete(watch);
    this.#standstills.delete(watch);
  }

  /**
   * Whether so many bytes may be written for a watch now; the caller does so at once. Bytes are
   * added up until the sum reaches the bound; only then is counted what is left of them, once a
   * turn, because it takes a look at every watch. A single event always fits into an empty budget.
   */
  admits(bytes: number): boolean {
    if (!this.#fits(bytes)) {
      if (this.#hasCounted) return false;
      this.#hasCounted = true;
      setImmediate(this.#nextTurn);
      this.#count();
      if (!this.#fits(bytes)) return false;
    }
    this.#waitingMax += bytes;
    return true;
  }

  /**
   * Calls resume() in a later turn, when there is room for so many bytes and the client has taken
   * most of what it has waiting.
   */
  awaitRoom(watch: BudgetedWatch, bytes: number): void {
    this.#setLate(watch, bytes);
  }

  /** Looks after a watch that gives its client a pause, until caughtUp(). */
  lookAfter(watch: BudgetedWatch): void {
    this.#setLate(watch, undefined);
  }

  caughtUp(watch: BudgetedWatch): void {
    this.#late.delete(watch);
  }

  #setLate(watch: BudgetedWatch, bytes: number | undefined): void {
    this.#late.set(watch, bytes);
    this.#timer ??= setInterval(this.#look, LOOK_INTERVAL_MS).unref();
  }

  /** The watch was cut off because its client did not read. */
  dropped(): void {
    this.#dropped.add(1);
  }

  #fits(bytes: number): boolean {
    return this.#waitingMax === 0 || this.#waitingMax + bytes <= this.#bytesMax;
  }

  #count(): void {
    this.#waitingMax = 0;
    for (const watch of this.#open) this.#waitingMax += watch.waitingBytes;
  }

  readonly #nextTurn = (): void => {
    this.#hasCounted = false;
  };

  /** Lets go on, in their order, those that there is room for. */
  readonly #look = (): void => {
    this.#count();
    let room = this.#bytesMax - this.#waitingMax;
    let isFull = false;
    const suspects: BudgetedWatch[] = [];
    for (const [watch, bytes] of this.#late) {
      if (bytes === undefined || watch.waitingBytes > CAUGHT_UP_BYTES) {
        suspects.push(watch);
        continue;
      }
      isFull = bytes > room && this.#waitingMax > 0;
      // Whoever comes after one with a large event waits for it, or it would wait for ever.
      if (isFull) break;
      room -= bytes;
      this.#late.delete(watch);
      watch.resume();
    }
    this.#cutOffIdle(isFull ? this.#open : suspects);
    if (this.#late.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#standstills.clear();
  };

  /**
   * Cuts off those whose clients have taken nothing for long. Looks are counted, not time: while
   * this process stands still no client could have taken anything.
   */
  #cutOffIdle(suspects: Iterable<BudgetedWatch>): void {
    for (const watch of [...suspects]) {
      const { progress, waitingBytes } = watch;
      const before = this.#standstills.get(watch);
      if (waitingBytes === 0) this.#standstills.delete(watch);
      else if (before?.progress !== progress) this.#standstills.set(watch, { progress, looks: 0 });
      else if (++before.looks >= this.#stallLooks) {
        this.leave(watch);
        watch.cutOff();
      }
    }
  }
}
