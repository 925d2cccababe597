/**
 * The message port between a raft node and its peers; grpc-transport.ts implements it over sockets.
 * Sending never blocks and never throws: a message to a slow, unknown or unreachable peer is
 * dropped, raft repeats what matters.
 */
import type { Message, NodeId, SnapshotMessage } from "../core/model/types.ts";

/** A peer the transport should hold a connection to. */
export interface Peer {
  readonly id: NodeId;
  /** Peer URLs, tried in turn: http://host:port or https://host:port. */
  readonly urls: readonly string[];
}

/** What the transport tells its owner. Called on the event loop, never re-entrantly from send(). */
export interface TransportListener {
  /** Messages from one peer, in the order sent. */
  onMessages(messages: readonly Message[]): void;
  /** Messages to this peer are being lost (queue full, or no connection). */
  onUnreachable(id: NodeId): void;
  /** A connection that had been up was reset by the other side: its process probably died. */
  onConnectionLost(id: NodeId): void;
  /** A snapshot stream ended; false when the follower does not have it. */
  onSnapshotSent(id: NodeId, ok: boolean): void;
  /**
   * A snapshot arrives from the leader. The receiver stores the chunks beside its current state;
   * nothing changes until `commit`, which then hands `message` to the core as part of its work.
   */
  openSnapshotSink(message: SnapshotMessage): SnapshotSink;
  /** The source for a snapshot to send: opened in the same turn as the message was produced. */
  openSnapshotSource(message: SnapshotMessage): AsyncIterable<Uint8Array>;
  /** The remote end says this member was removed from the cluster. */
  onRemoved(reason: string): void;
  /** The remote end says this member came back without the data it answered for. */
  onDisowned(reason: string): void;
}

/** Receives one snapshot; exactly one of commit and abort ends it. */
export interface SnapshotSink {
  write(chunk: Uint8Array): Promise<void>;
  /** All bytes have arrived and their checksum was right. Resolves when stored and stepped. */
  commit(): Promise<void>;
  abort(reason: Error): Promise<void>;
}

/** What carries messages to the peers. */
export interface Transport {
  /** Queues messages; all must go to peers added before. Snapshot messages start a stream. */
  send(messages: readonly Message[]): void;
  addPeer(peer: Peer): void;
  removePeer(id: NodeId): void;
  updatePeer(peer: Peer): void;
  /** Milliseconds on the monotonic clock since when the link to the peer is up; 0 when down. */
  activeSince(id: NodeId): number;
  close(): Promise<void>;
}
