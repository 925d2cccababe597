/**
 * Owns a histogram cheap enough for every request: plain numbers, turned into cumulative buckets
 * only when somebody asks.
 */

/** Upper bounds that double from `start`: the buckets of all of etcd's histograms. */
export function doublingBuckets(start: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, n) => start * 2 ** n);
}

export class CountingHistogram {
  /** Upper bounds, ascending; a value beyond the last counts in none of them. */
  readonly bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  get sum(): number {
    return this.#sum;
  }

  get count(): number {
    return this.#count;
  }

  observe(value: number): void {
    this.#sum += value;
    this.#count++;
    const { bounds } = this;
    for (let n = 0; n < bounds.length; n++) {
      if (value <= (bounds[n] ?? 0)) {
        this.#counts[n] = (this.#counts[n] ?? 0) + 1;
        return;
      }
    }
  }

  /** Observations at or below each bound. */
  cumulative(): readonly number[] {
    let total = 0;
    return this.#counts.map((count) => (total += count));
  }
}
