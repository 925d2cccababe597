/** Owns the buckets of the histograms, in seconds: those that etcd has for each kind of work. */
import { doublingBuckets } from "./spec.ts";

/** Requests, and messages that wait to be sent: 0.5 ms to 2 s. */
export const REQUEST_BUCKETS = doublingBuckets(0.0005, 13);

/** Syncs, batches and proposals: 1 ms to 8 s. */
export const DISK_BUCKETS = doublingBuckets(0.001, 14);

/** Making the whole store durable: 10 ms to 11 min. */
export const BACKEND_SNAPSHOT_BUCKETS = doublingBuckets(0.01, 17);

/** Round trips between members: 0.1 ms to 3 s. */
export const ROUND_TRIP_BUCKETS = doublingBuckets(0.0001, 16);

/** Calls of a bridge to the v3 cluster: 0.5 ms to 8 s. */
export const UPSTREAM_BUCKETS = doublingBuckets(0.0005, 15);

/** The default buckets of Prometheus' Go client, which etcd's gRPC histograms have. */
export const GRPC_BUCKETS: readonly number[] = [
  ...[0.005, 0.01, 0.025, 0.05, 0.1, 0.25],
  ...[0.5, 1, 2.5, 5, 10],
];
