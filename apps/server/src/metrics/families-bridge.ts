/** Owns the metric families of a bridge: how its way to the v3 cluster is. Members have none of them. */
import {
  counts,
  type Family,
  histograms,
  plainFamily,
  type Sample,
  type Scrape,
} from "./family.ts";

const CALLS = "etcd2_bridge_upstream_duration_seconds";
const KINDS = ["read", "write", "lease"];

function callSamples({ sources }: Scrape): readonly Sample[] {
  const figures = sources.bridge?.();
  return figures === undefined ? [] : histograms(CALLS, ["kind"], figures.calls);
}

function failureSamples({ sources }: Scrape): readonly Sample[] {
  const figures = sources.bridge?.();
  return figures === undefined ? [] : counts(["kind"], figures.failures, KINDS);
}

/** The families of a bridge. */
export const bridgeFamilies: readonly Family[] = [
  {
    name: CALLS,
    type: "histogram",
    help: "Time of calls to the v3 cluster, by kind.",
    samples: callSamples,
  },
  {
    name: "etcd2_bridge_upstream_failures_total",
    type: "counter",
    help: "Calls to the v3 cluster that failed, by kind.",
    samples: failureSamples,
  },
  plainFamily(
    "counter",
    "etcd2_bridge_upstream_retries_total",
    "Calls to the v3 cluster made again because they had no effect.",
    ({ sources }) => sources.bridge?.().retries,
  ),
  plainFamily(
    "counter",
    "etcd2_bridge_conflicts_total",
    "Transactions that found their keys changed by somebody else, and began anew.",
    ({ sources }) => sources.bridge?.().conflicts,
  ),
  plainFamily(
    "gauge",
    "etcd2_bridge_watch_lag_revisions",
    "Revisions known to exist that have not come through the watch of the v3 cluster.",
    ({ sources }) => sources.bridge?.().watchLagRevisions,
  ),
  plainFamily(
    "gauge",
    "etcd2_bridge_watch_connected",
    "1 while the watch of the v3 cluster stands.",
    ({ sources }) => sources.bridge?.().isWatching,
  ),
];
