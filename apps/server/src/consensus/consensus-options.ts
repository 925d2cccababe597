/** What consensus is made of, whom it counts for, and what it tells. Types only. */
import type { Logger, Meter } from "@etcd2/observability";
import type { ClusterInfo, fetchClusterInfo, PeerCredentials } from "@etcd2/raft";
import type { Transport, TransportListener } from "@etcd2/raft";
import type { Cluster } from "../cluster/cluster.ts";
import type { LifeFile } from "../lives/life-file.ts";
import type { Lives } from "../lives/lives.ts";
import type { ServerStats } from "../metrics/server-stats.ts";
import type { MemberStorage } from "../storage/member-storage.ts";
import type { ConsensusObserver } from "./consensus-observer.ts";
import type { MemberTracing } from "./tracing-port.ts";

/** What a transport may ask of the member it works for. */
export interface TransportHost {
  readonly cluster: Cluster;
  readonly lives: Lives;
  /**
   * What the peer port tells whoever asks about the cluster.
   * @param logIndex the entry whose term is asked for too; 0 for none.
   */
  clusterInfo(logIndex?: number): ClusterInfo;
}

/** What is known of a member before it takes part. */
export interface ConsensusOptions {
  readonly name: string;
  readonly storage: MemberStorage;
  readonly life: LifeFile;
  /** How to reach peers by https. */
  readonly peerCredentials: PeerCredentials;
  /** Heartbeat interval in milliseconds; the election timeout is so many of them. */
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly forceNewCluster: boolean;
  readonly stats: ServerStats;
  /** Told how long each step took. */
  readonly observer: ConsensusObserver;
  readonly meter: Meter;
  /** undefined unless tracing is on: then nothing is wrapped. */
  readonly tracing: MemberTracing | undefined;
  /** Asks a peer about the cluster, beside the transport. Default: over gRPC. */
  readonly askPeer?: typeof fetchClusterInfo;
  /** Makes the transport for this listener; given the ids the storage holds. */
  readonly createTransport: (listener: TransportListener, host: TransportHost) => Transport;
  /** Lines of the server, etcdserver in etcd 2.3.8. */
  readonly log: Logger;
  /** Lines of the raft node. */
  readonly raftLog: Logger;
  /** The member cannot go on. */
  readonly onFatal: (error: Error) => void;
  /** This member is no longer part of the cluster. */
  readonly onRemoved: (reason: string) => void;
}

/** What is told to whoever subscribed; the arguments of each event. */
export interface ConsensusEvents {
  /** Entries were applied, and their requests have their outcome. */
  applied: [];
  /** Something at or below /2 may have changed. */
  authWritten: [];
  /** Role, leader or term may have changed. */
  termChanged: [];
  /** This member serves nothing any more, for the reason given. */
  condemned: [reason: string];
  /** The version of the cluster was set, or came in a snapshot. */
  clusterVersion: [];
  /** The conf change asked for by this request took effect, or was refused for the reason given. */
  confChange: [requestId: string, refusal: string | undefined];
  /** The others say that this member is removed; its log may never tell. */
  removedByOthers: [];
  /** A snapshot has replaced the state. */
  installed: [];
}
