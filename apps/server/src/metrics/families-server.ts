/**
 * Owns the metric families about this member alone: those that etcd 3.x's stock alerts and
 * dashboards read, under the same names, types, labels and buckets, and our own under `etcd2_`.
 */
import { compatVersion, productVersion } from "../base/version.ts";
import type { Family, Sample, Scrape } from "./family.ts";
import { counts, histogramFamily, histograms, info, plainFamily } from "./family.ts";
import type { CertificateFigures, StoreFigures } from "./sources.ts";

const counter = plainFamily.bind(undefined, "counter");
const gauge = plainFamily.bind(undefined, "gauge");

/** Writes by action, failures included, under the names the store events have. */
export function writesByAction({ sources }: Scrape): readonly Sample[] {
  const stats = sources.store?.().stats;
  if (stats === undefined) return [];
  const totals: Readonly<Record<string, number>> = {
    set: stats.setsSuccess + stats.setsFail,
    create: stats.createSuccess + stats.createFail,
    update: stats.updateSuccess + stats.updateFail,
    delete: stats.deleteSuccess + stats.deleteFail,
    compareAndSwap: stats.compareAndSwapSuccess + stats.compareAndSwapFail,
    compareAndDelete: stats.compareAndDeleteSuccess + stats.compareAndDeleteFail,
  };
  return Object.entries(totals).map(([action, value]) => ({ labels: { action }, value }));
}

/** Reads by action, failures included. */
export function readsByAction({ counters, sources }: Scrape): readonly Sample[] {
  const stats = sources.store?.().stats;
  if (stats === undefined) return [];
  const all = stats.getsSuccess + stats.getsFail;
  return [
    { labels: { action: "get" }, value: Math.max(0, all - counters.recursiveReads) },
    { labels: { action: "getRecursive" }, value: counters.recursiveReads },
  ];
}

const ofStore =
  (pick: (store: StoreFigures) => number) =>
  ({ sources }: Scrape): number | undefined => {
    const store = sources.store?.();
    return store === undefined ? undefined : pick(store);
  };

const consensus: readonly Family[] = [
  gauge(
    "etcd_server_has_leader",
    "1 if this member knows a leader.",
    ({ sources }) => sources.raft?.().hasLeader,
  ),
  gauge(
    "etcd_server_is_leader",
    "1 if this member is the leader.",
    ({ sources }) => sources.raft?.().isLeader,
  ),
  gauge(
    "etcd_server_is_learner",
    "1 if this member is a learner.",
    ({ sources }) => sources.raft?.().isLearner,
  ),
  counter(
    "etcd_server_leader_changes_seen_total",
    "Changes of leader seen.",
    ({ sources }) => sources.raft?.().leaderChanges,
  ),
  gauge(
    "etcd_server_proposals_committed_total",
    "Index of the last committed entry.",
    ({ sources }) => sources.raft?.().committed,
  ),
  gauge(
    "etcd_server_proposals_applied_total",
    "Index of the last applied entry.",
    ({ sources }) => sources.raft?.().applied,
  ),
  gauge(
    "etcd_server_proposals_pending",
    "Proposals that wait for their outcome.",
    ({ sources }) => sources.raft?.().pendingProposals,
  ),
  counter(
    "etcd_server_proposals_failed_total",
    "Proposals that failed.",
    ({ counters }) => counters.proposalsFailed,
  ),
  counter(
    "etcd_server_heartbeat_send_failures_total",
    "Heartbeats of this leader that were late.",
    ({ counters }) => counters.heartbeatSendFailures,
  ),
  counter(
    "etcd_server_slow_apply_total",
    "Slow applications of committed entries.",
    ({ counters }) => counters.slowApplies,
  ),
  counter(
    "etcd_server_slow_read_indexes_total",
    "Linearizable reads whose confirmation was slow.",
    ({ counters }) => counters.slowReadIndexes,
  ),
  counter(
    "etcd_server_read_indexes_failed_total",
    "Linearizable reads that could not be confirmed.",
    ({ counters }) => counters.failedReadIndexes,
  ),
  counter(
    "etcd_server_learner_promote_successes",
    "Learners made voters by this leader.",
    ({ counters }) => counters.learnersPromoted,
  ),
  counter(
    "etcd_server_health_success",
    "Health checks that succeeded.",
    ({ counters }) => counters.healthSuccesses,
  ),
  counter(
    "etcd_server_health_failures",
    "Health checks that failed.",
    ({ counters }) => counters.healthFailures,
  ),
  gauge(
    "etcd_server_snapshot_apply_in_progress_total",
    "1 while a snapshot from the leader is taken over.",
    ({ counters }) => counters.snapshotApplysInProgress,
  ),
  {
    name: "etcd_server_version",
    type: "gauge",
    help: "1 with the etcd version this server follows.",
    samples: () => info("server_version", compatVersion),
  },
  {
    name: "etcd_server_id",
    type: "gauge",
    help: "1 with the id of this member.",
    samples: ({ sources }) => info("server_id", sources.identity?.().memberId),
  },
  {
    name: "etcd_cluster_version",
    type: "gauge",
    help: "1 with the version of the cluster.",
    samples: ({ sources }) => info("cluster_version", sources.identity?.().clusterVersion),
  },
  gauge("etcd2_raft_term", "Term of this member.", ({ sources }) => sources.raft?.().term),
  gauge(
    "etcd2_raft_first_index",
    "First index in the log.",
    ({ sources }) => sources.raft?.().firstIndex,
  ),
  gauge(
    "etcd2_raft_last_index",
    "Last index in the log.",
    ({ sources }) => sources.raft?.().lastIndex,
  ),
  histogramFamily(
    "etcd2_proposal_duration_seconds",
    "Seconds from a proposal to its outcome.",
    (c) => c.proposalSeconds,
  ),
];

const disk: readonly Family[] = [
  histogramFamily(
    "etcd_disk_wal_fsync_duration_seconds",
    "Seconds that syncs of the log took.",
    (c) => c.walSyncSeconds,
  ),
  gauge(
    "etcd_disk_wal_write_bytes_total",
    "Bytes written to the log.",
    ({ counters }) => counters.walBytesWritten,
  ),
  histogramFamily(
    "etcd_disk_backend_commit_duration_seconds",
    "Seconds that writes of batches to the store took.",
    (c) => c.backendCommitSeconds,
  ),
  histogramFamily(
    "etcd_disk_backend_snapshot_duration_seconds",
    "Seconds that making the store durable took.",
    (c) => c.backendSnapshotSeconds,
  ),
  histogramFamily(
    "etcd_snap_fsync_duration_seconds",
    "Seconds that syncs of snapshots took.",
    (c) => c.snapshotSyncSeconds,
  ),
  histogramFamily(
    "etcd_debugging_snap_save_total_duration_seconds",
    "Seconds that snapshots took as a whole.",
    (c) => c.snapshotSaveSeconds,
  ),
  gauge(
    "etcd_mvcc_db_total_size_in_bytes",
    "Bytes of the store on disk.",
    ofStore((s) => s.sizeBytes),
  ),
  gauge(
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "Estimate of the bytes of the store that are live.",
    ofStore((s) => s.liveBytes),
  ),
  // Without a quota there is no series: 0 would read as "over quota" in the stock alerts.
  gauge(
    "etcd_server_quota_backend_bytes",
    "Bytes of the store at which writes are refused.",
    ({ sources }) => {
      const quota = sources.store?.().quotaBytes ?? 0;
      return quota === 0 ? undefined : quota;
    },
  ),
  gauge(
    "etcd2_disk_free_bytes",
    "Free bytes where the data directory is.",
    ({ sources }) => sources.disk?.().freeBytes,
  ),
  gauge(
    "etcd2_disk_reserve_bytes",
    "Free bytes below which writes are refused.",
    ({ sources }) => sources.disk?.().reserveBytes,
  ),
  {
    name: "etcd2_alarm",
    type: "gauge",
    help: "1 for each alarm that is on.",
    samples: ({ sources }) => {
      const on = sources.alarms?.() ?? [];
      return ["diskLow", "quota"].map((type) => {
        return { labels: { type }, value: Number(on.includes(type)) };
      });
    },
  },
];

const http: readonly Family[] = [
  {
    name: "etcd_http_received_total",
    type: "counter",
    help: "Requests for keys, parsed and authorised; watches are not counted.",
    samples: ({ counters }) => counts(["method"], counters.requestsReceived),
  },
  {
    name: "etcd_http_failed_total",
    type: "counter",
    help: "Requests for keys that failed when executed, by HTTP status.",
    samples: ({ counters }) => counts(["method", "code"], counters.requestsFailed),
  },
  {
    name: "etcd_http_successful_duration_seconds",
    type: "histogram",
    help: "Seconds that successful requests for keys took.",
    samples: ({ counters }) =>
      histograms("etcd_http_successful_duration_seconds", ["method"], counters.requestSeconds),
  },
  {
    name: "etcd_debugging_store_reads_total",
    type: "counter",
    help: "Reads of the store, failed ones included.",
    samples: readsByAction,
  },
  {
    name: "etcd_debugging_store_writes_total",
    type: "counter",
    help: "Writes to the store, failed ones included.",
    samples: writesByAction,
  },
  counter(
    "etcd_debugging_store_expires_total",
    "Keys expired.",
    ofStore((s) => s.stats.expireCount),
  ),
  counter(
    "etcd_debugging_store_watch_requests_total",
    "Watches asked for.",
    ({ counters }) => counters.watchRequests,
  ),
  gauge(
    "etcd_debugging_store_watchers",
    "Live watchers.",
    ofStore((s) => s.watchers),
  ),
  counter(
    "etcd_network_client_grpc_received_bytes_total",
    "Bytes received from clients, who speak HTTP here.",
    ({ sources }) => sources.clients?.().receivedBytes,
  ),
  counter(
    "etcd_network_client_grpc_sent_bytes_total",
    "Bytes sent to clients, who speak HTTP here.",
    ({ sources }) => sources.clients?.().sentBytes,
  ),
  gauge(
    "etcd2_client_connections",
    "Open client connections.",
    ({ sources }) => sources.clients?.().connections,
  ),
  gauge(
    "etcd2_client_connections_max",
    "Client connections allowed.",
    ({ sources }) => sources.clients?.().connectionsMax,
  ),
  counter(
    "etcd2_raft_messages_refused_total",
    "Messages of members dropped because they contradict what this member knows for certain.",
    ({ counters }) => counters.messagesRefused,
  ),
  gauge(
    "etcd2_data_diverged",
    "1 when the data of this member contradicts the cluster's: it serves nothing any more.",
    ({ counters }) => Number(counters.hasDiverged),
  ),
  counter(
    "etcd2_client_connections_accepted_total",
    "Client connections accepted.",
    ({ counters }) => counters.connectionsAccepted,
  ),
  counter(
    "etcd2_client_connections_shed_total",
    "Client connections refused because there were too many.",
    ({ counters }) => counters.connectionsShed,
  ),
  counter(
    "etcd2_client_connections_swept_total",
    "Client connections closed because they were idle, or their client took nothing, for too long.",
    ({ counters }) => counters.connectionsSwept,
  ),
  counter(
    "etcd2_watches_refused_total",
    "Watches refused because too many were open.",
    ({ counters }) => counters.watchesRefused,
  ),
  counter(
    "etcd2_watchers_dropped_total",
    "Watchers ended because they did not read.",
    ({ counters }) => counters.slowWatchersDropped,
  ),
  counter(
    "etcd2_access_log_lines_dropped_total",
    "Lines of the access log lost to a slow sink.",
    ({ counters }) => counters.accessLogLinesDropped,
  ),
  gauge(
    "etcd2_store_index",
    "Index of the last change to a key.",
    ofStore((s) => s.etcdIndex),
  ),
  gauge(
    "etcd2_watch_history_first_index",
    "Oldest event kept for watchers.",
    ofStore((s) => s.historyFirstIndex),
  ),
  gauge(
    "etcd2_watch_history_last_index",
    "Newest event kept for watchers.",
    ofStore((s) => s.historyLastIndex),
  ),
];

function ofCertificates(
  name: string,
  help: string,
  value: (figures: CertificateFigures) => number,
): Family {
  return {
    name,
    type: "gauge",
    help,
    samples: ({ sources }) =>
      (sources.certificates?.() ?? []).map((figures) => {
        return { labels: { side: figures.side }, value: value(figures) };
      }),
  };
}

const process: readonly Family[] = [
  gauge("os_fd_used", "File descriptors in use.", ({ sources }) => sources.fds?.().used),
  gauge("os_fd_limit", "File descriptors allowed.", ({ sources }) => sources.fds?.().limit),
  gauge("process_open_fds", "File descriptors in use.", ({ sources }) => sources.fds?.().used),
  gauge("process_max_fds", "File descriptors allowed.", ({ sources }) => sources.fds?.().limit),
  ofCertificates(
    "etcd2_tls_certificate_not_before_seconds",
    "Begin of validity of the certificate in use, in Unix seconds.",
    ({ notBeforeSeconds }) => notBeforeSeconds,
  ),
  ofCertificates(
    "etcd2_tls_certificate_not_after_seconds",
    "End of validity of the certificate in use, in Unix seconds.",
    ({ notAfterSeconds }) => notAfterSeconds,
  ),
  ofCertificates(
    "etcd2_tls_certificate_left_seconds",
    "Seconds until the certificate in use expires by this machine's clock; negative once it has.",
    ({ notAfterSeconds }) => notAfterSeconds - Math.floor(Date.now() / 1000),
  ),
  {
    name: "etcd2_build_info",
    type: "gauge",
    help: "1 with the version of this server.",
    samples: () => info("version", productVersion),
  },
];

/** Families that are always served, but for those about peers. */
export const serverFamilies: readonly Family[] = [...consensus, ...disk, ...http, ...process];
