/**
 * Owns what a process has counted: one instrument for each family of the catalogue, and the samples of
 * a family when the page is made. Knows no format but the samples.
 */
import {
  CATALOGUE,
  type CounterName,
  type FigureName,
  type GaugeName,
  type HistogramName,
  type LabelValues,
  type MetricName,
} from "./catalogue/catalogue.ts";
import { sortedLabels, type MetricSpec, type Sample } from "./catalogue/spec.ts";
import {
  CountingHistogram,
  CountingHistograms,
  CountingNumber,
  type Observations,
} from "./instruments.ts";
import type { Counter, Figure, Figures, Gauge, Histogram, Meter } from "./meter.ts";

const SPECS: Readonly<Record<string, MetricSpec>> = CATALOGUE;

/** Every family of the catalogue with its name, in the order of the page. */
export const FAMILIES = Object.entries(CATALOGUE) as unknown as readonly (readonly [
  name: MetricName,
  spec: MetricSpec,
])[];

const NO_LABELS: Sample["labels"] = {};

/** The labels of a series, by their names in order; ids of members lose their leading zeros. */
function labelsOf({ labels = [], ids }: MetricSpec, values: readonly string[]): Sample["labels"] {
  const shown = ids ? values.map((id) => id.replace(/^0+(?=.)/, "")) : values;
  return sortedLabels(labels.map((name, n) => [name, shown[n] ?? ""]));
}

function histogramSamples(
  name: string,
  given: CountingHistogram,
  labels: Sample["labels"],
): readonly Sample[] {
  const metricName = `${name}_bucket`;
  const cumulative = given.cumulative();
  const samples: Sample[] = given.bounds.map((le, n) => {
    return { metricName, labels: { ...labels, le }, value: cumulative[n] ?? 0 };
  });
  samples.push(
    { metricName, labels: { ...labels, le: "+Inf" }, value: given.count },
    { metricName: `${name}_sum`, labels, value: given.sum },
    { metricName: `${name}_count`, labels, value: given.count },
  );
  return samples;
}

function figureSamples(figure: Figure): readonly Sample[] {
  if (figure === undefined) return [];
  return typeof figure === "object" ? figure : [{ labels: NO_LABELS, value: Number(figure) }];
}

/** What a meter has counted in some time, as plain data. */
export interface Counts {
  readonly numbers: readonly (readonly [name: string, key: string, amount: number])[];
  readonly histograms: readonly (readonly [
    name: string,
    labels: readonly string[],
    observations: Observations,
  ])[];
}

/** Counts everything that one process counts. */
export class CountingMeter implements Meter {
  readonly #numbers = new Map<string, CountingNumber>();
  readonly #histograms = new Map<string, CountingHistogram | CountingHistograms>();
  readonly #readers: (() => Figures)[] = [];
  #figures: Partial<Record<FigureName, Figure>> = {};

  constructor() {
    for (const [name, { type, labels, buckets, of, read }] of FAMILIES) {
      if (of !== undefined || read === true) continue;
      if (type !== "histogram") this.#numbers.set(name, new CountingNumber());
      else if (labels === undefined)
        this.#histograms.set(name, new CountingHistogram(buckets ?? []));
      else this.#histograms.set(name, new CountingHistograms(buckets ?? []));
    }
  }

  counter<Name extends CounterName>(name: Name): Counter<LabelValues<Name>> {
    // The catalogue and the type of the name agree on how many labels there are.
    return this.#number(name) as Counter<readonly string[]>;
  }

  gauge(name: GaugeName): Gauge {
    return this.#number(name);
  }

  histogram<Name extends HistogramName>(name: Name): Histogram<LabelValues<Name>> {
    const histogram = this.#histograms.get(name);
    if (histogram === undefined) throw new Error(`no histogram is called ${name}`);
    return histogram as Histogram<readonly string[]>;
  }

  read(figures: () => Figures): void {
    this.#readers.push(figures);
  }

  /** What has been counted so far under these label values; 0 for what never was. */
  value<Name extends CounterName | GaugeName>(name: Name, ...labels: LabelValues<Name>): number {
    const number = this.#number(name);
    if (labels.length === 0) return number.value;
    const key = labels.join("\t");
    return number.entries().find(([values]) => values.join("\t") === key)?.[1] ?? 0;
  }

  /** Every series of a counter with labels, by its label values as they were given. */
  counts(name: CounterName): readonly (readonly [labels: readonly string[], value: number])[] {
    return this.#number(name).entries();
  }

  /** Every series of a histogram, by its label values as they were given; none without labels. */
  histograms(
    name: HistogramName,
  ): readonly (readonly [labels: readonly string[], histogram: CountingHistogram])[] {
    const histogram = this.#histograms.get(name);
    if (histogram instanceof CountingHistogram) return [[[], histogram]];
    return histogram?.entries() ?? [];
  }

  /** What was counted and observed since the last call, to be added to the meter of another thread. */
  take(): Counts {
    const numbers: Counts["numbers"][number][] = [];
    for (const [name, number] of this.#numbers) {
      for (const [key, amount] of number.take()) numbers.push([name, key, amount]);
    }
    const histograms: Counts["histograms"][number][] = [];
    for (const [name, histogram] of this.#histograms) {
      const series =
        histogram instanceof CountingHistogram ? [[[], histogram] as const] : histogram.entries();
      for (const [labels, one] of series) {
        const observations = one.take();
        if (observations.count > 0) histograms.push([name, labels, observations]);
      }
    }
    return { numbers, histograms };
  }

  /** Adds what the meter of another thread has taken. */
  add({ numbers, histograms }: Counts): void {
    for (const [name, key, amount] of numbers) this.#number(name).merge(key, amount);
    for (const [name, labels, observations] of histograms) {
      const [first = "", second] = labels;
      this.#histograms.get(name)?.of(first, second).merge(observations);
    }
  }

  /** Asks for all figures: the page that is made next shows these. */
  collect(): void {
    this.#figures = {};
    for (const read of this.#readers) Object.assign(this.#figures, read());
  }

  /** The samples of a family, as of the last collect() what is read and as of now what is counted. */
  samples(name: MetricName): readonly Sample[] {
    const spec = SPECS[name] ?? { type: "counter", help: "" };
    // The samples of an alias are those of the family it is another name for.
    const source = (spec.of ?? name) as FigureName;
    const samples = this.#own(source, SPECS[source] ?? spec, name);
    return spec.shown === undefined ? samples : spec.shown(samples);
  }

  #own(source: FigureName, spec: MetricSpec, name: string): readonly Sample[] {
    const histogram = this.#histograms.get(source);
    if (histogram instanceof CountingHistogram) return histogramSamples(name, histogram, NO_LABELS);
    if (histogram !== undefined) {
      return histogram
        .entries()
        .flatMap(([values, one]) => histogramSamples(name, one, labelsOf(spec, values)));
    }
    const figures = figureSamples(this.#figures[source]);
    const number = this.#numbers.get(source);
    if (number === undefined) return figures;
    if (spec.labels === undefined) return [{ labels: NO_LABELS, value: number.value }];
    return [...figures, ...countedSamples(spec, number)];
  }

  #number(name: string): CountingNumber {
    const number = this.#numbers.get(name);
    if (number === undefined) throw new Error(`no counter or gauge is called ${name}`);
    return number;
  }
}

/**
 * The series that were counted, and at 0 those that are known to come: a rate over a series that begins
 * with its first event misses that event.
 */
function countedSamples(spec: MetricSpec, number: CountingNumber): readonly Sample[] {
  const entries = number.entries();
  const known = spec.known ?? [];
  const seen = new Set(known.length === 0 ? [] : entries.map(([values]) => values.join("\t")));
  const missing = known.filter((key) => !seen.has(key));
  return [
    ...entries.map(([values, value]) => ({ labels: labelsOf(spec, values), value })),
    ...missing.map((key) => ({ labels: labelsOf(spec, key.split("\t")), value: 0 })),
  ];
}
