/**
 * The instruments for what goes to one peer and comes from it, bound to its id: frames are counted
 * without a look-up, and all series of a peer begin together, at 0.
 */
import type { Counter, Histogram, Meter } from "@etcd2/observability";
import type { NodeId } from "../core/model/types.ts";

type Bound = Counter<readonly []>;

/** What is counted about one peer. */
export class PeerCounts {
  readonly sentBytes: Bound;
  readonly sentMessages: Bound;
  readonly receivedBytes: Bound;
  readonly receivedMessages: Bound;
  /** Raft messages to the peer that were dropped: its queue was full, or there was no connection. */
  readonly droppedMessages: Bound;
  readonly connectionsLost: Bound;
  readonly snapshotsSent: Bound;
  readonly snapshotsFailed: Bound;
  readonly snapshotBytesSent: Bound;
  readonly snapshotBytesReceived: Bound;
  readonly roundTrip: Histogram<readonly []>;
  /** Seconds from queueing messages to handing their frame to the socket. */
  readonly sendLatency: Histogram<readonly []>;

  constructor(meter: Meter, local: NodeId, peer: NodeId) {
    this.sentBytes = meter.counter("etcd_network_peer_sent_bytes_total").of(peer);
    this.sentMessages = meter.counter("etcd2_peer_sent_messages_total").of(peer);
    this.receivedBytes = meter.counter("etcd_network_peer_received_bytes_total").of(peer);
    this.receivedMessages = meter.counter("etcd2_peer_received_messages_total").of(peer);
    this.droppedMessages = meter.counter("etcd_network_peer_sent_failures_total").of(peer);
    this.connectionsLost = meter.counter("etcd_network_disconnected_peers_total").of(local, peer);
    this.snapshotsSent = meter.counter("etcd_network_snapshot_send_success").of(peer);
    this.snapshotsFailed = meter.counter("etcd_network_snapshot_send_failures").of(peer);
    this.snapshotBytesSent = meter.counter("etcd2_snapshot_sent_bytes_total").of(peer);
    this.snapshotBytesReceived = meter.counter("etcd2_snapshot_received_bytes_total").of(peer);
    this.roundTrip = meter.histogram("etcd_network_peer_round_trip_time_seconds").of(peer);
    this.sendLatency = meter.histogram("etcd2_peer_send_latency_seconds").of(peer);
  }
}

/** Gives the instruments of each peer, the same each time. */
export function createPeerCounts(meter: Meter, local: NodeId): (peer: NodeId) => PeerCounts {
  const known = new Map<NodeId, PeerCounts>();
  return (peer) => {
    let counts = known.get(peer);
    if (counts === undefined) {
      counts = new PeerCounts(meter, local, peer);
      known.set(peer, counts);
    }
    return counts;
  };
}
