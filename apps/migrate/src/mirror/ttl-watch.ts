/**
 * Keeping TTLs in step. A refresh is told to no watcher, so keys with a TTL are read again from the
 * source when half of their known life is over. Knows when to look, not how.
 */

const INTERVAL_MIN_MS = 400;
const INTERVAL_MAX_MS = 30_000;

export class TtlWatch {
  /** End of life per key, on the monotonic clock. */
  readonly #ends = new Map<string, number>();
  /** Keys to look at, by the tick in which they are due. */
  readonly #due = new Map<number, Set<string>>();
  #tick = tickOf(performance.now());

  /** Keys with a TTL. */
  get size(): number {
    return this.#ends.size;
  }

  /** The key lives until `endsAtMs`. */
  set(key: string, endsAtMs: number, nowMs: number): void {
    this.#ends.set(key, endsAtMs);
    this.#schedule(key, endsAtMs, nowMs);
  }

  delete(key: string): void {
    this.#ends.delete(key);
  }

  /** Forgets a directory's content. */
  deleteBelow(directory: string): void {
    const prefix = directory === "/" ? "/" : `${directory}/`;
    for (const key of this.#ends.keys()) if (key.startsWith(prefix)) this.#ends.delete(key);
  }

  endOf(key: string): number | undefined {
    return this.#ends.get(key);
  }

  /** Keys to look at now; each is scheduled again. */
  takeDue(nowMs: number): readonly string[] {
    const keys = new Set<string>();
    const last = tickOf(nowMs);
    for (; this.#tick <= last; this.#tick++) {
      for (const key of this.#due.get(this.#tick) ?? []) keys.add(key);
      this.#due.delete(this.#tick);
    }
    const due: string[] = [];
    for (const key of keys) {
      const end = this.#ends.get(key);
      if (end === undefined) continue;
      due.push(key);
      this.#schedule(key, end, nowMs);
    }
    return due;
  }

  #schedule(key: string, endsAtMs: number, nowMs: number): void {
    const half = (endsAtMs - nowMs) / 2;
    const wait = Math.min(INTERVAL_MAX_MS, Math.max(INTERVAL_MIN_MS, half));
    const tick = Math.max(this.#tick, tickOf(nowMs + wait));
    const keys = this.#due.get(tick);
    if (keys === undefined) this.#due.set(tick, new Set([key]));
    else keys.add(key);
  }
}

function tickOf(ms: number): number {
  return Math.floor(ms / 200);
}
