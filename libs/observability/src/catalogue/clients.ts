/** The families about clients: requests, watches, connections, and what the store did for them. */
import { REQUEST_BUCKETS } from "./buckets.ts";
import type { MetricSpec } from "./spec.ts";

/** Families about clients. */
export const CLIENT_METRICS = {
  etcd_http_received_total: {
    type: "counter",
    help: "Requests for keys, parsed and authorised; watches are not counted.",
    labels: ["method"],
  },
  etcd_http_failed_total: {
    type: "counter",
    help: "Requests for keys that failed when executed, by HTTP status.",
    labels: ["method", "code"],
  },
  etcd_http_successful_duration_seconds: {
    type: "histogram",
    help: "Seconds that successful requests for keys took.",
    labels: ["method"],
    buckets: REQUEST_BUCKETS,
  },
  etcd_debugging_store_reads_total: {
    type: "counter",
    help: "Reads of the store, failed ones included.",
    labels: ["action"],
  },
  etcd_debugging_store_writes_total: {
    type: "counter",
    help: "Writes to the store, failed ones included.",
    labels: ["action"],
    read: true,
  },
  etcd_debugging_store_expires_total: {
    type: "counter",
    help: "Keys expired.",
    read: true,
  },
  etcd_debugging_store_watch_requests_total: {
    type: "counter",
    help: "Watches asked for.",
  },
  etcd_debugging_store_watchers: {
    type: "gauge",
    help: "Live watchers.",
    read: true,
  },
  etcd_network_client_grpc_received_bytes_total: {
    type: "counter",
    help: "Bytes received from clients, who speak HTTP here.",
    read: true,
  },
  etcd_network_client_grpc_sent_bytes_total: {
    type: "counter",
    help: "Bytes sent to clients, who speak HTTP here.",
    read: true,
  },
  etcd2_client_connections: {
    type: "gauge",
    help: "Open client connections.",
    read: true,
  },
  etcd2_client_connections_max: {
    type: "gauge",
    help: "Client connections allowed.",
    read: true,
  },
  etcd2_client_connections_accepted_total: {
    type: "counter",
    help: "Client connections accepted.",
  },
  etcd2_client_connections_shed_total: {
    type: "counter",
    help: "Client connections refused because there were too many.",
  },
  etcd2_client_connections_swept_total: {
    type: "counter",
    help: "Client connections closed because they were idle, or their client took nothing, for too long.",
  },
  etcd2_watches_refused_total: {
    type: "counter",
    help: "Watches refused because too many were open.",
  },
  etcd2_watchers_dropped_total: {
    type: "counter",
    help: "Watchers ended because they did not read.",
  },
  etcd2_access_log_lines_dropped_total: {
    type: "counter",
    help: "Lines of the access log lost to a slow sink.",
  },
  etcd2_store_index: {
    type: "gauge",
    help: "Index of the last change to a key.",
    read: true,
  },
  etcd2_watch_history_first_index: {
    type: "gauge",
    help: "Oldest event kept for watchers.",
    read: true,
  },
  etcd2_watch_history_last_index: {
    type: "gauge",
    help: "Newest event kept for watchers.",
    read: true,
  },
  etcd2_scrape_seconds: {
    type: "gauge",
    help: "Seconds the last metrics page took to make.",
    read: true,
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;
