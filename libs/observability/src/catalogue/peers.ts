/**
 * The families about traffic between members, under their 3.x names. Ids in labels are hexadecimal
 * without leading zeros.
 */
import { GRPC_BUCKETS, REQUEST_BUCKETS, ROUND_TRIP_BUCKETS } from "./buckets.ts";
import { relabelled, type MetricSpec, type Sample } from "./spec.ts";

/** The peer service and the kinds of its methods, for the labels that gRPC metrics have. */
const SERVICE = "raft.v1.RaftService";
const METHOD_TYPES: Readonly<Record<string, string>> = {
  Stream: "bidi_stream",
  Snapshot: "client_stream",
  ClusterInfo: "unary",
};

/** Every status a call can end with, as dashboards know them. */
const CODES = [
  ...["OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound"],
  ...["AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted"],
  ...["OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"],
];

const METHODS: readonly string[] = Object.keys(METHOD_TYPES);
const OUTCOMES: readonly string[] = METHODS.flatMap((method) =>
  CODES.map((code) => `${method}\t${code}`),
);

function withGrpcLabels(samples: readonly Sample[]): readonly Sample[] {
  return relabelled(samples, (labels) => ({
    ...labels,
    grpc_service: SERVICE,
    grpc_type: METHOD_TYPES[String(labels["grpc_method"])] ?? "unary",
  }));
}

/** Messages on the streams; the frames that carry them are not told apart. */
function sumOfStreams(samples: readonly Sample[]): readonly Sample[] {
  const value = samples.reduce((sum, sample) => sum + sample.value, 0);
  return withGrpcLabels([{ labels: { grpc_method: "Stream" }, value }]);
}

/** Families about peers. */
export const PEER_METRICS = {
  etcd_network_peer_sent_bytes_total: {
    type: "counter",
    help: "Bytes sent to the peer.",
    labels: ["To"],
    ids: true,
  },
  etcd_network_peer_received_bytes_total: {
    type: "counter",
    help: "Bytes received from the peer.",
    labels: ["From"],
    ids: true,
  },
  etcd_network_peer_sent_failures_total: {
    type: "counter",
    help: "Raft messages to the peer that were dropped.",
    labels: ["To"],
    ids: true,
  },
  etcd_network_peer_round_trip_time_seconds: {
    type: "histogram",
    help: "Round trips to the peer, in seconds.",
    labels: ["To"],
    ids: true,
    buckets: ROUND_TRIP_BUCKETS,
  },
  etcd_network_active_peers: {
    type: "gauge",
    help: "Peers a connection is up to.",
    labels: ["Local", "Remote"],
    read: true,
  },
  etcd_network_disconnected_peers_total: {
    type: "counter",
    help: "Connections to the peer that were lost.",
    labels: ["Local", "Remote"],
    ids: true,
  },
  etcd_network_snapshot_send_success: {
    type: "counter",
    help: "Snapshots sent to the peer.",
    labels: ["To"],
    ids: true,
  },
  etcd_network_snapshot_send_failures: {
    type: "counter",
    help: "Snapshots that could not be sent to the peer.",
    labels: ["To"],
    ids: true,
  },
  grpc_server_started_total: {
    type: "counter",
    help: "Calls begun on the peer service.",
    labels: ["grpc_method"],
    known: METHODS,
    shown: withGrpcLabels,
  },
  grpc_server_handled_total: {
    type: "counter",
    help: "Calls ended on the peer service, by status.",
    labels: ["grpc_method", "grpc_code"],
    known: OUTCOMES,
    shown: withGrpcLabels,
  },
  grpc_server_msg_sent_total: {
    type: "counter",
    help: "Raft messages sent on the streams of the peer service.",
    of: "etcd2_peer_sent_messages_total",
    shown: sumOfStreams,
  },
  grpc_server_msg_received_total: {
    type: "counter",
    help: "Raft messages received on the streams of the peer service.",
    of: "etcd2_peer_received_messages_total",
    shown: sumOfStreams,
  },
  etcd2_peer_sent_messages_total: {
    type: "counter",
    help: "Raft messages sent to the peer.",
    labels: ["To"],
    ids: true,
  },
  etcd2_peer_received_messages_total: {
    type: "counter",
    help: "Raft messages received from the peer.",
    labels: ["From"],
    ids: true,
  },
  etcd2_peer_send_latency_seconds: {
    type: "histogram",
    help: "Seconds that messages to the peer waited before they were sent.",
    labels: ["To"],
    ids: true,
    buckets: REQUEST_BUCKETS,
  },
  etcd2_snapshot_sent_bytes_total: {
    type: "counter",
    help: "Bytes of snapshots sent to the peer.",
    labels: ["To"],
    ids: true,
  },
  etcd2_snapshot_received_bytes_total: {
    type: "counter",
    help: "Bytes of snapshots received from the peer.",
    labels: ["From"],
    ids: true,
  },
  grpc_server_handling_seconds: {
    type: "histogram",
    help: "Seconds that calls on the peer service took.",
    labels: ["grpc_method"],
    buckets: GRPC_BUCKETS,
    shown: withGrpcLabels,
    served: "extensive",
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;
