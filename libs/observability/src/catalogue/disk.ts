/** The families about the log, the store and the disk below them. */
import { BACKEND_SNAPSHOT_BUCKETS, DISK_BUCKETS } from "./buckets.ts";
import type { MetricSpec } from "./spec.ts";

/** Families about the log, the store and the disk. */
export const DISK_METRICS = {
  etcd_disk_wal_fsync_duration_seconds: {
    type: "histogram",
    help: "Seconds that syncs of the log took.",
    buckets: DISK_BUCKETS,
  },
  etcd_disk_wal_write_bytes_total: {
    type: "gauge",
    help: "Bytes written to the log.",
    read: true,
  },
  etcd_disk_backend_commit_duration_seconds: {
    type: "histogram",
    help: "Seconds that writes of batches to the store took.",
    buckets: DISK_BUCKETS,
  },
  etcd_disk_backend_snapshot_duration_seconds: {
    type: "histogram",
    help: "Seconds that making the store durable took.",
    buckets: BACKEND_SNAPSHOT_BUCKETS,
  },
  etcd_snap_fsync_duration_seconds: {
    type: "histogram",
    help: "Seconds that syncs of snapshots took.",
    buckets: DISK_BUCKETS,
  },
  etcd_debugging_snap_save_total_duration_seconds: {
    type: "histogram",
    help: "Seconds that snapshots took as a whole.",
    buckets: DISK_BUCKETS,
  },
  etcd_mvcc_db_total_size_in_bytes: {
    type: "gauge",
    help: "Bytes of the store on disk.",
    read: true,
  },
  etcd_mvcc_db_total_size_in_use_in_bytes: {
    type: "gauge",
    help: "Estimate of the bytes of the store that are live.",
    read: true,
  },
  etcd_server_quota_backend_bytes: {
    type: "gauge",
    help: "Bytes of the store at which writes are refused.",
    read: true,
  },
  etcd2_disk_free_bytes: {
    type: "gauge",
    help: "Free bytes where the data directory is.",
    read: true,
  },
  etcd2_disk_reserve_bytes: {
    type: "gauge",
    help: "Free bytes below which writes are refused.",
    read: true,
  },
  etcd2_alarm: {
    type: "gauge",
    help: "1 for each alarm that is on.",
    labels: ["type"],
    read: true,
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;
