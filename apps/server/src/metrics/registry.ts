/**
 * Owns /metrics: which families of the catalogue are served and the page they make. The registry is our
 * own, and prom-client is loaded when the first page is asked for or the server has started, not before:
 * until then the meter counts by itself.
 */
import { FAMILIES } from "@etcd2/observability";
import type { CountingMeter, MetricName, MetricSpec } from "@etcd2/observability";
import type { Registry } from "prom-client";

import { HandlerFigures } from "./handler-figures.ts";

export interface MetricsOptions {
  /** Also serve the names of etcd 2.3. */
  readonly compat: boolean;
  readonly detail: "basic" | "extensive";
  /** Also serve what only a bridge has. False by default. */
  readonly bridge?: boolean;
}

export interface MetricsPage {
  readonly contentType: string;
  readonly body: string;
}

export interface Metrics {
  /**
   * Begins the measuring that cannot be made up for later (event loop, garbage collection). To be
   * called once the server has started: it loads prom-client.
   */
  start(): Promise<void>;
  /** The page in Prometheus' text format. */
  page(): Promise<MetricsPage>;
}

/** Costs that grow with the number of connections and tell less than our own gauges. */
const EXPENSIVE = [
  "process_open_fds",
  "process_max_fds",
  "nodejs_active_resources",
  "nodejs_active_resources_total",
  "nodejs_active_handles",
  "nodejs_active_handles_total",
  "nodejs_active_requests",
  "nodejs_active_requests_total",
];

/** What prom-client's registry asks of a metric. */
class RegisteredFamily {
  readonly name: MetricName;
  readonly help: string;
  readonly type: MetricSpec["type"];
  readonly aggregator = "sum";
  readonly #meter: CountingMeter;

  constructor(name: MetricName, { help, type }: MetricSpec, meter: CountingMeter) {
    this.name = name;
    this.help = help;
    this.type = type;
    this.#meter = meter;
  }

  get(): object {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: this.#meter.samples(name) };
  }
}

function isServed({ served = "always" }: MetricSpec, options: MetricsOptions): boolean {
  switch (served) {
    case "always":
      return true;
    case "extensive":
      return options.detail === "extensive";
    case "compat":
      return options.compat;
    case "bridge":
      return options.bridge === true;
  }
}

async function createRegistry(options: MetricsOptions, meter: CountingMeter): Promise<Registry> {
  const { Registry, collectDefaultMetrics } = await import("prom-client");
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 });
  for (const name of EXPENSIVE) registry.removeSingleMetric(name);
  for (const [name, spec] of FAMILIES) {
    if (!isServed(spec, options)) continue;
    registry.registerMetric(
      new RegisteredFamily(name, spec, meter) as unknown as Parameters<
        Registry["registerMetric"]
      >[0],
    );
  }
  return registry;
}

/** Sets up the page of what the meter counts and is given; nothing is loaded yet. */
export function createMetrics(options: MetricsOptions, meter: CountingMeter): Metrics {
  const handler = new HandlerFigures();
  meter.read(() => handler.figures());
  let registry: Promise<Registry> | undefined;
  const loaded = () => (registry ??= createRegistry(options, meter));
  return {
    start: async () => {
      await loaded();
    },
    page: async () => {
      const ready = await loaded();
      const startMs = performance.now();
      meter.collect();
      const body = await ready.metrics();
      handler.scraped((performance.now() - startMs) / 1000, Buffer.byteLength(body));
      return { contentType: ready.contentType, body };
    },
  };
}
