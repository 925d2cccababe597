/**
 * The seam between the gateway and the rest of a member. Nothing above it knows raft, nothing
 * below it knows HTTP. What crosses it is plain data, so that a gateway can run on a thread of its
 * own: it then needs a reader over the shared store, a way to propose, the event feed for its own
 * watcher hub, and counters that can be summed.
 */
import type { Logger, Meter } from "@etcd2/observability";
import type {
  ByteString,
  EtcdError,
  ReadResult,
  StoreError,
  StoreEvent,
  StoreReader,
  WatcherHub,
  WriteCommand,
} from "@etcd2/store";

/** A write that took effect. */
export interface Committed {
  readonly event: StoreEvent;
  readonly raftIndex: number;
  readonly raftTerm: number;
}

/** A member of the cluster as /v2/members shows it. */
export interface Member {
  /** Hexadecimal without leading zeros. */
  readonly id: string;
  /** "" until the member has started. */
  readonly name: string;
  readonly peerURLs: readonly string[];
  readonly clientURLs: readonly string[];
  readonly isLearner: boolean;
}

/** Why a change of the membership did not happen. */
export type MembershipErrorCode =
  | "peerUrlExists"
  | "idExists"
  | "notFound"
  | "removed"
  /** The strict reconfiguration check refused; the message says why. */
  | "unsafe"
  /** Time was up before the change was asked for: nothing was changed. */
  | "timeout"
  /** Time was up after it: it may still hold. The message says how to find out. */
  | "outcomeUnknown"
  | "stopped";

/** A change of the membership that did not happen; the message says why. */
export class MembershipError extends Error {
  override readonly name = "MembershipError";
  readonly code: MembershipErrorCode;
  constructor(code: MembershipErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Ids in arguments are hexadecimal without leading zeros. All changes go through the log. */
export interface Membership {
  /** Sorted by numeric id. */
  list(): readonly Member[];
  leader(): Member | undefined;
  /** @throws MembershipError peerUrlExists, idExists, unsafe, timeout, stopped. */
  add(peerURLs: readonly string[], options: { learner: boolean }): Promise<Member>;
  /** @throws MembershipError notFound, removed, unsafe, timeout, stopped. */
  remove(id: string): Promise<void>;
  /** @throws MembershipError notFound, removed, peerUrlExists, timeout, stopped. */
  updatePeerURLs(id: string, peerURLs: readonly string[]): Promise<void>;
  /** Makes a learner a voter. @throws MembershipError notFound, removed, unsafe, timeout, stopped. */
  promote(id: string): Promise<void>;
  /** Hands leadership to the member. @throws MembershipError notFound, removed, unsafe, timeout. */
  moveLeader(id: string): Promise<void>;
}

/** GET /v2/stats/self, as shown. Rates are left out when 0 or not finite. */
export interface SelfStats {
  readonly name: string;
  readonly id: string;
  readonly state: "StateLeader" | "StateFollower" | "StateCandidate";
  /** RFC 3339 with nanoseconds. */
  readonly startTime: string;
  readonly leaderInfo: {
    readonly leader: string;
    readonly uptime: string;
    readonly startTime: string;
  };
  readonly recvAppendRequestCnt: number;
  readonly recvPkgRate?: number;
  readonly recvBandwidthRate?: number;
  readonly sendAppendRequestCnt: number;
  readonly sendPkgRate?: number;
  readonly sendBandwidthRate?: number;
}

/** What a leader counts of one follower; latencies in milliseconds. */
export interface FollowerStats {
  readonly latency: {
    readonly current: number;
    readonly average: number;
    readonly standardDeviation: number;
    readonly minimum: number;
    readonly maximum: number;
  };
  readonly counts: { readonly fail: number; readonly success: number };
}

/** GET /v2/stats/leader, as shown; followers by id. */
export interface LeaderStats {
  readonly leader: string;
  readonly followers: Readonly<Record<string, FollowerStats>>;
}

/** Bcrypt, off the event loop. Implementations live above: the gateway has no threads. */
export interface PasswordHasher {
  /** Passwords may come soon: whatever takes time to start does so now. Cheap when called again. */
  prepare?(): void;
  hash(password: Uint8Array): Promise<string>;
  verify(password: Uint8Array, hash: string): Promise<boolean>;
}

/** A request that is traced, as whoever traces it knows it. The gateway hands it on with the work. */
export interface RequestTrace {
  /** A watch has sent its headers: what follows is waiting, however long. */
  watching(): void;
}

/** One check of the health endpoints. */
export interface HealthCheck {
  /** "space": room for writes, "leader" and "linearizable_read". */
  readonly name: string;
  /** "" when it passes. */
  readonly reason: string;
}

/** The verdict of the health endpoints, and what it rests on. */
export interface HealthReport {
  /** All checks pass. */
  readonly healthy: boolean;
  readonly checks: readonly HealthCheck[];
}

/** Where a watch of a remote store begins. */
export interface WatchStart {
  /** First index that it is told of. */
  readonly sinceIndex: number;
  /** Index of the store as the watch begins. */
  readonly etcdIndex: number;
}

/**
 * A store that lies in another process, which also decides who may do what: it gets the caller's
 * Authorization header, undefined without one. All methods reject with EtcdErrors.
 */
export interface RemoteStore {
  /** `quorum` asks for an answer as new as the request. Errors 100, 104, 110, 300. */
  read(
    path: ByteString,
    options: { readonly recursive: boolean; readonly quorum: boolean },
    authorization: string | undefined,
    trace?: RequestTrace,
  ): Promise<ReadResult>;
  /** Refusals of the v2 rules, 110, and 300 where the outcome is not known or it was not carried out. */
  write(
    command: WriteCommand,
    authorization: string | undefined,
    trace?: RequestTrace,
  ): Promise<Committed>;
  /** To be asked before the hub. `sinceIndex` 0 means from now. Errors 110, 300, 401. */
  startWatch(
    path: ByteString,
    options: { readonly recursive: boolean; readonly sinceIndex: number },
    authorization: string | undefined,
  ): Promise<WatchStart>;
}

/** The server behind the gateway. */
export interface EtcdServer {
  /** Set where keys are not kept in this process: then they are read and written here alone. */
  readonly remote?: RemoteStore;
  /** Hexadecimal without leading zeros: X-Etcd-Cluster-Id. */
  readonly clusterId: string;
  /** {"etcdserver":"2.3.8","etcdcluster":...}; "not_decided" before the first. */
  readonly clusterVersion: string;
  readonly reader: StoreReader;
  readonly hub: WatcherHub;
  readonly membership: Membership;
  readonly passwords: PasswordHasher;
  /** Counts requests, watches and their outcomes. */
  readonly meter: Meter;
  /**
   * Proposes a write; `done` is called exactly once, possibly much later, never re-entrantly.
   * Refusals are EtcdErrors: those of the store, and 300 with the causes of http-api.md §4.
   * `trace` belongs to the request this is for, if that one is traced.
   */
  propose(
    command: WriteCommand,
    done: (result: Committed | EtcdError) => void,
    trace?: RequestTrace,
  ): void;
  /** After `done` without error, a local read is linearizable. */
  readIndex(done: (error: EtcdError | undefined) => void, trace?: RequestTrace): void;
  /**
   * A number that changes whenever a node at or below the store path /2 may have changed: after
   * every event there, and after the state machine was replaced. Auth reads it on every request.
   */
  readonly authGeneration: number;
  /** Raft's view, for X-Raft-Index and X-Raft-Term of reads. */
  readonly raftIndex: number;
  readonly raftTerm: number;
  selfStats(): SelfStats;
  /** undefined unless this member leads. */
  leaderStats(): LeaderStats | undefined;
  /** With `isLocal` the checks leave out what depends on other members. */
  health(isLocal?: boolean): Promise<HealthReport>;
  /** The replicated state as of the call, as a checksummed stream; return() gives it up. */
  exportSnapshot(): AsyncIterable<Uint8Array>;
  /** Prometheus text. */
  metricsPage(): Promise<{ contentType: string; body: string }>;
  /** Members of GET /debug/vars in order; values are rendered as JSON. */
  debugVars(): ReadonlyMap<string, unknown>;
  /** Levels CRITICAL ERROR WARNING NOTICE INFO DEBUG TRACE. */
  setLogLevel(level: string): void;
  /** A request met a fault of the store. This member must not answer any other: its process ends. */
  storageFailed(error: StoreError): void;
  /** For what the gateway has to say: a slow request, a refused client. */
  readonly log: Logger;
}

/** What /v2/keys needs of the server: all that a thread has to offer which serves nothing else. */
export type KeysServer = Pick<
  EtcdServer,
  | "remote"
  | "clusterId"
  | "reader"
  | "hub"
  | "passwords"
  | "meter"
  | "propose"
  | "readIndex"
  | "authGeneration"
  | "raftIndex"
  | "raftTerm"
  | "storageFailed"
  | "log"
>;

/** What pages in browsers may do, and under which names. */
export interface PageOptions {
  /** Origins of --cors; empty means no CORS headers, and no writes of foreign pages. */
  readonly cors: readonly string[];
  /** Names of --host-whitelist; `*` accepts any, none are a default that HostPolicy tells. */
  readonly hostWhitelist?: readonly string[];
  /** Names of this server and its machine, which are accepted where there is no whitelist. */
  readonly ownNames?: readonly string[];
}

/** What the page of the console asks for, as JSON. */
export interface ConsoleData {
  /** The figures of all members: GET /console/members. */
  members(): Promise<string>;
  /** Their health after that moment, in Unix milliseconds: GET /console/health. */
  health(sinceMs: number): Promise<string>;
}

/** How many watches are open, here and wherever else they count towards one limit. */
export interface WatchGauge {
  readonly open: number;
  entered(): void;
  left(): void;
}

/** The settings of a gateway. */
export interface GatewayOptions extends PageOptions {
  readonly pprof: boolean;
  /** /metrics demands root's credentials while authentication is on. */
  readonly metricsNeedAuth?: boolean;
  /** Everything but keys, health and version demands credentials while authentication is on. */
  readonly allNeedAuth?: boolean;
  /**
   * What is below /console/, which does not exist when this is left out; with metricsNeedAuth or
   * allNeedAuth root alone may ask while authentication is on.
   */
  readonly consoleData?: ConsoleData;
  /** Compares the states of all members now, as JSON: GET /v2/admin/hash, which is absent without. */
  readonly stateHashes?: () => Promise<string>;
  /** Watches open at one time; 0, the default, for any number. */
  readonly watchesMax?: number;
  /**
   * Why an endpoint cannot exist here, for an answer of 501; undefined where it does. Keys are not
   * asked for.
   */
  readonly unavailable?: (method: string, path: ByteString) => string | undefined;
  /** Counts the watches that are open, where others count towards the limit too. */
  readonly watchGauge?: WatchGauge;
  /** Bytes waiting for all watchers together; 256 MiB when not given. */
  readonly watchBytesMax?: number;
  /** Milliseconds after which a watcher that takes nothing is cut off; 10,000 when not given. */
  readonly watchStallMs?: number;
}
