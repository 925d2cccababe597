/**
 * Owns /metrics: which families are served and the page they make. The registry is our own, and
 * prom-client is loaded when the first page is asked for or the server has started, not before:
 * until then the counters count by themselves.
 */
import type { Registry } from "prom-client";

import { bridgeFamilies } from "./families-bridge.ts";
import { ServerCounters } from "./counters.ts";
import { compatFamilies } from "./families-compat.ts";
import { extensiveFamilies, peerFamilies } from "./families-peer.ts";
import { serverFamilies } from "./families-server.ts";
import type { Family, Scrape } from "./family.ts";
import { HandlerFigures } from "./handler-families.ts";
import type { MetricSources } from "./sources.ts";

export interface MetricsOptions {
  /** Also serve the names of etcd 2.3. */
  readonly compat: boolean;
  readonly detail: "basic" | "extensive";
}

export interface MetricsPage {
  readonly contentType: string;
  readonly body: string;
}

export interface Metrics {
  readonly counters: ServerCounters;
  /**
   * Begins the measuring that cannot be made up for later (event loop, garbage collection). To be
   * called once the server has started: it loads prom-client.
   */
  start(): Promise<void>;
  /** The page in Prometheus' text format. */
  page(): Promise<MetricsPage>;
}

/** Costs that grow with the number of connections and tell less than our own gauges. */
const expensive = [
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
  readonly name: string;
  readonly help: string;
  readonly type: Family["type"];
  readonly aggregator = "sum";
  readonly #family: Family;
  readonly #scrape: Scrape;

  constructor(family: Family, scrape: Scrape) {
    this.name = family.name;
    this.help = family.help;
    this.type = family.type;
    this.#family = family;
    this.#scrape = scrape;
  }

  get(): object {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: this.#family.samples(this.#scrape) };
  }
}

/** Every source is read once for a page, however many families use it. */
function readOnce(sources: MetricSources, cache: Map<string, unknown>): MetricSources {
  const cached: Record<string, () => unknown> = {};
  for (const [name, read] of Object.entries<(() => unknown) | undefined>({ ...sources })) {
    if (read === undefined) continue;
    cached[name] = () => {
      if (!cache.has(name)) cache.set(name, read());
      return cache.get(name);
    };
  }
  return cached;
}

async function createRegistry(families: readonly Family[], scrape: Scrape): Promise<Registry> {
  const { Registry, collectDefaultMetrics } = await import("prom-client");
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 });
  for (const name of expensive) registry.removeSingleMetric(name);
  for (const family of families) {
    registry.registerMetric(
      new RegisteredFamily(family, scrape) as unknown as Parameters<Registry["registerMetric"]>[0],
    );
  }
  return registry;
}

/** Sets metrics up; nothing is loaded yet. */
export function createMetrics(
  options: MetricsOptions,
  sources: MetricSources,
  counters: ServerCounters = new ServerCounters(),
): Metrics {
  const handler = new HandlerFigures();
  const cache = new Map<string, unknown>();
  const families = [
    ...serverFamilies,
    ...peerFamilies,
    ...(sources.bridge === undefined ? [] : bridgeFamilies),
    ...handler.families(),
    ...(options.detail === "extensive" ? extensiveFamilies : []),
    ...(options.compat ? [...compatFamilies, ...handler.compatFamilies()] : []),
  ];
  const scrape = { counters, sources: readOnce(sources, cache) };
  let registry: Promise<Registry> | undefined;
  const loaded = () => (registry ??= createRegistry(families, scrape));
  return {
    counters,
    start: async () => {
      await loaded();
    },
    page: async () => {
      const ready = await loaded();
      const startMs = performance.now();
      cache.clear();
      const body = await ready.metrics();
      handler.scraped((performance.now() - startMs) / 1000, Buffer.byteLength(body));
      return { contentType: ready.contentType, body };
    },
  };
}
