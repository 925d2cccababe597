/**
 * Owns what the catalogue says of one metric family: its name is the key of its entry. Types only,
 * but for the buckets of histograms.
 */

/** One line of the exposition, as Prometheus' text format has it. */
export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** Where it differs from the family's name, as in histograms: `NAME_bucket`. */
  readonly metricName?: string;
}

/** One metric family. */
export interface MetricSpec {
  readonly type: "counter" | "gauge" | "histogram" | "summary";
  /** One sentence, on the page and in docs/metrics.md. */
  readonly help: string;
  /** Names of the labels, in the order in which the place that counts gives their values. None by default. */
  readonly labels?: readonly string[];
  /** Upper bounds of a histogram, ascending; those of `of` for an alias. */
  readonly buckets?: readonly number[];
  /**
   * The figure is asked for at each scrape (Meter.read) instead of being counted; without an answer the
   * family has no series. False by default: a counter without labels then shows 0 from the start.
   */
  readonly read?: true;
  /** Another name for this family, whose samples it shows: nothing is counted under it. */
  readonly of?: string;
  /** Label values, separated by tabs, that are shown as 0 before they occur. */
  readonly known?: readonly string[];
  /** Label values are ids of members: shown without leading zeros. False by default. */
  readonly ids?: true;
  /** The last touch before the samples are shown: constant labels, sums. Nothing by default. */
  readonly shown?: (samples: readonly Sample[]) => readonly Sample[];
  /**
   * When the family is served. "always" by default; "extensive" with `--metrics=extensive`, "compat"
   * unless `--metrics-compat=none`, "bridge" by a bridge only.
   */
  readonly served?: "always" | "extensive" | "compat" | "bridge";
}

/** Upper bounds that double from `start`, which is the lowest of `count`. */
export function doublingBuckets(start: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, n) => start * 2 ** n);
}

/** Labels sorted by name, as Go programs write them: some scrapers compare texts. */
export function sortedLabels(
  pairs: readonly (readonly [name: string, value: string | number])[],
): Record<string, string | number> {
  return Object.fromEntries(pairs.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The samples with other labels; the bound of a bucket stays last. */
export function relabelled(
  samples: readonly Sample[],
  change: (labels: Sample["labels"]) => Sample["labels"],
): readonly Sample[] {
  return samples.map((sample) => {
    const { le, ...rest } = sample.labels;
    const labels = sortedLabels(Object.entries(change(rest)));
    return { ...sample, labels: le === undefined ? labels : { ...labels, le } };
  });
}
