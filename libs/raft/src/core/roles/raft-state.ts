/**
 * What one member keeps of raft: the state of all roles, the outgoing messages, and the transitions
 * that need to know no other role. The roles (follower.ts, candidate.ts, leader.ts) work on it, and
 * raft.ts above them decides which one is asked.
 *
 * Pure: messages, reads and log changes pile up in fields that raw-node.ts turns into Ready records.
 */
import type { RaftConfig } from "../model/config.ts";
import { changeConf } from "../membership/confchange.ts";
import { Inflights } from "../membership/inflights.ts";
import { invariant } from "../model/invariant.ts";
import { RaftLog } from "../log/raft-log.ts";
import { ReadOnly } from "./read-only.ts";
import { Tracker } from "../membership/tracker.ts";
import type {
  ConfChange,
  ConfState,
  HardState,
  Index,
  Message,
  NodeId,
  ReadState,
  Role,
  SnapshotMetadata,
  Term,
} from "../model/types.ts";
import { NOBODY } from "../model/types.ts";

/** The state of one member. Fields change only through the files of this folder. */
export class RaftState {
  readonly config: RaftConfig;
  readonly id: NodeId;
  readonly log: RaftLog;
  readonly tracker: Tracker;

  term: Term;
  vote: NodeId;
  leader: NodeId = NOBODY;
  role: Role = "follower";

  /** Messages that promise nothing about this member's disk. */
  messages: Message[] = [];
  /** Messages that leave once everything up to now is durable; those to itself included. */
  messagesAfterPersist: Message[] = [];
  readStates: ReadState[] = [];

  /** Ticks since the leader was heard from, or, for a leader, since it checked its quorum. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** This time's draw from [electionTicks, 2 × electionTicks) (paper §5.2). */
  electionTimeout = 0;
  /**
   * A leader that was removed: where its log ends as far as anybody else may know. It cannot
   * campaign any more, but those who have not heard of its removal may need its vote, and must not
   * be refused it for proposals that never left or that nobody counted. 0 otherwise.
   */
  removedAt: Index = 0;
  /** The host saw the leader's process die: the lease it was given holds no longer. */
  isLeaseBroken = false;
  /** Just started: a leader this member does not remember may rely on its lease. */
  isLeaseUnknown: boolean;
  /** Ticks until a pre-campaign before the election timeout is over; -1 when none is planned. */
  ticksToCampaign = -1;

  /** Leader: where leadership is being transferred to, or NOBODY. */
  transferee: NodeId = NOBODY;
  /** Leader: a new conf change may be proposed once this index is applied. */
  pendingConfIndex: Index = 0;
  /** Leader: proposals appended and not yet committed. */
  readonly uncommitted: Inflights;
  /** Leader: reads waiting for a quorum. */
  readonly readOnly = new ReadOnly();
  /** Leader: ticks since the election; what leases are measured by. */
  leaderTicks = 0;
  /** Leader: somebody was told to campaign at once, at whatever time that arrives. */
  hasOfferedLeadership = false;
  /** Leader: entries were appended or committed that followers have not been told of. */
  isBroadcastDue = false;

  constructor(config: RaftConfig) {
    const { hardState, confState } = config.storage.initialState();
    this.config = config;
    this.isLeaseUnknown = config.readOnly === "lease";
    this.id = config.id;
    this.log = new RaftLog(config.storage, hardState.commit, config.applied);
    this.tracker = new Tracker(config.id, confState, this.log.lastIndex + 1, {
      countMax: config.inflightMessagesMax,
      bytesMax: config.inflightBytesMax,
    });
    this.uncommitted = new Inflights({ countMax: Infinity, bytesMax: config.uncommittedBytesMax });
    this.term = hardState.term;
    this.vote = hardState.vote;
    this.becomeFollower(this.term, NOBODY);
  }

  /** What of this state has to survive a crash. Commit stays behind what is durable. */
  hardState(): HardState {
    const durable = this.log.pendingSnapshot?.index ?? this.log.stableIndex;
    return { term: this.term, vote: this.vote, commit: Math.min(this.log.committed, durable) };
  }

  /** True when this member may stand for election: it votes, and its log is its own. */
  get isPromotable(): boolean {
    return this.tracker.isVoter(this.id) && this.log.pendingSnapshot === undefined;
  }

  /** True when a leader has committed in its term, and so knows what is committed (paper §8). */
  get hasCommittedInTerm(): boolean {
    return this.log.termAt(this.log.committed) === this.term;
  }

  send(message: Message): void {
    switch (message.type) {
      case "appendResponse":
      case "vote":
      case "voteResponse":
        // A vote request promises that this candidate's own vote is durable: were it not, a
        // candidate that crashed after winning could lead the same term twice.
        this.messagesAfterPersist.push(message);
        return;
      case "append":
      case "heartbeat":
      case "heartbeatResponse":
      case "preVote":
      case "preVoteResponse":
      case "snapshot":
      case "readIndex":
      case "readIndexResponse":
      case "propose":
      case "transferLeader":
      case "timeoutNow":
        this.messages.push(message);
    }
  }

  /** A leader was heard from within the smallest election timeout (thesis §4.2.3). */
  get isInLease(): boolean {
    return (
      this.config.checkQuorum &&
      (this.leader !== NOBODY || this.isLeaseUnknown) &&
      !this.isLeaseBroken &&
      this.electionElapsed < this.config.electionTicks
    );
  }

  becomeFollower(term: Term, leader: NodeId): void {
    this.reset(term);
    this.role = "follower";
    this.leader = leader;
  }

  /** A pre-vote leaves term and vote alone (thesis §9.6). */
  becomePreCandidate(): void {
    this.#restartElectionTimer();
    this.role = "preCandidate";
    this.leader = NOBODY;
    this.tracker.resetVotes();
  }

  becomeCandidate(): void {
    invariant(this.role !== "leader", "a leader cannot become a candidate");
    this.reset(this.term + 1);
    this.role = "candidate";
    this.vote = this.id;
    this.removedAt = 0;
  }

  /** What every change of role or term begins with. */
  reset(term: Term): void {
    if (term !== this.term) {
      this.term = term;
      this.vote = NOBODY;
    }
    this.leader = NOBODY;
    this.heartbeatElapsed = 0;
    this.#restartElectionTimer();
    this.tracker.resetVotes();
    this.transferee = NOBODY;
    this.pendingConfIndex = 0;
    this.uncommitted.clear();
    this.readOnly.reset();
    this.isBroadcastDue = false;
    this.leaderTicks = 0;
    this.hasOfferedLeadership = false;
  }

  #restartElectionTimer(): void {
    const { electionTicks, random } = this.config;
    this.electionElapsed = 0;
    // Squared, so that the earliest of several members comes early, and the others late.
    this.electionTimeout = electionTicks + Math.floor(random() ** 2 * electionTicks);
    this.isLeaseBroken = false;
    this.ticksToCampaign = -1;
  }

  /** A message of this term's leader arrived. */
  heardFromLeader(leader: NodeId): void {
    this.leader = leader;
    this.electionElapsed = 0;
    this.isLeaseBroken = false;
    this.ticksToCampaign = -1;
  }

  /**
   * The host saw the leader's process die. Without a pre-vote that the others can refuse, and
   * leases to refuse it by, a lost link would unseat a live leader: then only time tells.
   */
  connectionLost(id: NodeId): void {
    if (!this.#mayCampaignEarly) return;
    if (this.role !== "follower" || id === NOBODY || this.leader !== id) return;
    this.isLeaseBroken = true;
    this.#planCampaign();
  }

  /**
   * The host reaches a majority and knows of no reason to wait for a leader, as at a start: unless
   * one is heard before, this member asks for pre-votes within a few ticks.
   */
  campaignSoon(): void {
    if (!this.#mayCampaignEarly || this.leader !== NOBODY || this.ticksToCampaign >= 0) return;
    if (this.role === "follower" || this.role === "preCandidate") this.#planCampaign();
  }

  /** Pre-votes that the others refuse while they hear a leader, and no lease that reads rely on. */
  get #mayCampaignEarly(): boolean {
    const { preVote, checkQuorum, readOnly } = this.config;
    return preVote && checkQuorum && readOnly !== "lease";
  }

  #planCampaign(): void {
    this.ticksToCampaign = Math.floor(this.config.random() * 3);
  }

  /** The leader's own log counts towards its quorum as far as it is durable. */
  noteOwnProgress(): void {
    const self = this.tracker.self;
    if (self === undefined) return;
    if (self.state === "probe") self.becomeReplicate();
    self.recentActive = true;
    self.acknowledge(this.log.stableIndex);
  }

  /** Switches to the configuration after `change`; what follows from it waits for confChanged(). */
  applyConfChange(change: ConfChange): ConfState {
    const conf = changeConf(this.tracker.conf, change);
    this.tracker.setConf(conf, this.log.lastIndex + 1);
    return conf;
  }

  /**
   * The state machine was brought to a snapshot's place that the log reaches anyway: nothing up to
   * there is left to apply.
   */
  skipTo(snapshot: SnapshotMetadata): void {
    this.log.commitTo(snapshot.index);
    this.log.appliedTo(snapshot.index);
    this.tracker.setConf(snapshot.confState, this.log.lastIndex + 1);
  }

  /** Replaces log and configuration by a snapshot's. */
  restore(snapshot: SnapshotMetadata): void {
    this.log.restore(snapshot);
    this.tracker.setConf(snapshot.confState, this.log.lastIndex + 1);
  }

  /** Configurations count from when they are applied, so none may lie between commit and apply. */
  get hasUnappliedConfChange(): boolean {
    const end = this.log.committed + 1;
    let next = this.log.applied + 1;
    while (next < end) {
      const page = this.log.entries(next, end, this.config.committedBytesMax);
      if (page.some((entry) => entry.type === "confChange")) return true;
      next += page.length;
    }
    return false;
  }
}
