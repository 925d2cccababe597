/**
 * The families whose names only etcd 2.3.8 has, served beside the others. Those of its v3 preview are
 * there and all 0, as they were on every v2 cluster.
 */
import { REQUEST_BUCKETS } from "./buckets.ts";
import { doublingBuckets, relabelled, type MetricSpec, type Sample } from "./spec.ts";

const PREVIEW = "Part of etcd 2.3's v3 preview, which is not here: always 0.";

/**
 * Frames mix messages of all types on one stream, so two labels that 2.3.8 told them apart by have one
 * value each.
 */
function withSendLabels(samples: readonly Sample[]): readonly Sample[] {
  return relabelled(samples, ({ To = "" }) => {
    return { msgType: "batch", remoteID: To, sendingType: "stream" };
  });
}

function failedSends(samples: readonly Sample[]): readonly Sample[] {
  return withSendLabels(samples.filter(({ value }) => value > 0));
}

/** Families under the names of etcd 2.3.8. */
export const COMPAT_METRICS = {
  etcd_http_successful_duration_second: {
    type: "histogram",
    help: "Seconds that successful requests for keys took.",
    of: "etcd_http_successful_duration_seconds",
    served: "compat",
  },
  etcd_server_proposal_durations_seconds: {
    type: "histogram",
    help: "Seconds from a proposal to its outcome.",
    of: "etcd2_proposal_duration_seconds",
    served: "compat",
  },
  etcd_server_pending_proposal_total: {
    type: "gauge",
    help: "Proposals that wait for their outcome.",
    of: "etcd_server_proposals_pending",
    served: "compat",
  },
  etcd_server_proposal_failed_total: {
    type: "counter",
    help: "Proposals that failed.",
    of: "etcd_server_proposals_failed_total",
    served: "compat",
  },
  etcd_server_file_descriptors_used_total: {
    type: "gauge",
    help: "File descriptors in use.",
    of: "os_fd_used",
    served: "compat",
  },
  etcd_store_reads_total: {
    type: "counter",
    help: "Reads of the store, failed ones included.",
    of: "etcd_debugging_store_reads_total",
    served: "compat",
  },
  etcd_store_writes_total: {
    type: "counter",
    help: "Writes to the store, failed ones included.",
    of: "etcd_debugging_store_writes_total",
    served: "compat",
  },
  etcd_store_expires_total: {
    type: "counter",
    help: "Keys expired.",
    of: "etcd_debugging_store_expires_total",
    served: "compat",
  },
  etcd_store_watch_requests_total: {
    type: "counter",
    help: "Watches asked for.",
    of: "etcd_debugging_store_watch_requests_total",
    served: "compat",
  },
  etcd_store_watchers: {
    type: "gauge",
    help: "Live watchers.",
    of: "etcd_debugging_store_watchers",
    served: "compat",
  },
  etcd_wal_fsync_durations_seconds: {
    type: "histogram",
    help: "Seconds that syncs of the log took.",
    of: "etcd_disk_wal_fsync_duration_seconds",
    served: "compat",
  },
  etcd_wal_last_index_saved: {
    type: "gauge",
    help: "Last index in the log.",
    of: "etcd2_raft_last_index",
    served: "compat",
  },
  etcd_snapshot_save_total_durations_seconds: {
    type: "histogram",
    help: "Seconds that snapshots took.",
    of: "etcd_debugging_snap_save_total_duration_seconds",
    served: "compat",
  },
  etcd_snapshot_save_marshalling_durations_seconds: {
    type: "histogram",
    help: "Seconds that snapshots took.",
    of: "etcd_debugging_snap_save_total_duration_seconds",
    served: "compat",
  },
  etcd_rafthttp_message_sent_latency_seconds: {
    type: "histogram",
    help: "Seconds that messages to the peer waited before they were sent.",
    of: "etcd2_peer_send_latency_seconds",
    served: "compat",
    shown: withSendLabels,
  },
  etcd_rafthttp_message_sent_failed_total: {
    type: "counter",
    help: "Raft messages to the peer that were dropped.",
    of: "etcd_network_peer_sent_failures_total",
    served: "compat",
    shown: failedSends,
  },
  etcd_proxy_requests_total: {
    type: "counter",
    help: "Requests a proxy received.",
    labels: ["method"],
    served: "compat",
  },
  etcd_proxy_handled_total: {
    type: "counter",
    help: "Requests a proxy passed on and saw answered.",
    labels: ["method", "code"],
    served: "compat",
  },
  etcd_proxy_dropped_total: {
    type: "counter",
    help: "Requests a proxy could not pass on.",
    labels: ["method", "proxying_error"],
    served: "compat",
  },
  etcd_proxy_handling_duration_seconds: {
    type: "histogram",
    help: "Seconds from a request to its answer through a proxy.",
    labels: ["method"],
    buckets: REQUEST_BUCKETS,
    served: "compat",
  },
  etcd_storage_range_total: { type: "counter", help: PREVIEW, served: "compat" },
  etcd_storage_put_total: { type: "counter", help: PREVIEW, served: "compat" },
  etcd_storage_delete_total: { type: "counter", help: PREVIEW, served: "compat" },
  etcd_storage_txn_total: { type: "counter", help: PREVIEW, served: "compat" },
  etcd_storage_events_total: { type: "counter", help: PREVIEW, served: "compat" },
  etcd_storage_keys_total: { type: "gauge", help: PREVIEW, served: "compat" },
  etcd_storage_watch_stream_total: { type: "gauge", help: PREVIEW, served: "compat" },
  etcd_storage_watcher_total: { type: "gauge", help: PREVIEW, served: "compat" },
  etcd_storage_slow_watcher_total: { type: "gauge", help: PREVIEW, served: "compat" },
  etcd_storage_pending_events_total: { type: "gauge", help: PREVIEW, served: "compat" },
  etcd_storage_db_total_size_in_bytes: { type: "gauge", help: PREVIEW, served: "compat" },
  etcd_storage_index_compaction_pause_duration_milliseconds: {
    type: "histogram",
    help: PREVIEW,
    buckets: doublingBuckets(0.5, 12),
    served: "compat",
  },
  etcd_storage_db_compaction_pause_duration_milliseconds: {
    type: "histogram",
    help: PREVIEW,
    buckets: doublingBuckets(1, 13),
    served: "compat",
  },
  etcd_storage_db_compaction_total_duration_milliseconds: {
    type: "histogram",
    help: PREVIEW,
    buckets: doublingBuckets(100, 14),
    served: "compat",
  },
  http_requests_total: {
    type: "counter",
    help: "Requests for the metrics page.",
    labels: ["code", "handler", "method"],
    read: true,
    served: "compat",
  },
  http_request_duration_microseconds: {
    type: "summary",
    help: "Microseconds that metrics pages took.",
    labels: ["handler"],
    read: true,
    served: "compat",
  },
  http_request_size_bytes: {
    type: "summary",
    help: "Bytes of requests for metrics pages; bodies are not read.",
    labels: ["handler"],
    read: true,
    served: "compat",
  },
  http_response_size_bytes: {
    type: "summary",
    help: "Bytes of metrics pages.",
    labels: ["handler"],
    read: true,
    served: "compat",
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;
