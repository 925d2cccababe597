/**
 * Owns the list of figures that are read when /metrics is asked for rather than counted as the
 * server works. Whoever has a figure implements its source; a proxy has but few of them, and
 * families without their source are empty.
 */
import type { NodeId } from "@etcd2/raft";
import type { StoreStats } from "@etcd2/store";
import type { LabelledCounts, LabelledHistograms } from "./counters.ts";

export interface RaftFigures {
  readonly hasLeader: boolean;
  readonly isLeader: boolean;
  readonly isLearner: boolean;
  /** Changes of leader seen since the start. */
  readonly leaderChanges: number;
  readonly term: number;
  readonly committed: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Proposals that wait for their outcome. */
  readonly pendingProposals: number;
}

export interface StoreFigures {
  readonly stats: StoreStats;
  readonly watchers: number;
  readonly etcdIndex: number;
  /** Oldest and newest event kept for watchers from the past. */
  readonly historyFirstIndex: number;
  readonly historyLastIndex: number;
  /** Bytes of the database on disk, and an estimate of what of it is live. */
  readonly sizeBytes: number;
  readonly liveBytes: number;
  /** Size at which writes are refused; 0 or nothing means there is no limit. */
  readonly quotaBytes?: number;
}

export interface IdentityFigures {
  /** Hexadecimal without leading zeros. */
  readonly memberId: string;
  readonly clusterId: string;
  /** "" before it is decided. */
  readonly clusterVersion: string;
}

export interface ClientFigures {
  readonly connections: number;
  readonly connectionsMax: number;
  /** Bytes of all client connections, closed ones included. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface DiskFigures {
  readonly freeBytes: number;
  readonly reserveBytes: number;
  readonly isLow: boolean;
}

export interface FdFigures {
  readonly used: number;
  readonly limit: number;
}

export interface CertificateFigures {
  readonly side: "client" | "peer";
  /** Begin and end of its validity, in Unix seconds. */
  readonly notBeforeSeconds: number;
  readonly notAfterSeconds: number;
}

/** A bridge's way to its v3 cluster. */
export interface BridgeFigures {
  readonly calls: LabelledHistograms;
  readonly failures: LabelledCounts;
  readonly retries: number;
  readonly conflicts: number;
  readonly watchLagRevisions: number;
  readonly isWatching: boolean;
}

/** What is read at a scrape. Each call must be quick: all of them share the 5 ms of a scrape. */
export interface MetricSources {
  readonly identity?: () => IdentityFigures;
  readonly raft?: () => RaftFigures;
  readonly store?: () => StoreFigures;
  /** Other members, and whether a connection to them is up. */
  readonly peers?: () => readonly { readonly id: NodeId; readonly isActive: boolean }[];
  readonly clients?: () => ClientFigures;
  readonly disk?: () => DiskFigures;
  readonly fds?: () => FdFigures;
  /** The certificates this process serves with. */
  readonly certificates?: () => readonly CertificateFigures[];
  /** Names of the alarms that are on: "diskLow", "quota". */
  readonly bridge?: () => BridgeFigures;
  readonly alarms?: () => readonly string[];
}
