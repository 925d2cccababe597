/**
 * Owns the instruments that count: plain numbers behind one call each, which is all that the hot path
 * pays. Labels cost one look-up, and none for those who keep what of() gives.
 */
import type { Counter, Gauge, Histogram } from "./meter.ts";

/** Label values as the key of a series: joined by tabs, which occur in none of them. */
function keyOf(first: string, second: string | undefined): string {
  return second === undefined ? first : `${first}\t${second}`;
}

/** A counter or a gauge: a number, or one for each set of label values. */
export class CountingNumber implements Counter<readonly string[]>, Gauge {
  value = 0;
  readonly #series = new Map<string, CountingNumber>();

  add(amount: number, first?: string, second?: string): void {
    if (first === undefined) this.value += amount;
    else this.#at(keyOf(first, second)).value += amount;
  }

  set(value: number): void {
    this.value = value;
  }

  of(first?: string, second?: string): CountingNumber {
    return first === undefined ? this : this.#at(keyOf(first, second));
  }

  /** Every series with labels, by its label values. */
  entries(): readonly (readonly [labels: readonly string[], value: number])[] {
    return [...this.#series].map(([key, { value }]) => [key.split("\t"), value]);
  }

  #at(key: string): CountingNumber {
    let series = this.#series.get(key);
    if (series === undefined) {
      series = new CountingNumber();
      this.#series.set(key, series);
    }
    return series;
  }
}

/** A histogram without labels: counts by bucket, made cumulative only when somebody asks. */
export class CountingHistogram implements Histogram<readonly []> {
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

  of(): this {
    return this;
  }

  /** Observations at or below each bound. */
  cumulative(): readonly number[] {
    let total = 0;
    return this.#counts.map((count) => (total += count));
  }
}

/** Histograms by label values. */
export class CountingHistograms implements Histogram<readonly string[]> {
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, CountingHistogram>();

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
  }

  observe(value: number, first = "", second?: string): void {
    this.#at(keyOf(first, second)).observe(value);
  }

  of(first = "", second?: string): CountingHistogram {
    return this.#at(keyOf(first, second));
  }

  /** Every series, by its label values. */
  entries(): readonly (readonly [labels: readonly string[], histogram: CountingHistogram])[] {
    return [...this.#series].map(([key, histogram]) => [key.split("\t"), histogram]);
  }

  #at(key: string): CountingHistogram {
    let histogram = this.#series.get(key);
    if (histogram === undefined) {
      histogram = new CountingHistogram(this.#bounds);
      this.#series.set(key, histogram);
    }
    return histogram;
  }
}
