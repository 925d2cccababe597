/** How libraries and programs tell what they do: figures by a Meter, lines by a Logger. */
export {
  CATALOGUE,
  type CounterName,
  type FigureName,
  type GaugeName,
  type HistogramName,
  type LabelValues,
  type MetricName,
  SECTIONS,
} from "./catalogue/catalogue.ts";
export { doublingBuckets, sortedLabels, type MetricSpec, type Sample } from "./catalogue/spec.ts";
export { createLogger, NO_LOGGER, type LogFields, type Logger, type LogLevel } from "./logger.ts";
export {
  NO_METER,
  type Counter,
  type Figure,
  type Figures,
  type Gauge,
  type Histogram,
  type Meter,
} from "./meter.ts";
export { CountingMeter, FAMILIES, type Counts } from "./counting-meter.ts";
export { CountingHistogram } from "./instruments.ts";
