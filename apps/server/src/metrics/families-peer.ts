/**
 * Owns the metric families about traffic between members, under their 3.x names. Ids in labels are
 * hexadecimal without leading zeros.
 */
import { formatId } from "@etcd2/member-dir";
import type { PeerCounters } from "./counters.ts";
import { counts, histogram, histograms, sortedLabels } from "./family.ts";
import type { Family, Sample, Scrape } from "./family.ts";

/** The peer service and the kinds of its methods, for the labels that gRPC metrics have. */
const service = "raft.v1.RaftService";
const methodTypes: Readonly<Record<string, string>> = {
  Stream: "bidi_stream",
  Snapshot: "client_stream",
  ClusterInfo: "unary",
};

/** Every status a call can end with, as dashboards know them. */
const codes = [
  ...["OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound"],
  ...["AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted"],
  ...["OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"],
];

const methods = Object.keys(methodTypes);
const outcomes = methods.flatMap((method) => codes.map((code) => `${method}\t${code}`));

function grpcLabels(samples: readonly Sample[]): readonly Sample[] {
  return samples.map((sample) => {
    const type = methodTypes[String(sample.labels["grpc_method"])] ?? "unary";
    const { le, ...rest } = sample.labels;
    const labels = sortedLabels([
      ...Object.entries(rest),
      ["grpc_service", service],
      ["grpc_type", type],
    ]);
    return { ...sample, labels: le === undefined ? labels : { ...labels, le } };
  });
}

function perPeer(label: "To" | "From", value: (peer: PeerCounters) => number) {
  return ({ counters }: Scrape): readonly Sample[] =>
    [...counters.peers()].map(([id, peer]) => {
      return { labels: { [label]: formatId(id) }, value: value(peer) };
    });
}

function peerCounter(
  name: string,
  label: "To" | "From",
  help: string,
  value: (peer: PeerCounters) => number,
): Family {
  return { name, type: "counter", help, samples: perPeer(label, value) };
}

function peerHistogram(
  name: string,
  help: string,
  pick: (peer: PeerCounters) => PeerCounters["roundTrip"],
): Family {
  const samples = ({ counters }: Scrape) =>
    [...counters.peers()].flatMap(([id, peer]) =>
      histogram(name, pick(peer), { To: formatId(id) }),
    );
  return { name, type: "histogram", help, samples };
}

/** Messages on the streams; the frames that carry them are not told apart. */
function streamMessages(value: (peer: PeerCounters) => number) {
  return ({ counters }: Scrape): readonly Sample[] => {
    let total = 0;
    for (const peer of counters.peers().values()) total += value(peer);
    return grpcLabels([{ labels: { grpc_method: "Stream" }, value: total }]);
  };
}

/** Families about peers. */
export const peerFamilies: readonly Family[] = [
  peerCounter(
    "etcd_network_peer_sent_bytes_total",
    "To",
    "Bytes sent to the peer.",
    (p) => p.sentBytes,
  ),
  peerCounter(
    "etcd_network_peer_received_bytes_total",
    "From",
    "Bytes received from the peer.",
    (p) => p.receivedBytes,
  ),
  peerCounter(
    "etcd_network_peer_sent_failures_total",
    "To",
    "Raft messages to the peer that were dropped.",
    (p) => p.sendFailures,
  ),
  peerHistogram(
    "etcd_network_peer_round_trip_time_seconds",
    "Round trips to the peer, in seconds.",
    (p) => p.roundTrip,
  ),
  {
    name: "etcd_network_active_peers",
    type: "gauge",
    help: "Peers a connection is up to.",
    samples: ({ sources }: Scrape): readonly Sample[] => {
      const local = sources.identity?.().memberId ?? "";
      const peers = sources.peers?.() ?? [];
      return peers.map(({ id, isActive }) => {
        return { labels: { Local: local, Remote: formatId(id) }, value: Number(isActive) };
      });
    },
  },
  {
    name: "etcd_network_disconnected_peers_total",
    type: "counter",
    help: "Connections to the peer that were lost.",
    samples: ({ counters, sources }: Scrape): readonly Sample[] => {
      const local = sources.identity?.().memberId ?? "";
      return [...counters.peers()].map(([id, peer]) => {
        return { labels: { Local: local, Remote: formatId(id) }, value: peer.connectionsLost };
      });
    },
  },
  peerCounter(
    "etcd_network_snapshot_send_success",
    "To",
    "Snapshots sent to the peer.",
    (p) => p.snapshotsSent,
  ),
  peerCounter(
    "etcd_network_snapshot_send_failures",
    "To",
    "Snapshots that could not be sent to the peer.",
    (p) => p.snapshotsFailed,
  ),
  {
    name: "grpc_server_started_total",
    type: "counter",
    help: "Calls begun on the peer service.",
    samples: ({ counters }) => grpcLabels(counts(["grpc_method"], counters.rpcsStarted, methods)),
  },
  {
    name: "grpc_server_handled_total",
    type: "counter",
    help: "Calls ended on the peer service, by status.",
    samples: ({ counters }) =>
      grpcLabels(counts(["grpc_method", "grpc_code"], counters.rpcsHandled, outcomes)),
  },
  {
    name: "grpc_server_msg_sent_total",
    type: "counter",
    help: "Raft messages sent on the streams of the peer service.",
    samples: streamMessages((p) => p.sentMessages),
  },
  {
    name: "grpc_server_msg_received_total",
    type: "counter",
    help: "Raft messages received on the streams of the peer service.",
    samples: streamMessages((p) => p.receivedMessages),
  },
  peerCounter(
    "etcd2_peer_sent_messages_total",
    "To",
    "Raft messages sent to the peer.",
    (p) => p.sentMessages,
  ),
  peerCounter(
    "etcd2_peer_received_messages_total",
    "From",
    "Raft messages received from the peer.",
    (p) => p.receivedMessages,
  ),
  peerHistogram(
    "etcd2_peer_send_latency_seconds",
    "Seconds that messages to the peer waited before they were sent.",
    (p) => p.sendLatency,
  ),
  peerCounter(
    "etcd2_snapshot_sent_bytes_total",
    "To",
    "Bytes of snapshots sent to the peer.",
    (p) => p.snapshotBytesSent,
  ),
  peerCounter(
    "etcd2_snapshot_received_bytes_total",
    "From",
    "Bytes of snapshots received from the peer.",
    (p) => p.snapshotBytesReceived,
  ),
];

/** Served with --metrics=extensive only: many series for little news. */
export const extensiveFamilies: readonly Family[] = [
  {
    name: "grpc_server_handling_seconds",
    type: "histogram",
    help: "Seconds that calls on the peer service took.",
    samples: ({ counters }) =>
      grpcLabels(histograms("grpc_server_handling_seconds", ["grpc_method"], counters.rpcSeconds)),
  },
];
