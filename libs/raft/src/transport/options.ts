/**
 * What the gRPC transport and its service are given: identity, hooks and limits, each limit with
 * its default. Owns no behaviour beyond filling the defaults in.
 */
import { NO_LOGGER, NO_METER } from "@etcd2/observability";
import type { Logger, Meter } from "@etcd2/observability";
import type { ChannelCredentials } from "@grpc/grpc-js";
import type { NodeId, Random } from "../core/model/types.ts";
import type { Hello } from "../codec/frames.ts";
import type { LifeRegistry } from "../lives/peer-lives.ts";
import { createPeerCounts } from "./peer-counts.ts";
import type { PeerCounts } from "./peer-counts.ts";
import type { TransportListener } from "./transport.ts";

/**
 * Hears of the traffic that /v2/stats shows. Called for every frame with appends, so implementations
 * must be cheap. What is counted for metrics goes through the meter.
 */
export interface TrafficListener {
  /** A leader's appends were handed to the socket in a frame of so many bytes. */
  onAppendsSent(to: NodeId, appends: number, bytes: number): void;
  onAppendsReceived(from: NodeId, appends: number, bytes: number): void;
  /** Messages were dropped: the queue was full, or there was no connection. */
  onMessagesDropped(to: NodeId, messages: number): void;
  /** The link was measured. */
  onRoundTrip(to: NodeId, seconds: number): void;
}

/** Bounds of the transport. Times are in milliseconds, sizes in bytes; all are positive. */
export interface TransportLimits {
  /** Messages waiting per peer and lane. */
  readonly queueCountMax: number;
  /** Bytes of messages waiting per peer and lane. They are shared with the log, not copied. */
  readonly queueBytesMax: number;
  /** A batch is cut when it reaches this; one larger message still travels alone. */
  readonly batchBytesMax: number;
  /** Largest frame accepted from a peer. */
  readonly frameBytesMax: number;
  /** From the start of an attempt to the peer's Hello. */
  readonly dialTimeoutMs: number;
  /** First and longest wait between attempts. */
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** How often peers are told what this member answers for, while it changes. */
  readonly positionIntervalMs: number;
  /** Time between round-trip measurements; a link without an answer to four of them is cut. */
  readonly pingIntervalMs: number;
  /** Snapshots sent at once to all peers together; one per peer at most. */
  readonly snapshotsMax: number;
  /** A snapshot transfer that moves no byte for so long is given up. */
  readonly snapshotStallMs: number;
  /** The receiver may take so long to install a snapshot once all of it has arrived. */
  readonly snapshotInstallMs: number;
  /** Peers may take so long to take the last messages when a link is closed. */
  readonly closeGraceMs: number;
}

/** The limits where none are given. */
export const DEFAULT_TRANSPORT_LIMITS: TransportLimits = {
  queueCountMax: 4096,
  queueBytesMax: 16 * 1024 * 1024,
  batchBytesMax: 256 * 1024,
  frameBytesMax: 16 * 1024 * 1024,
  dialTimeoutMs: 2000,
  backoffMinMs: 100,
  backoffMaxMs: 1000,
  positionIntervalMs: 100,
  pingIntervalMs: 1000,
  snapshotsMax: 2,
  snapshotStallMs: 20_000,
  snapshotInstallMs: 120_000,
  closeGraceMs: 200,
};

/** Gives the credentials for dialling a peer URL; by default plain text for http only. */
export type PeerCredentials = (scheme: "http" | "https") => ChannelCredentials;

/** What the transport is given; all but identity, versions and listener has a default. */
export interface GrpcTransportOptions {
  readonly clusterId: string;
  readonly memberId: NodeId;
  readonly serverVersion: string;
  readonly minClusterVersion: string;
  readonly listener: TransportListener;
  /** Milliseconds on the monotonic clock. */
  readonly now?: () => number;
  /** Spreads reconnects; no need to be good. */
  readonly random?: Random;
  /** Nothing is logged by default. Fields are named as in docs/glossary.md; peers' ids are `peer`. */
  readonly log?: Logger;
  /** Nothing is counted by default. */
  readonly meter?: Meter;
  readonly traffic?: TrafficListener;
  readonly limits?: Partial<TransportLimits>;
  readonly credentials?: PeerCredentials;
  /** What is known of data directories; without it members are taken as they come. */
  readonly lives?: LifeRegistry;
}

/** The options with every default filled in: what all parts of the transport share. */
export interface TransportContext {
  readonly clusterId: string;
  readonly memberId: NodeId;
  readonly serverVersion: string;
  readonly minClusterVersion: string;
  readonly listener: TransportListener;
  readonly now: () => number;
  readonly random: Random;
  readonly log: Logger;
  readonly meter: Meter;
  /** The instruments of each peer. */
  readonly peerCounts: (peer: NodeId) => PeerCounts;
  readonly traffic: TrafficListener;
  readonly limits: TransportLimits;
  readonly credentials: PeerCredentials | undefined;
  readonly lives: LifeRegistry | undefined;
}

/** How this member introduces itself to another. */
export function greeting(context: TransportContext, to: NodeId): Hello {
  const { clusterId, memberId, serverVersion, minClusterVersion, lives } = context;
  const life = lives === undefined ? {} : { life: lives.own };
  return { clusterId, from: memberId, to, serverVersion, minClusterVersion, ...life };
}

function ignore(): void {
  // Nobody listens.
}

const NO_TRAFFIC: TrafficListener = {
  onAppendsSent: ignore,
  onAppendsReceived: ignore,
  onMessagesDropped: ignore,
  onRoundTrip: ignore,
};

/** Fills the defaults in. */
export function transportContext(options: GrpcTransportOptions): TransportContext {
  const meter = options.meter ?? NO_METER;
  return {
    clusterId: options.clusterId,
    memberId: options.memberId,
    serverVersion: options.serverVersion,
    minClusterVersion: options.minClusterVersion,
    listener: options.listener,
    now: options.now ?? (() => performance.now()),
    random: options.random ?? Math.random,
    log: options.log ?? NO_LOGGER,
    meter,
    peerCounts: createPeerCounts(meter, options.memberId),
    traffic: options.traffic ?? NO_TRAFFIC,
    limits: { ...DEFAULT_TRANSPORT_LIMITS, ...options.limits },
    credentials: options.credentials,
    lives: options.lives,
  };
}
