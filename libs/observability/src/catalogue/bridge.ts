/** The families of a bridge: how its way to the v3 cluster is. Members have none of them. */
import { UPSTREAM_BUCKETS } from "./buckets.ts";
import type { MetricSpec } from "./spec.ts";

/** Families that only a bridge has. */
export const BRIDGE_METRICS = {
  etcd2_bridge_upstream_duration_seconds: {
    type: "histogram",
    help: "Time of calls to the v3 cluster, by kind.",
    labels: ["kind"],
    buckets: UPSTREAM_BUCKETS,
    served: "bridge",
  },
  etcd2_bridge_upstream_failures_total: {
    type: "counter",
    help: "Calls to the v3 cluster that failed, by kind.",
    labels: ["kind"],
    known: ["read", "write", "lease"],
    served: "bridge",
  },
  etcd2_bridge_upstream_retries_total: {
    type: "counter",
    help: "Calls to the v3 cluster made again because they had no effect.",
    served: "bridge",
  },
  etcd2_bridge_conflicts_total: {
    type: "counter",
    help: "Transactions that found their keys changed by somebody else, and began anew.",
    served: "bridge",
  },
  etcd2_bridge_watch_lag_revisions: {
    type: "gauge",
    help: "Revisions known to exist that have not come through the watch of the v3 cluster.",
    read: true,
    served: "bridge",
  },
  etcd2_bridge_watch_connected: {
    type: "gauge",
    help: "1 while the watch of the v3 cluster stands.",
    read: true,
    served: "bridge",
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;
