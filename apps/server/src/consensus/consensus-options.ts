/** What consensus is made of, whom it counts for, and what it tells. Types only. */
import type { ClusterInfo, PeerCredentials, Transport, TransportListener } from "@etcd2/raft";
import type { Cluster } from "../cluster/cluster.ts";
import type { LifeFile } from "../lives/life-file.ts";
import type { Lives } from "../lives/lives.ts";
import type { ServerStats } from "../metrics/server-stats.ts";
import type { MemberStorage } from "../storage/member-storage.ts";
import type { MemberTracing } from "./tracing-port.ts";

/** Where a member's lines go: those of the raft node, and the server's by level. */
export interface MemberLog {
  readonly raft: (message: string) => void;
  readonly server: (message: string) => void;
  readonly warn: (message: string) => void;
  readonly error: (message: string) => void;
  readonly critical: (message: string) => void;
}

/** Counters of the consensus path. */
export interface ProposalCounters {
  proposalFailed(): void;
  /** Seconds from proposal to outcome. */
  proposalApplied(seconds: number): void;
  /** A round of confirming reads with the leader ended. */
  readConfirmed(seconds: number, ok: boolean): void;
  /** So many reads were not confirmed in their time. */
  readsExpired(count: number): void;
  /** A run of entries was written to the store. */
  batchApplied(seconds: number, entries: number): void;
  healthJudged(healthy: boolean): void;
  /** The data of this member contradicts the cluster's. */
  diverged(): void;
  /** Heartbeats of this leader went out so long after those before. */
  heartbeatLate(seconds: number): void;
  /** A learner became a voter on this member's request. */
  learnerPromoted(): void;
  /** A message that contradicts what this member knows for certain was dropped. */
  messageRefused(what: string, reason: string): void;
  /** The state machine was made durable and the log shortened. */
  compacted(flushSeconds: number, totalSeconds: number): void;
}

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
  readonly counters: ProposalCounters;
  /** undefined unless tracing is on: then nothing is wrapped. */
  readonly tracing: MemberTracing | undefined;
  /** Makes the transport for this listener; given the ids the storage holds. */
  readonly createTransport: (listener: TransportListener, host: TransportHost) => Transport;
  readonly log: MemberLog;
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
  /** The version of the cluster was set, or came in a snapshot. */
  clusterVersion: [];
  /** The conf change asked for by this request took effect, or was refused for the reason given. */
  confChange: [requestId: string, refusal: string | undefined];
  /** The others say that this member is removed; its log may never tell. */
  removedByOthers: [];
  /** A snapshot has replaced the state. */
  installed: [];
}
