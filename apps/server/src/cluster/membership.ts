/**
 * Membership changes as the v2 API asks for them: checks that need no log first, then a conf
 * change through the log, waited for by request id. Owns the strict reconfiguration check.
 */
import type { Logger } from "@etcd2/observability";
import type { Member, Membership as MembershipPort } from "@etcd2/api-v2";
import { MembershipError } from "@etcd2/api-v2";
import type { ClusterMember, MemberRecord } from "@etcd2/member-dir";
import { encodeMemberChange, formatId, memberId, parseId } from "@etcd2/member-dir";
import type { ConfChangeSingle, NodeId, RaftNode } from "@etcd2/raft";
import { encodeConfChange } from "@etcd2/raft";
import type { RequestId } from "@etcd2/store";
import type { Cluster } from "./cluster.ts";
import { toApiMember } from "./cluster.ts";

/** A conf change is proposed again after this long: the leader drops one while another is open. */
const RETRY_MS = 500;

/** A learner may be promoted when it lacks at most this many entries. */
const PROMOTE_LAG_MAX = 100;

/** A member that is silent for so long, several heartbeats, is not asked to lead. */
const SILENCE_MAX_MS = 400;

/** What whoever asked for a change hears when it was neither applied nor refused in time. */
const OUTCOME_UNKNOWN =
  "etcdserver: request timed out: the outcome is unknown, the change may still take effect: " +
  "look at the list of members (GET /v2/members) before asking again";

const REFUSALS = {
  removed: "removed",
  idExists: "idExists",
  peerUrlExists: "peerUrlExists",
  notFound: "notFound",
  malformed: "unsafe",
} as const;

export interface MembershipParts {
  readonly memberId: NodeId;
  readonly cluster: Cluster;
  readonly node: RaftNode;
  readonly nextRequestId: () => RequestId;
  readonly strictReconfigCheck: boolean;
  /** Whether the link to another member is up. */
  readonly isConnected: (id: NodeId) => boolean;
  readonly requestTimeoutMs: number;
  readonly wallMs: () => number;
  /** A learner asked for here became a voter. */
  readonly onPromoted: () => void;
  readonly log: Logger;
}

interface Waiter {
  readonly change: ConfChangeSingle;
  readonly settle: (refusal: string | undefined) => void;
}

export class Membership implements MembershipPort {
  readonly #parts: MembershipParts;
  readonly #waiters = new Map<string, Waiter>();

  constructor(parts: MembershipParts) {
    this.#parts = parts;
  }

  list(): readonly Member[] {
    return this.#parts.cluster.list();
  }

  leader(): Member | undefined {
    const leader = this.#parts.cluster.get(this.#parts.node.leader);
    return leader === undefined ? undefined : toApiMember(leader);
  }

  /** A conf change with this request id was applied, or refused when it was. */
  applied(requestId: string, refusal: string | undefined): void {
    this.#waiters.get(requestId)?.settle(refusal);
  }

  /**
   * The others say that this member is removed. Its log may never tell: nobody sends it entries any
   * more. Whoever asked here for just that has the answer.
   */
  removedByOthers(): void {
    for (const { change, settle } of [...this.#waiters.values()]) {
      if (change.type === "remove" && change.nodeId === this.#parts.memberId) settle(undefined);
    }
  }

  async add(peerURLs: readonly string[], options: { learner: boolean }): Promise<Member> {
    const { cluster } = this.#parts;
    const id = this.#newId(peerURLs);
    const taken = new Set(cluster.members.flatMap((member) => member.peerURLs));
    if (peerURLs.some((url) => taken.has(url))) {
      throw new MembershipError("peerUrlExists", "etcdserver: peerURL exists");
    }
    if (!options.learner) this.#checkAdd();
    const names = { name: "", configuredName: "" };
    const record = { id, peerURLs: [...peerURLs].sort(), ...names, clientURLs: [] };
    const type = options.learner ? "addLearner" : "addVoter";
    await this.#change({ type, nodeId: id }, { ...record, isLearner: options.learner });
    return toApiMember({ ...record, isLearner: options.learner, started: false });
  }

  async remove(id: string): Promise<void> {
    const member = this.#existing(id);
    this.#checkRemove(member);
    await this.#leadElsewhere(member);
    await this.#change({ type: "remove", nodeId: member.id }, member);
  }

  async updatePeerURLs(id: string, peerURLs: readonly string[]): Promise<void> {
    const member = this.#existing(id);
    const others = this.#parts.cluster.members.filter((other) => other.id !== member.id);
    const taken = new Set(others.flatMap((other) => other.peerURLs));
    if (peerURLs.some((url) => taken.has(url))) {
      throw new MembershipError("peerUrlExists", "etcdserver: peerURL exists");
    }
    const record = { ...member, peerURLs: [...peerURLs].sort() };
    await this.#change({ type: "update", nodeId: member.id }, record);
  }

  async promote(id: string): Promise<void> {
    const member = this.#existing(id);
    if (!member.isLearner) {
      throw new MembershipError("unsafe", `etcdserver: member ${id} is not a learner`);
    }
    // A cluster whose log is short would find a learner that never started near enough.
    await this.#requireAnswering(member, "it cannot vote");
    const status = this.#parts.node.status();
    const progress = status.progress.get(member.id);
    if (status.role !== "leader") {
      throw new MembershipError(
        "unsafe",
        `etcdserver: only the leader ${formatId(status.leader)} can promote a learner`,
      );
    }
    const match = progress?.match ?? 0;
    if (match === 0 || match + PROMOTE_LAG_MAX < status.commit) {
      const lag = status.commit - match;
      throw new MembershipError(
        "unsafe",
        `etcdserver: can only promote a learner member which is in sync with leader (${id} lacks ${lag} entries)`,
      );
    }
    await this.#change({ type: "addVoter", nodeId: member.id }, { ...member, isLearner: false });
    this.#parts.onPromoted();
  }

  async moveLeader(id: string): Promise<void> {
    const member = this.#existing(id);
    if (member.isLearner) {
      throw new MembershipError("unsafe", `etcdserver: member ${id} is a learner: it cannot lead`);
    }
    await this.#requireAnswering(member, "it cannot take over");
    const deadline = performance.now() + this.#parts.requestTimeoutMs;
    this.#parts.node.transferLeader(member.id);
    while (this.#parts.node.leader !== member.id) {
      if (performance.now() > deadline) {
        throw new MembershipError(
          "timeout",
          "etcdserver: request timed out, leader transfer took too long",
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /**
   * A leader about to be removed hands over first, whichever member was asked: who leads learns
   * first that a change is committed, and whoever stays must know of the removal to go on.
   */
  async #leadElsewhere(leaving: ClusterMember): Promise<void> {
    const { memberId: own, cluster, node } = this.#parts;
    if (node.leader !== leaving.id) return;
    const { progress } = node.status();
    const staying = cluster.members.filter(
      (member) => member.id !== leaving.id && !member.isLearner,
    );
    const [best] = staying.sort(
      (a, b) => (progress.get(b.id)?.match ?? 0) - (progress.get(a.id)?.match ?? 0),
    );
    const next = staying.find(({ id }) => id === own) ?? best;
    if (next === undefined) return;
    try {
      await this.moveLeader(formatId(next.id));
    } catch (error) {
      // More than one that stay find the removal in each other's logs; a single one might not.
      if (staying.length === 1) throw error;
    }
  }

  /**
   * While a transfer is under way nothing can be written, so none is begun in vain; and a voter
   * that does not answer is one that is missing.
   */
  async #requireAnswering(member: ClusterMember, consequence: string): Promise<void> {
    const deadline = performance.now() + SILENCE_MAX_MS;
    for (;;) {
      const { role, leader, progress } = this.#parts.node.status();
      if (role !== "leader" || leader === member.id) return;
      if (progress.get(member.id)?.recentActive === true) return;
      if (performance.now() >= deadline) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new MembershipError(
      "unsafe",
      `etcdserver: member ${formatId(member.id)} does not answer: ${consequence}`,
    );
  }

  /** The second is part of an id: one that was used in this second is found a later one. */
  #newId(peerUrls: readonly string[]): NodeId {
    const { cluster, wallMs } = this.#parts;
    for (let addedAtSeconds = Math.floor(wallMs() / 1000); ; addedAtSeconds += 1) {
      const id = memberId({ peerUrls, token: "", addedAtSeconds });
      if (cluster.get(id) === undefined && !cluster.isRemoved(id)) return id;
    }
  }

  #existing(id: string): ClusterMember {
    const { cluster } = this.#parts;
    const nodeId = parseId(id) ?? "";
    const member = cluster.get(nodeId);
    if (member !== undefined) return member;
    if (cluster.isRemoved(nodeId)) {
      throw new MembershipError("removed", `Member permanently removed: ${id}`);
    }
    throw new MembershipError("notFound", `No such member: ${id}`);
  }

  #checkAdd(): void {
    if (!this.#parts.strictReconfigCheck) return;
    const voters = this.#parts.cluster.members.filter((member) => !member.isLearner);
    // One started member and no other: the first addition passes, or no cluster could ever grow.
    if (voters.length === 1 && voters[0]?.started === true) return;
    this.#requireQuorum("add", voters, voters.length + 1);
  }

  #checkRemove(leaving: ClusterMember): void {
    if (!this.#parts.strictReconfigCheck || leaving.isLearner) return;
    const staying = this.#parts.cluster.members.filter(
      (member) => !member.isLearner && member.id !== leaving.id,
    );
    this.#requireQuorum("remove", staying, staying.length);
  }

  /** Members that never started, or do not answer now, are no part of a quorum. */
  #requireQuorum(what: string, members: readonly ClusterMember[], voters: number): void {
    const quorum = Math.floor(voters / 2) + 1;
    const started = members.filter((member) => member.started);
    const silent = started
      .map(({ id }) => id)
      .filter((id) => id !== this.#parts.memberId && !this.#parts.isConnected(id));
    if (started.length - silent.length >= quorum) return;
    const why =
      started.length < quorum
        ? `the number of started member (${started.length}) `
        : `the number of started member that answer (${started.length - silent.length}; silent: ` +
          `${silent.map(formatId).join(", ")}) `;
    const message =
      `Reject ${what} member request: ${why}` +
      `will be less than the quorum number of the cluster (${quorum})`;
    this.#parts.log.warning(message);
    throw new MembershipError("unsafe", message);
  }

  /** Proposes until the change with this request id was applied, refused, or time is up. */
  async #change(single: ConfChangeSingle, member: MemberRecord): Promise<void> {
    const requestId = this.#parts.nextRequestId();
    const data = encodeConfChange({
      transition: "auto",
      changes: [single],
      context: encodeMemberChange({ requestId, member }),
    });
    const key = `${requestId.session}-${requestId.sequence}`;
    const refusal = await new Promise<string | undefined>((resolve) => {
      const deadline = performance.now() + this.#parts.requestTimeoutMs;
      const timer = setInterval(() => {
        if (performance.now() >= deadline) settle("timeout");
        else this.#parts.node.proposeConfChange(data);
      }, RETRY_MS);
      const settle = (outcome: string | undefined): void => {
        clearInterval(timer);
        this.#waiters.delete(key);
        resolve(outcome);
      };
      this.#waiters.set(key, { change: single, settle });
      this.#parts.node.proposeConfChange(data);
    });
    if (refusal === undefined) return;
    if (refusal === "timeout") {
      throw new MembershipError("outcomeUnknown", OUTCOME_UNKNOWN);
    }
    const code = REFUSALS[refusal as keyof typeof REFUSALS];
    throw new MembershipError(code, refusalText(code, formatId(single.nodeId)));
  }
}

function refusalText(code: string, id: string): string {
  switch (code) {
    case "peerUrlExists":
      return "etcdserver: peerURL exists";
    case "idExists":
      return "etcdserver: ID exists";
    case "removed":
      return `Member permanently removed: ${id}`;
    default:
      return `No such member: ${id}`;
  }
}
