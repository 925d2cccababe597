/**
 * Owns the metric names of etcd 2.3.8, served beside the others. The families of its v3
 * preview are there and all 0, as they were on every v2 cluster.
 */
import { formatId } from "@etcd2/member-dir";
import { CountingHistogram, doublingBuckets } from "./histogram.ts";
import { readsByAction, writesByAction } from "./families-server.ts";
import type { Family } from "./family.ts";
import { counts, histogram, histogramFamily, histograms, plainFamily, single } from "./family.ts";

const counter = plainFamily.bind(undefined, "counter");
const gauge = plainFamily.bind(undefined, "gauge");

/**
 * Frames mix messages of all types on one stream, so these two labels of the original have one
 * value each.
 */
function sendLabels(remoteID: string): Readonly<Record<string, string>> {
  return { msgType: "batch", remoteID, sendingType: "stream" };
}

const rafthttp: readonly Family[] = [
  {
    name: "etcd_rafthttp_message_sent_latency_seconds",
    type: "histogram",
    help: "Seconds that messages to the peer waited before they were sent.",
    samples: ({ counters }) =>
      [...counters.peers()].flatMap(([id, peer]) =>
        histogram(
          "etcd_rafthttp_message_sent_latency_seconds",
          peer.sendLatency,
          sendLabels(formatId(id)),
        ),
      ),
  },
  {
    name: "etcd_rafthttp_message_sent_failed_total",
    type: "counter",
    help: "Raft messages to the peer that were dropped.",
    samples: ({ counters }) =>
      [...counters.peers()]
        .filter(([, peer]) => peer.sendFailures > 0)
        .map(([id, peer]) => ({ labels: sendLabels(formatId(id)), value: peer.sendFailures })),
  },
];

const proxy: readonly Family[] = [
  {
    name: "etcd_proxy_requests_total",
    type: "counter",
    help: "Requests a proxy received.",
    samples: ({ counters }) => counts(["method"], counters.proxyRequests),
  },
  {
    name: "etcd_proxy_handled_total",
    type: "counter",
    help: "Requests a proxy passed on and saw answered.",
    samples: ({ counters }) => counts(["method", "code"], counters.proxyHandled),
  },
  {
    name: "etcd_proxy_dropped_total",
    type: "counter",
    help: "Requests a proxy could not pass on.",
    samples: ({ counters }) => counts(["method", "proxying_error"], counters.proxyDropped),
  },
  {
    name: "etcd_proxy_handling_duration_seconds",
    type: "histogram",
    help: "Seconds from a request to its answer through a proxy.",
    samples: ({ counters }) =>
      histograms("etcd_proxy_handling_duration_seconds", ["method"], counters.proxySeconds),
  },
];

const zeroCounters = ["range_total", "put_total", "delete_total", "txn_total", "events_total"].map(
  (name) => `etcd_storage_${name}`,
);

const zeroGauges = [
  "keys_total",
  "watch_stream_total",
  "watcher_total",
  "slow_watcher_total",
  "pending_events_total",
  "db_total_size_in_bytes",
].map((name) => `etcd_storage_${name}`);

const zeroHistograms: Readonly<Record<string, readonly number[]>> = {
  etcd_storage_index_compaction_pause_duration_milliseconds: doublingBuckets(0.5, 12),
  etcd_storage_db_compaction_pause_duration_milliseconds: doublingBuckets(1, 13),
  etcd_storage_db_compaction_total_duration_milliseconds: doublingBuckets(100, 14),
};

const preview = "Part of etcd 2.3's v3 preview, which is not here: always 0.";

const storage: readonly Family[] = [
  ...zeroCounters.map((name) => counter(name, preview, () => 0)),
  ...zeroGauges.map((name) => gauge(name, preview, () => 0)),
  ...Object.entries(zeroHistograms).map(([name, bounds]): Family => {
    const empty = new CountingHistogram(bounds);
    return { name, type: "histogram", help: preview, samples: () => histogram(name, empty) };
  }),
];

function ofSnapshots(name: string): Family {
  return histogramFamily(name, "Seconds that snapshots took.", (c) => c.snapshotSaveSeconds);
}

/** Families of etcd 2.3.8 whose names are not served otherwise. */
export const compatFamilies: readonly Family[] = [
  {
    name: "etcd_http_successful_duration_second",
    type: "histogram",
    help: "Seconds that successful requests for keys took.",
    samples: ({ counters }) =>
      histograms("etcd_http_successful_duration_second", ["method"], counters.requestSeconds),
  },
  histogramFamily(
    "etcd_server_proposal_durations_seconds",
    "Seconds from a proposal to its outcome.",
    (c) => c.proposalSeconds,
  ),
  gauge(
    "etcd_server_pending_proposal_total",
    "Proposals that wait for their outcome.",
    ({ sources }) => sources.raft?.().pendingProposals,
  ),
  counter(
    "etcd_server_proposal_failed_total",
    "Proposals that failed.",
    ({ counters }) => counters.proposalsFailed,
  ),
  gauge(
    "etcd_server_file_descriptors_used_total",
    "File descriptors in use.",
    ({ sources }) => sources.fds?.().used,
  ),
  {
    name: "etcd_store_reads_total",
    type: "counter",
    help: "Reads of the store, failed ones included.",
    samples: readsByAction,
  },
  {
    name: "etcd_store_writes_total",
    type: "counter",
    help: "Writes to the store, failed ones included.",
    samples: writesByAction,
  },
  counter(
    "etcd_store_expires_total",
    "Keys expired.",
    ({ sources }) => sources.store?.().stats.expireCount,
  ),
  counter(
    "etcd_store_watch_requests_total",
    "Watches asked for.",
    ({ counters }) => counters.watchRequests,
  ),
  gauge("etcd_store_watchers", "Live watchers.", ({ sources }) => sources.store?.().watchers),
  histogramFamily(
    "etcd_wal_fsync_durations_seconds",
    "Seconds that syncs of the log took.",
    (c) => c.walSyncSeconds,
  ),
  {
    name: "etcd_wal_last_index_saved",
    type: "gauge",
    help: "Last index in the log.",
    samples: ({ sources }) => single(sources.raft?.().lastIndex),
  },
  ofSnapshots("etcd_snapshot_save_total_durations_seconds"),
  ofSnapshots("etcd_snapshot_save_marshalling_durations_seconds"),
  ...rafthttp,
  ...proxy,
  ...storage,
];
