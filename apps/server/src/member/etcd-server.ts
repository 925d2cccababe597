/**
 * One member's heart: implements the gateway's port over the raft loop and the state machine.
 * Proposals in, outcomes out; reads confirmed in batches; time limits kept. Knows no HTTP, no
 * flags and no files; what runs beside it (expiry, compaction, publishing) has files of its own.
 */
import type {
  Committed,
  EtcdServer as EtcdServerPort,
  GatewayMetrics,
  HealthReport,
  LeaderStats,
  Membership,
  PasswordHasher,
  RequestTrace,
  SelfStats,
} from "@etcd2/api-v2";
import { formatId } from "@etcd2/member-dir";
import type { NodeId, RaftNode } from "@etcd2/raft";
import type { Command, StoreReader, WatcherHub, WriteAction, WriteCommand } from "@etcd2/store";
import { encodeCommand, EtcdError, StoreError } from "@etcd2/store";
import type { Applied } from "../consensus/applier.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { MemberStorage } from "../storage/member-storage.ts";
import type { Pending, Settle } from "../consensus/proposals.ts";
import { ProposalTable } from "../consensus/proposals.ts";
import type { ReadDone } from "../consensus/pending-reads.ts";
import { PendingReads } from "../consensus/pending-reads.ts";
import type { MemberTracing } from "../consensus/tracing-port.ts";

/** Writes waiting at one member; beyond it new ones are refused at once. */
const PENDING_WRITES_MAX = 20_000;

/** /health gives up after this long without a confirmed read. */
const HEALTH_TIMEOUT_MS = 750;

/** What the server reports about itself, gathered elsewhere. */
export interface ServerOps {
  selfStats(): SelfStats;
  leaderStats(): LeaderStats | undefined;
  metricsPage(): Promise<{ contentType: string; body: string }>;
  debugVars(): ReadonlyMap<string, unknown>;
  setLogLevel(level: string): void;
  log(level: "debug" | "info" | "warn" | "error", message: string): void;
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

export interface EtcdServerParts {
  readonly memberId: NodeId;
  readonly clusterId: NodeId;
  readonly storage: MemberStorage;
  readonly hub: WatcherHub;
  readonly cluster: Cluster;
  readonly passwords: PasswordHasher;
  readonly metrics: GatewayMetrics;
  readonly counters: ProposalCounters;
  /** undefined unless tracing is on. */
  readonly tracing: MemberTracing | undefined;
  /** Milliseconds a consensus request may take: 5 s + 2 × election timeout. */
  readonly requestTimeoutMs: number;
  readonly electionMs: number;
  /** Random number of this process. */
  readonly session: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** A link to this member is up. */
  readonly isConnected: (id: NodeId) => boolean;
  /** Why client writes are refused just now (disk reserve, quota); undefined when they are not. */
  readonly writeRefusal: (action: WriteAction) => EtcdError | undefined;
  /** Why the member is unhealthy although it has a leader; "" when it is not. */
  readonly alarm: () => string;
  /** The store cannot be relied on: the process must end. */
  readonly onStorageFailure: (error: Error) => void;
}

export class EtcdServer implements EtcdServerPort {
  readonly clusterId: string;
  readonly memberId: NodeId;
  readonly hub: WatcherHub;
  readonly passwords: PasswordHasher;
  readonly metrics: GatewayMetrics;
  readonly cluster: Cluster;
  readonly proposals: ProposalTable<Applied>;
  readonly #parts: EtcdServerParts;
  readonly #reads: PendingReads;
  #node: RaftNode | undefined;
  #membership: Membership | undefined;
  #ops: ServerOps | undefined;
  #stopped = false;
  #condemned = "";
  #clusterVersion = "";
  #authGeneration = 0;
  /** When the leader of now was elected; 0 before the first. */
  #leaderElectedAt = 0;

  constructor(parts: EtcdServerParts) {
    this.#parts = parts;
    this.clusterId = formatId(parts.clusterId);
    this.memberId = parts.memberId;
    this.hub = parts.hub;
    this.passwords = parts.passwords;
    this.metrics = parts.metrics;
    this.cluster = parts.cluster;
    this.proposals = new ProposalTable(parts.session, PENDING_WRITES_MAX);
    this.#reads = new PendingReads({
      confirm: (callback) => {
        this.node.readIndex(callback);
      },
      abandon: (callback) => {
        this.node.abandonRead(callback);
      },
      now: parts.now,
      timeoutMs: parts.requestTimeoutMs,
      timeoutCause: () => this.#timeoutCause(parts.now() - parts.requestTimeoutMs),
    });
    this.clusterVersionChanged();
  }

  get authGeneration(): number {
    return this.#authGeneration;
  }

  /** Something at or below /2 may have changed. */
  authChanged(): void {
    this.#authGeneration += 1;
  }

  /** Joins the parts that need this object to be built themselves. */
  attach(node: RaftNode, membership: Membership, ops: ServerOps): void {
    this.#node = node;
    this.#membership = membership;
    this.#ops = ops;
  }

  get node(): RaftNode {
    if (this.#node === undefined) throw new Error("the raft node is not attached yet");
    return this.#node;
  }

  get membership(): Membership {
    if (this.#membership === undefined) throw new Error("membership is not attached yet");
    return this.#membership;
  }

  get #attachedOps(): ServerOps {
    if (this.#ops === undefined) throw new Error("server ops are not attached yet");
    return this.#ops;
  }

  get reader(): StoreReader {
    return this.#parts.storage.machine.reader;
  }

  get raftIndex(): number {
    return this.#parts.storage.machine.appliedIndex;
  }

  get raftTerm(): number {
    return this.node.term;
  }

  get clusterVersion(): string {
    return this.#clusterVersion === "" ? "not_decided" : this.#clusterVersion;
  }

  /** Writes and quorum reads that have not been answered. */
  get pendingProposals(): number {
    return this.proposals.size;
  }

  clusterVersionChanged(): void {
    this.#clusterVersion = this.cluster.version;
  }

  leaderElected(): void {
    this.#leaderElectedAt = this.#parts.now();
  }

  propose(
    command: WriteCommand,
    done: (result: Committed | EtcdError) => void,
    trace?: RequestTrace,
  ): void {
    const refusal = this.#parts.writeRefusal(command.action);
    if (refusal !== undefined) {
      setImmediate(done, refusal);
      return;
    }
    // A write command always has an event, so Applied is Committed here.
    this.proposeCommand(command, done as Settle<Applied>, trace);
  }

  /** Proposes any command; internal ones are not refused for lack of disk. */
  proposeCommand(command: Command, settle: Settle<Applied>, trace?: RequestTrace): void {
    if (this.#stopped || this.proposals.isFull) {
      this.#parts.counters.proposalFailed();
      const cause = this.#stopped ? "etcdserver: server stopped" : "etcdserver: too many requests";
      setImmediate(settle, new EtcdError(300, cause, 0));
      return;
    }
    const id = this.proposals.nextId();
    const data = encodeCommand(id, command);
    const startedAt = this.#parts.now();
    this.proposals.add({
      sequence: id.sequence,
      data,
      command,
      settle: trace === undefined ? settle : this.#traced(trace, data, settle),
      startedAt,
      deadline: startedAt + this.#parts.requestTimeoutMs,
      term: this.node.proposalTerm,
    });
    this.node.propose(data);
  }

  #traced(trace: RequestTrace, data: Uint8Array, settle: Settle<Applied>): Settle<Applied> {
    return this.#parts.tracing?.proposed(trace, data, settle) ?? settle;
  }

  readIndex(done: ReadDone, trace?: RequestTrace): void {
    if (this.#stopped) {
      setImmediate(done, new EtcdError(300, "etcdserver: server stopped", 0));
      return;
    }
    this.#reads.add(
      trace === undefined ? done : (this.#parts.tracing?.reading(trace, done) ?? done),
    );
  }

  selfStats(): SelfStats {
    return this.#attachedOps.selfStats();
  }

  leaderStats(): LeaderStats | undefined {
    return this.#attachedOps.leaderStats();
  }

  exportSnapshot(): AsyncIterable<Uint8Array> {
    return this.#parts.storage.machine.exportSnapshot();
  }

  metricsPage(): Promise<{ contentType: string; body: string }> {
    return this.#attachedOps.metricsPage();
  }

  debugVars(): ReadonlyMap<string, unknown> {
    return this.#attachedOps.debugVars();
  }

  setLogLevel(level: string): void {
    this.#attachedOps.setLogLevel(level);
  }

  log(level: "debug" | "info" | "warn" | "error", message: string): void {
    this.#attachedOps.log(level, message);
  }

  /** Healthy means: a leader confirms a read in time, and no alarm is raised. */
  async health(isLocal = false): Promise<HealthReport> {
    const report = await this.#judgeHealth(isLocal);
    this.#parts.counters.healthJudged(report.healthy);
    return report;
  }

  async #judgeHealth(isLocal: boolean): Promise<HealthReport> {
    if (this.#condemned !== "") {
      return { healthy: false, checks: [{ name: "divergence", reason: this.#condemned }] };
    }
    const space = { name: "space", reason: this.#parts.alarm() };
    if (isLocal) return { healthy: space.reason === "", checks: [space] };
    const leaderReason = this.node.leader === "" ? "no leader" : "";
    const readReason = leaderReason === "" ? await this.#tryRead() : leaderReason;
    const checks = [
      space,
      { name: "leader", reason: leaderReason },
      { name: "linearizable_read", reason: readReason },
    ];
    return { healthy: checks.every(({ reason }) => reason === ""), checks };
  }

  /** Why a linearizable read does not come back in time; "" when it does. */
  #tryRead(): Promise<string> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve("no quorum: a linearizable read got no answer in time");
      }, HEALTH_TIMEOUT_MS);
      this.readIndex((error) => {
        clearTimeout(timer);
        resolve(error?.cause ?? "");
      });
    });
  }

  /** Raft refused this proposal for good: nothing was appended. */
  proposalDropped(data: Uint8Array, reason: string): void {
    const pending = this.proposals.byData(data);
    if (pending === undefined) return;
    this.#parts.counters.proposalFailed();
    this.proposals.settle(pending, new EtcdError(300, `etcdserver: ${reason}`, 0));
  }

  /** Proposals go to another leader from now on, these among them. */
  proposalTermChanged(term: number, queued: readonly Uint8Array[]): void {
    for (const data of queued) {
      const pending = this.proposals.byData(data);
      if (pending !== undefined) pending.term = term;
    }
  }

  /**
   * An entry of `term` was applied for the first time: what was proposed to earlier leaders and is
   * not answered by now got lost with them, and is proposed again.
   */
  termApplied(term: number): void {
    const lost = this.proposals.takeOlderThan(term, Math.max(term, this.node.proposalTerm));
    if (lost.length > 0) this.node.proposeAgain(lost);
  }

  /** Ends requests whose time is up; called a few times a second. */
  expireRequests(): void {
    const now = this.#parts.now();
    const cause = (pending: Pending<Applied>): string => this.#timeoutCause(pending.startedAt);
    for (const pending of this.proposals.expire(now, cause)) {
      this.#parts.counters.proposalFailed();
      this.node.withdraw(pending.data);
    }
    const reads = this.#reads.expire(now);
    if (reads > 0) this.#parts.counters.readsExpired(reads);
  }

  storageFailed(error: StoreError): void {
    const advice =
      "'etcd-migrate verify' on the data directory says what is damaged; " +
      "replace this member, or restore it from a backup";
    this.#parts.onStorageFailure(new StoreError(error.code, `${error.message} (${advice})`));
  }

  /** Why this member serves nothing any more; "" while it does. */
  get condemned(): string {
    return this.#condemned;
  }

  /** The state is not the cluster's: nothing of it may be shown any more. */
  condemn(reason: string): void {
    this.#condemned = reason;
    this.stop();
  }

  /** No new requests. */
  refuseNew(): void {
    this.#stopped = true;
  }

  /** No new requests; those waiting are told. */
  stop(): void {
    this.#stopped = true;
    this.proposals.failAll("etcdserver: server stopped");
  }

  #timeoutCause(startedAt: number): string {
    const base = "etcdserver: request timed out";
    // Asked while there was no leader, or one about to be replaced.
    const lostAt = this.#leaderElectedAt - 2 * this.#parts.electionMs;
    if (startedAt > lostAt && startedAt < this.#leaderElectedAt) {
      return `${base}, possibly due to previous leader failure`;
    }
    const { leader } = this.node;
    if (leader === "") return base;
    const lost = leader === this.memberId ? !this.#hasQuorum() : !this.#parts.isConnected(leader);
    return lost ? `${base}, possibly due to connection lost` : base;
  }

  /** Enough voters are connected to form a quorum with this member. */
  #hasQuorum(): boolean {
    const voters = this.cluster.members.filter((member) => !member.isLearner);
    const up = voters.filter(
      (member) => member.id === this.memberId || this.#parts.isConnected(member.id),
    );
    return up.length >= Math.floor(voters.length / 2) + 1;
  }
}
