/**
 * The raft state machine of one member: its state, the rules about terms that hold in every role,
 * the votes, and the transitions between roles. What a role does with a message is in follower.ts,
 * candidate.ts and leader.ts.
 *
 * Pure: messages, ticks and proposals go in; messages, reads and log changes pile up in fields that
 * raw-node.ts turns into Ready records. It knows no clock, no disk and no socket.
 */
import { stepCandidate, startElection } from "./candidate.ts";
import type { RaftConfig } from "../model/config.ts";
import { changeConf, isVoter } from "../membership/confchange.ts";
import { stepFollower } from "./follower.ts";
import { Inflights } from "../membership/inflights.ts";
import { invariant } from "../model/invariant.ts";
import { advanceCommit, appendEntries, confirmReads, stepLeader, tickLeader } from "./leader.ts";
import { isUpToDate, RaftLog } from "../log/raft-log.ts";
import { ReadOnly } from "./read-only.ts";
import { Tracker } from "../membership/tracker.ts";
import type {
  ConfChange,
  ConfState,
  Entry,
  HardState,
  Index,
  Message,
  NodeId,
  ReadState,
  Role,
  SnapshotMetadata,
  Term,
  VoteMessage,
} from "../model/types.ts";
import { NOBODY } from "../model/types.ts";

/** How an election is run: with a rehearsal, for real, or for real on the old leader's behalf. */
export type CampaignType = "preElection" | "election" | "transfer";

const NO_DATA = new Uint8Array(0);

export class Raft {
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
  /** Ticks until a pre-campaign because the leader died; -1 when none is planned. */
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

  tick(): void {
    if (this.role === "leader") tickLeader(this);
    else this.#tickElection();
  }

  #tickElection(): void {
    this.electionElapsed += 1;
    const isDue = this.ticksToCampaign === 0 || this.electionElapsed >= this.electionTimeout;
    if (this.electionElapsed >= this.config.electionTicks) this.isLeaseUnknown = false;
    if (this.ticksToCampaign >= 0) this.ticksToCampaign -= 1;
    // An election restarts the timer. Who may not stand goes on counting, so that it does not
    // honour the lease of a leader that has fallen silent.
    if (isDue) this.campaign();
  }

  /** Starts an election unless this member leads, may not vote, or must apply a change first. */
  campaign(type: CampaignType = this.config.preVote ? "preElection" : "election"): void {
    if (this.role === "leader" || !this.isPromotable || this.#hasUnappliedConfChange()) return;
    startElection(this, type);
  }

  /** Configurations count from when they are applied, so none may lie between commit and apply. */
  #hasUnappliedConfChange(): boolean {
    const end = this.log.committed + 1;
    let next = this.log.applied + 1;
    while (next < end) {
      const page = this.log.entries(next, end, this.config.committedBytesMax);
      if (page.some((entry) => entry.type === "confChange")) return true;
      next += page.length;
    }
    return false;
  }

  /** Feeds a message from another member, or one this member sent itself. */
  step(message: Message): void {
    if (message.term === 0) {
      if (message.type !== "readIndex") return;
    } else if (message.term > this.term) {
      if (!this.#enterHigherTerm(message)) return;
    } else if (message.term < this.term) {
      this.#answerLowerTerm(message);
      return;
    }
    if (message.type === "vote" || message.type === "preVote") this.#answerVote(message);
    else if (this.role === "leader") stepLeader(this, message);
    else if (this.role === "follower") stepFollower(this, message);
    else stepCandidate(this, message);
  }

  /** @returns false when the message is to be ignored. */
  #enterHigherTerm(message: Message): boolean {
    switch (message.type) {
      case "vote":
      case "preVote":
        if (!message.force && this.#isInLease()) return false;
        // A rehearsal changes nobody's term.
        if (message.type === "vote") this.becomeFollower(message.term, NOBODY);
        return true;
      case "preVoteResponse":
        // A granted rehearsal carries the term asked for, which nobody has entered.
        if (message.reject) this.becomeFollower(message.term, NOBODY);
        return true;
      case "append":
      case "heartbeat":
      case "snapshot":
        this.becomeFollower(message.term, message.from);
        return true;
      case "appendResponse":
      case "heartbeatResponse":
      case "voteResponse":
      case "readIndex":
      case "readIndexResponse":
      case "propose":
      case "transferLeader":
      case "timeoutNow":
        this.becomeFollower(message.term, NOBODY);
        return true;
    }
  }

  /** A leader was heard from within the smallest election timeout (thesis §4.2.3). */
  #isInLease(): boolean {
    return (
      this.config.checkQuorum &&
      (this.leader !== NOBODY || this.isLeaseUnknown) &&
      !this.isLeaseBroken &&
      this.electionElapsed < this.config.electionTicks
    );
  }

  #answerLowerTerm(message: Message): void {
    const { from: to, type } = message;
    const { id: from, term } = this;
    if (type === "preVote") {
      // Otherwise a candidate with an old term and a long log would rehearse for ever.
      this.send({ type: "preVoteResponse", to, from, term, reject: true });
    } else if (type === "append" || type === "heartbeat" || type === "snapshot") {
      // This member's term outran its leader's, and it cannot win with pre-vote and leases in
      // force: any answer with the higher term makes the leader step down and the term catch up.
      if (!this.config.checkQuorum && !this.config.preVote) return;
      const index = 0;
      const hint = { rejectHint: 0, rejectTerm: 0 };
      this.send({ type: "appendResponse", to, from, term, index, reject: false, ...hint });
    }
  }

  /** RequestVote and its rehearsal (paper §5.2 and §5.4.1). */
  #answerVote(message: VoteMessage): void {
    const { from: to, type } = message;
    const isFree =
      this.vote === to ||
      (this.vote === NOBODY && this.leader === NOBODY) ||
      (type === "preVote" && message.term > this.term);
    const reject = !isFree || !this.#isUpToDate(message);
    if (type === "preVote") {
      const term = reject ? this.term : message.term;
      this.send({ type: "preVoteResponse", to, from: this.id, term, reject });
      if (isFree && reject && this.role !== "candidate" && !this.#isInLease()) {
        // Nobody leads that this member knows of, and the one that asks cannot win its vote:
        // without waiting for its own timeout this member rehearses, with the longer log.
        this.ticksToCampaign = 0;
      }
      return;
    }
    this.send({ type: "voteResponse", to, from: this.id, term: this.term, reject });
    if (reject) return;
    this.electionElapsed = 0;
    this.vote = to;
  }

  #isUpToDate({ lastIndex: index, lastTerm: term }: VoteMessage): boolean {
    const last = this.log.lastIndex;
    const ownEnd = this.removedAt > 0 ? Math.min(this.removedAt, last) : last;
    return isUpToDate({ index, term }, { index: ownEnd, term: this.log.termAt(ownEnd) });
  }

  becomeFollower(term: Term, leader: NodeId): void {
    this.#reset(term);
    this.role = "follower";
    this.leader = leader;
  }

  /** A rehearsal leaves term and vote alone (thesis §9.6). */
  becomePreCandidate(): void {
    this.#restartElectionTimer();
    this.role = "preCandidate";
    this.leader = NOBODY;
    this.tracker.resetVotes();
  }

  becomeCandidate(): void {
    invariant(this.role !== "leader", "a leader cannot become a candidate");
    this.#reset(this.term + 1);
    this.role = "candidate";
    this.vote = this.id;
    this.removedAt = 0;
  }

  becomeLeader(): void {
    invariant(this.role === "candidate", `a ${this.role} cannot become leader`);
    this.#reset(this.term);
    this.role = "leader";
    this.leader = this.id;
    this.tracker.restart(this.log.lastIndex + 1);
    this.noteOwnProgress();
    // Whatever lies in the log may hold a conf change that nobody here has counted.
    this.pendingConfIndex = this.log.lastIndex;
    appendEntries(this, [{ term: 0, index: 0, type: "normal", data: NO_DATA }]);
  }

  /** The leader's own log counts towards its quorum as far as it is durable. */
  noteOwnProgress(): void {
    const self = this.tracker.self;
    if (self === undefined) return;
    if (self.state === "probe") self.becomeReplicate();
    self.recentActive = true;
    self.acknowledge(this.log.stableIndex);
  }

  #reset(term: Term): void {
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
    const { preVote, checkQuorum, readOnly } = this.config;
    // A lease that reads rely on is honoured whatever a connection says.
    if (!preVote || !checkQuorum || readOnly === "lease") return;
    if (this.role !== "follower" || id === NOBODY || this.leader !== id) return;
    this.isLeaseBroken = true;
    this.ticksToCampaign = Math.floor(this.config.random() * 3);
  }

  /** The log up to this entry is durable. */
  stableTo(last: Entry): void {
    this.log.stableTo(last.index, last.term);
    if (this.role === "leader") {
      this.noteOwnProgress();
      advanceCommit(this);
    }
  }

  /** Switches to the configuration after `change`; what follows from it waits for confChanged(). */
  applyConfChange(change: ConfChange): ConfState {
    const conf = changeConf(this.tracker.conf, change);
    this.tracker.setConf(conf, this.log.lastIndex + 1);
    return conf;
  }

  /** A conf change has been applied, by the state machine too. */
  confChanged(): void {
    const conf = this.tracker.conf;
    if (this.role !== "leader") {
      // A leader that was removed steps down; nobody has to wait for it to fall silent.
      if (!isVoter(conf, this.leader)) this.connectionLost(this.leader);
      return;
    }
    if (!isVoter(conf, this.id)) {
      // The entry that removes the leader is committed, without it (thesis §4.2.2).
      this.becomeFollower(this.term, NOBODY);
      this.removedAt = this.log.committed;
      return;
    }
    if (this.transferee !== NOBODY && !isVoter(conf, this.transferee)) this.transferee = NOBODY;
    // The quorum may have become smaller, and new members want their first message.
    advanceCommit(this);
    this.isBroadcastDue = true;
    if (this.readOnly.isWaiting) confirmReads(this);
  }

  /** Leaves a joint configuration that was entered with the wish to leave it by itself. */
  maybeAutoLeave(): void {
    if (this.role !== "leader" || !this.tracker.conf.autoLeave) return;
    if (this.transferee !== NOBODY || this.pendingConfIndex > this.log.applied) return;
    appendEntries(this, [{ term: 0, index: 0, type: "confChange", data: NO_DATA }]);
    this.pendingConfIndex = this.log.lastIndex;
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
}
