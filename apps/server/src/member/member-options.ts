/** What a member is made of and told by whoever starts it. Types only. */
import type { GatewayMetrics, PasswordHasher } from "@etcd2/api-v2";
import type { PeerCredentials, SoftState, Transport, TransportListener } from "@etcd2/raft";
import type { EtcdError, WriteAction } from "@etcd2/store";
import type { LifeFile } from "../lives/life-file.ts";
import type { MemberStorage } from "../storage/member-storage.ts";
import type { MemberTracing } from "../consensus/tracing-port.ts";
import type { ProposalCounters, ServerOps } from "./etcd-server.ts";
import type { Member } from "./member.ts";

export interface MemberLog {
  readonly raft: (message: string) => void;
  readonly server: (message: string) => void;
  readonly warn: (message: string) => void;
  readonly error: (message: string) => void;
  readonly critical: (message: string) => void;
}

export interface MemberOptions {
  readonly name: string;
  readonly clientURLs: readonly string[];
  readonly storage: MemberStorage;
  readonly life: LifeFile;
  /** How to reach peers by https. */
  readonly peerCredentials: PeerCredentials;
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly snapshotCount: number;
  /** Entries kept for followers that lag when the log is compacted. */
  readonly catchUpEntries: number;
  readonly strictReconfigCheck: boolean;
  readonly forceNewCluster: boolean;
  readonly passwords: PasswordHasher;
  readonly metrics: GatewayMetrics;
  readonly counters: ProposalCounters;
  /** undefined unless tracing is on: then nothing is wrapped. */
  readonly tracing: MemberTracing | undefined;
  readonly writeRefusal: (action: WriteAction) => EtcdError | undefined;
  readonly alarm: () => string;
  /** Makes the transport for this listener; given the ids the storage holds. */
  readonly createTransport: (listener: TransportListener, member: Member) => Transport;
  /** What the member cannot tell by itself. */
  readonly ops: (
    member: Member,
  ) => Pick<ServerOps, "metricsPage" | "debugVars" | "setLogLevel" | "log">;
  readonly log: MemberLog;
  /** The member cannot go on. */
  readonly onFatal: (error: Error) => void;
  /** This member is no longer part of the cluster. */
  readonly onRemoved: (reason: string) => void;
  readonly onSoftState: (state: SoftState) => void;
}
