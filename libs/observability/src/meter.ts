/**
 * Owns the port through which everything is counted: libraries and programs ask a Meter for the
 * instrument of a family of the catalogue, once, and use it as they work. Types, and the meter that counts
 * nothing.
 */
import type {
  CounterName,
  FigureName,
  GaugeName,
  HistogramName,
  LabelValues,
} from "./catalogue/catalogue.ts";
import type { Sample } from "./catalogue/spec.ts";

/** Counts up. Every call is an addition, or a look-up and an addition where there are labels. */
export interface Counter<Labels extends readonly string[]> {
  /** Adds `amount`, which is not negative. */
  add(amount: number, ...labels: Labels): void;
  /** The counter of these label values, for those who add often; its series exists from now on. */
  of(...labels: Labels): Counter<readonly []>;
}

/** Shows a value that goes up and down; 0 at first. */
export interface Gauge {
  set(value: number): void;
  add(amount: number): void;
}

/** Keeps how values are spread over the buckets of its family. */
export interface Histogram<Labels extends readonly string[]> {
  /** Adds one value, in the family's unit: seconds, unless its name says otherwise. */
  observe(value: number, ...labels: Labels): void;
  /** The histogram of these label values; its series exists from now on. */
  of(...labels: Labels): Histogram<readonly []>;
}

/** A figure at the time of a scrape; undefined where there is none, samples where there are labels. */
export type Figure = number | boolean | readonly Sample[] | undefined;

/** Figures by the names of their families. */
export type Figures = { readonly [Name in FigureName]?: Figure };

/** Where everything is counted. Names and labels are those of the catalogue; others do not compile. */
export interface Meter {
  /** The same instrument each time: to be kept by whoever counts often. */
  counter<Name extends CounterName>(name: Name): Counter<LabelValues<Name>>;
  gauge(name: GaugeName): Gauge;
  histogram<Name extends HistogramName>(name: Name): Histogram<LabelValues<Name>>;
  /**
   * Has these figures asked for whenever the page is made, once a page. Must be quick: all figures
   * together share the five milliseconds of a scrape.
   */
  read(figures: () => Figures): void;
}

const NOTHING: Counter<readonly string[]> & Gauge & Histogram<readonly string[]> = {
  add: () => undefined,
  set: () => undefined,
  observe: () => undefined,
  of: () => NOTHING,
};

/** Counts nothing: for tests, and programs that show no figures. */
export const NO_METER: Meter = {
  counter: () => NOTHING,
  gauge: () => NOTHING,
  histogram: () => NOTHING,
  read: () => undefined,
};
