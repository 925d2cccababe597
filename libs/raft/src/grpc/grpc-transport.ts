/**
 * Transport over gRPC: the sending side of a member. Owns one link per peer (peer.ts) and the
 * snapshot transfers (snapshot-sender.ts). What peers send arrives through the service that
 * grpc-service.ts registers on a server given from outside; the two share the context and the
 * record of lost links, which is why the service is made from the transport.
 *
 * Nothing here waits: messages to a slow or absent peer are dropped, raft repeats what matters.
 */
import type { Message, NodeId } from "../core/model/types.ts";
import { encodePositionFrame } from "../codec/frames.ts";
import { LinkLosses } from "../transport/link-losses.ts";
import { PeerLink } from "../transport/links/peer.ts";
import type { Position } from "../lives/peer-lives.ts";
import { SnapshotSender } from "../transport/snapshots/snapshot-sender.ts";
import { transportContext } from "../transport/options.ts";
import type { GrpcTransportOptions, TransportContext } from "../transport/options.ts";
import type { Peer, Transport } from "../transport/transport.ts";

/** Something that lives as long as the transport: a stream served, a transfer received. */
export interface InboundResource {
  /** Passes a frame on to the caller of a stream. */
  tell?(frame: Buffer): void;
  close(): void | Promise<void>;
}

/** One link, as it is at this moment. */
export interface PeerStatus {
  readonly id: NodeId;
  readonly url: string;
  /** Monotonic milliseconds; 0 while down. */
  readonly activeSince: number;
  readonly queuedCount: number;
  readonly queuedBytes: number;
}

/** Transport over gRPC: a link to each peer, and what the service has opened from them. */
export class GrpcTransport implements Transport {
  /** Shared with the service; not for other callers. */
  readonly context: TransportContext;
  /** Shared with the service; not for other callers. */
  readonly losses: LinkLosses;
  readonly #peers = new Map<NodeId, PeerLink>();
  readonly #snapshots: SnapshotSender;
  readonly #inbound = new Set<InboundResource>();
  readonly #pinger: NodeJS.Timeout;
  readonly #teller: NodeJS.Timeout | undefined;
  /** What callers were told last. */
  #told: Position = { term: 0, index: 0 };
  #removedReported = false;
  #closed = false;

  constructor(options: GrpcTransportOptions) {
    this.context = transportContext(options);
    this.#snapshots = new SnapshotSender(this.context);
    this.losses = new LinkLosses((id) => {
      if (this.#closed) return;
      this.context.log.warning("peer reset its connections", { peer: id });
      this.context.peerCounts(id).connectionsLost.add(1);
      this.context.listener.onConnectionLost(id);
    });
    this.#pinger = setInterval(() => {
      for (const peer of this.#peers.values()) peer.ping();
    }, this.context.limits.pingIntervalMs);
    if (this.context.lives === undefined) return;
    this.#teller = setInterval(() => {
      this.#tellPosition();
    }, this.context.limits.positionIntervalMs);
  }

  #tellPosition(): void {
    const position = this.context.lives?.position();
    if (position === undefined) return;
    if (position.term === this.#told.term && position.index === this.#told.index) return;
    this.#told = position;
    const frame = encodePositionFrame(position);
    for (const resource of this.#inbound) resource.tell?.(frame);
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      const peer = this.#peers.get(message.to);
      if (message.type === "snapshot") this.#snapshots.start(message, peer?.url ?? "");
      else peer?.send(message);
    }
  }

  addPeer(peer: Peer): void {
    if (this.#closed || peer.id === this.context.memberId) return;
    if (this.#peers.has(peer.id)) {
      this.updatePeer(peer);
      return;
    }
    const link = new PeerLink(this.context, peer, this.losses, {
      onRemoved: (reason) => {
        this.#onRemoved(reason);
      },
      onDisowned: (reason) => {
        if (!this.#closed) this.context.listener.onDisowned(reason);
      },
    });
    this.#peers.set(peer.id, link);
  }

  removePeer(id: NodeId): void {
    this.#peers.get(id)?.close();
    this.#peers.delete(id);
    this.#snapshots.stop(id);
  }

  updatePeer(peer: Peer): void {
    this.#peers.get(peer.id)?.update(peer.urls);
  }

  activeSince(id: NodeId): number {
    return this.#peers.get(id)?.activeSince ?? 0;
  }

  /** One record per peer, for statistics and metrics. */
  peerStatus(): readonly PeerStatus[] {
    return [...this.#peers.values()].map((peer) => ({
      id: peer.id,
      url: peer.url,
      activeSince: peer.activeSince,
      queuedCount: peer.queuedCount,
      queuedBytes: peer.queuedBytes,
    }));
  }

  /** The service tells that this peer dialled us: if we are waiting to dial it, now is the time. */
  peerDialled(id: NodeId): void {
    this.#peers.get(id)?.reconnectNow();
  }

  /** Ties something the service opened to the life of this transport. */
  adopt(resource: InboundResource): void {
    if (this.#closed) void resource.close();
    else this.#inbound.add(resource);
  }

  release(resource: InboundResource): void {
    this.#inbound.delete(resource);
  }

  /** Ends all links and streams in good order. The server is its owner's to close, afterwards. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#pinger);
    clearInterval(this.#teller);
    this.#tellPosition();
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
    const inbound = [...this.#inbound].map((resource) => resource.close());
    await Promise.all([...inbound, this.#snapshots.close()]);
  }

  #onRemoved(reason: string): void {
    if (this.#removedReported || this.#closed) return;
    this.#removedReported = true;
    this.context.listener.onRemoved(reason);
  }
}
