/**
 * The catalogue of all metric families that programs of this project count or show. From it follow the
 * page (/metrics), the tables of docs/metrics.md, and what a Meter can be asked for: to add a
 * metric, add its entry here and count it, or answer for it, where the figure comes from.
 */
import { BRIDGE_METRICS } from "./bridge.ts";
import { CLIENT_METRICS } from "./clients.ts";
import { COMPAT_METRICS } from "./compat.ts";
import { CONSENSUS_METRICS } from "./consensus.ts";
import { DISK_METRICS } from "./disk.ts";
import { PEER_METRICS } from "./peers.ts";
import { PROCESS_METRICS } from "./process.ts";
import type { MetricSpec } from "./spec.ts";

/** Every family by its name, in the order of the page; those of Node come from prom-client. */
export const CATALOGUE = {
  ...CONSENSUS_METRICS,
  ...DISK_METRICS,
  ...CLIENT_METRICS,
  ...PEER_METRICS,
  ...PROCESS_METRICS,
  ...BRIDGE_METRICS,
  ...COMPAT_METRICS,
} as const;

type Catalogue = typeof CATALOGUE;

/** The name of a family. */
export type MetricName = keyof Catalogue;

type Counted<Type extends MetricSpec["type"]> = {
  [Name in MetricName]: Catalogue[Name] extends { type: Type }
    ? Catalogue[Name] extends { of: string } | { read: true }
      ? never
      : Name
    : never;
}[MetricName];

/** Families that are counted up. */
export type CounterName = Counted<"counter">;

/** Families that are set, or counted up and down. */
export type GaugeName = Counted<"gauge">;

/** Families that durations or sizes are observed for. */
export type HistogramName = Counted<"histogram">;

/** Families that a figure can be given for when the page is made: all but other names of one. */
export type FigureName = {
  [Name in MetricName]: Catalogue[Name] extends { of: string } ? never : Name;
}[MetricName];

/** The values that a family's labels need, in the order of the catalogue. */
export type LabelValues<Name extends MetricName> = Catalogue[Name] extends {
  labels: infer Labels extends readonly string[];
}
  ? { readonly [Index in keyof Labels]: string }
  : readonly [];

/** The families by the section of docs/metrics.md that lists them. */
export const SECTIONS: Readonly<Record<string, Readonly<Record<string, MetricSpec>>>> = {
  Consensus: CONSENSUS_METRICS,
  "Disk and store": DISK_METRICS,
  Clients: CLIENT_METRICS,
  Peers: PEER_METRICS,
  "Process and runtime": PROCESS_METRICS,
  Bridge: BRIDGE_METRICS,
  "Names of etcd 2.3": COMPAT_METRICS,
};
