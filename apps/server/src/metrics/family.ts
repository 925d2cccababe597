/**
 * Owns the shape of a metric family and how its samples are written. It is what prom-client's
 * registry asks at a scrape; nothing is kept between scrapes.
 */
import type { LabelledCounts, LabelledHistograms, ServerCounters } from "./counters.ts";
import type { CountingHistogram } from "./histogram.ts";
import type { MetricSources } from "./sources.ts";

/** One line of the exposition. */
export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** Where it differs from the family's name, as in histograms. */
  readonly metricName?: string;
}

/** What a family is computed from. */
export interface Scrape {
  readonly counters: ServerCounters;
  readonly sources: MetricSources;
}

export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram" | "summary";
  readonly help: string;
  readonly samples: (scrape: Scrape) => readonly Sample[];
}

const none: Readonly<Record<string, string>> = {};

/** A single sample, or none when the figure has no source. */
export function single(value: number | boolean | undefined): readonly Sample[] {
  return value === undefined ? [] : [{ labels: none, value: Number(value) }];
}

/** A constant 1 whose label tells something. */
export function info(label: string, value: string | undefined): readonly Sample[] {
  return value === undefined || value === "" ? [] : [{ labels: { [label]: value }, value: 1 }];
}

/** Labels sorted by name, as Go programs write them: some scrapers compare texts. */
export function sortedLabels(
  pairs: readonly (readonly [name: string, value: string | number])[],
): Record<string, string | number> {
  return Object.fromEntries(pairs.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function labelled(names: readonly string[], values: readonly string[]) {
  return sortedLabels(names.map((name, n) => [name, values[n] ?? ""]));
}

/**
 * The samples of labelled counters.
 * @param known label values, separated by tabs, that are told as 0 before they occur: a rate over
 * a series that begins with its first event misses that event.
 */
export function counts(
  names: readonly string[],
  given: LabelledCounts,
  known: readonly string[] = [],
): readonly Sample[] {
  const entries = given.entries();
  const seen = new Set(known.length === 0 ? [] : entries.map(([values]) => values.join("\t")));
  const missing = known.filter((key) => !seen.has(key));
  return [
    ...entries.map(([values, value]) => ({ labels: labelled(names, values), value })),
    ...missing.map((key) => ({ labels: labelled(names, key.split("\t")), value: 0 })),
  ];
}

/** The samples of one histogram under a family's name. */
export function histogram(
  name: string,
  given: CountingHistogram,
  labels: Sample["labels"] = none,
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

export function histograms(
  name: string,
  names: readonly string[],
  given: LabelledHistograms,
): readonly Sample[] {
  return given.entries().flatMap(([values, one]) => histogram(name, one, labelled(names, values)));
}

/** A family of one histogram without labels. */
export function histogramFamily(
  name: string,
  help: string,
  pick: (counters: ServerCounters) => CountingHistogram,
): Family {
  return {
    name,
    help,
    type: "histogram",
    samples: ({ counters }) => histogram(name, pick(counters)),
  };
}

/** A counter or gauge of one sample. */
export function plainFamily(
  type: "counter" | "gauge",
  name: string,
  help: string,
  value: (scrape: Scrape) => number | boolean | undefined,
): Family {
  return { name, help, type, samples: (scrape) => single(value(scrape)) };
}
