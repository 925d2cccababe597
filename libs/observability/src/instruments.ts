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

  /** What was counted since the last call, by the key of its series; "" without labels. */
  take(): readonly (readonly [key: string, amount: number])[] {
    const taken: (readonly [key: string, amount: number])[] = [];
    if (this.value !== 0) taken.push(["", this.value]);
    this.value = 0;
    for (const [key, series] of this.#series) {
      if (series.value !== 0) taken.push([key, series.value]);
      series.value = 0;
    }
    return taken;
  }

  /** Adds what another one has taken. */
  merge(key: string, amount: number): void {
    if (key === "") this.value += amount;
    else this.#at(key).value += amount;
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

/** What a histogram has observed, as plain data. */
export interface Observations {
  /** In each bucket alone. */
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
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

  /** What was observed since the last call. */
  take(): Observations {
    const taken = { counts: [...this.#counts], sum: this.#sum, count: this.#count };
    this.#counts.fill(0);
    [this.#sum, this.#count] = [0, 0];
    return taken;
  }

  /** Adds what one of the same bounds has observed. */
  merge({ counts, sum, count }: Observations): void {
    for (const [at, added] of counts.entries()) this.#counts[at] = (this.#counts[at] ?? 0) + added;
    this.#sum += sum;
    this.#count += count;
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
