/**
 * The requests of this member that go through raft: proposals and quorum reads, their time limits,
 * and what their clients are told when time is up.
 */
import type { Counter, Meter } from "@etcd2/observability";
import { randomInt } from "node:crypto";
import type { RequestTrace } from "@etcd2/api-v2";
import type { NodeId, RaftNode } from "@etcd2/raft";
import { type Command, encodeCommand, EtcdError, withRequestId } from "@etcd2/store";
import type { Cluster } from "../cluster/cluster.ts";
import type { Applied } from "./applier.ts";
import { PendingReads, type ReadDone } from "./pending-reads.ts";
import { type Pending, ProposalTable, type Settle } from "./proposals.ts";
import type { MemberTracing } from "./tracing-port.ts";

/** Writes waiting at one member; beyond it new ones are refused at once. */
const PENDING_WRITES_MAX = 20_000;

export interface RequestsOptions {
  readonly memberId: NodeId;
  readonly node: RaftNode;
  readonly proposals: ProposalTable<Applied>;
  readonly cluster: Cluster;
  readonly meter: Meter;
  /** undefined unless tracing is on. */
  readonly tracing: MemberTracing | undefined;
  /** Milliseconds a request may take. */
  readonly timeoutMs: number;
  readonly electionMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** A link to this member is up. */
  readonly isConnected: (id: NodeId) => boolean;
}

/** A table of proposals with a session of its own. */
export function createProposals(): ProposalTable<Applied> {
  return new ProposalTable(randomInt(1, 2 ** 47), PENDING_WRITES_MAX);
}

export class Requests {
  readonly #options: RequestsOptions;
  readonly #reads: PendingReads;
  readonly #failed: Counter<readonly []>;
  readonly #unconfirmed: Counter<readonly []>;
  #isStopped = false;
  /** When the leader of now was elected; 0 before the first. */
  #leaderElectedAt = 0;

  constructor(options: RequestsOptions) {
    this.#options = options;
    this.#failed = options.meter.counter("etcd_server_proposals_failed_total");
    this.#unconfirmed = options.meter.counter("etcd_server_read_indexes_failed_total");
    const { now, node, timeoutMs } = options;
    this.#reads = new PendingReads({
      confirm: (callback) => {
        node.readIndex(callback);
      },
      abandon: (callback) => {
        node.abandonRead(callback);
      },
      now,
      timeoutMs,
      timeoutCause: () => this.#timeoutCause(now() - timeoutMs),
    });
  }

  /**
   * Proposes a command; `settle` is called once, in a later turn.
   * @param body the command as bytes without an id, where it came as such.
   */
  propose(
    command: Command,
    settle: Settle<Applied>,
    trace?: RequestTrace,
    body?: Uint8Array,
  ): void {
    const { proposals, node, now, timeoutMs } = this.#options;
    if (this.#isStopped || proposals.isFull) {
      this.#failed.add(1);
      const cause = this.#isStopped
        ? "etcdserver: server stopped"
        : "etcdserver: too many requests";
      setImmediate(settle, new EtcdError(300, cause, 0));
      return;
    }
    const id = proposals.nextId();
    const data = body === undefined ? encodeCommand(id, command) : withRequestId(id, body);
    const startedAt = now();
    proposals.add({
      sequence: id.sequence,
      data,
      command,
      settle: trace === undefined ? settle : this.#traced(trace, data, settle),
      startedAt,
      deadline: startedAt + timeoutMs,
      term: node.proposalTerm,
    });
    node.propose(data);
  }

  #traced(trace: RequestTrace, data: Uint8Array, settle: Settle<Applied>): Settle<Applied> {
    return this.#options.tracing?.proposed(trace, data, settle) ?? settle;
  }

  /** Calls `done` when a read of the store shows everything that was acknowledged before. */
  readIndex(done: ReadDone, trace?: RequestTrace): void {
    if (this.#isStopped) {
      setImmediate(done, new EtcdError(300, "etcdserver: server stopped", 0));
      return;
    }
    this.#reads.add(
      trace === undefined ? done : (this.#options.tracing?.reading(trace, done) ?? done),
    );
  }

  /** Somebody was elected. */
  leaderElected(): void {
    this.#leaderElectedAt = this.#options.now();
  }

  /** Ends requests whose time is up; to be called a few times a second. */
  expire(): void {
    const { now, proposals, node } = this.#options;
    const at = now();
    const cause = (pending: Pending<Applied>): string => this.#timeoutCause(pending.startedAt);
    for (const pending of proposals.expire(at, cause)) {
      this.#failed.add(1);
      node.withdraw(pending.data);
    }
    const reads = this.#reads.expire(at);
    this.#unconfirmed.add(reads);
  }

  /** No new requests; those under way go on. */
  refuseNew(): void {
    this.#isStopped = true;
  }

  /** No new requests; those waiting are told. */
  stop(): void {
    this.#isStopped = true;
    this.#options.proposals.failAll("etcdserver: server stopped");
  }

  #timeoutCause(startedAt: number): string {
    const { electionMs, node, memberId, isConnected } = this.#options;
    const base = "etcdserver: request timed out";
    // Asked while there was no leader, or one about to be replaced.
    const lostAt = this.#leaderElectedAt - 2 * electionMs;
    if (startedAt > lostAt && startedAt < this.#leaderElectedAt) {
      return `${base}, possibly due to previous leader failure`;
    }
    const { leader } = node;
    if (leader === "") return base;
    const isLost = leader === memberId ? !this.#hasQuorum() : !isConnected(leader);
    return isLost ? `${base}, possibly due to connection lost` : base;
  }

  /** Enough voters are connected to form a quorum with this member. */
  #hasQuorum(): boolean {
    const { cluster, memberId, isConnected } = this.#options;
    const voters = cluster.members.filter((member) => !member.isLearner);
    const up = voters.filter((member) => member.id === memberId || isConnected(member.id));
    return up.length >= Math.floor(voters.length / 2) + 1;
  }
}
