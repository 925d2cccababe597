/**
 * The raft state machine of one member: the rules about terms that hold in every role, the votes, and
 * which role a message or a tick is for. What a role does with it is in follower.ts, candidate.ts and
 * leader.ts; the state they share is in raft-state.ts.
 */
import { campaign, stepCandidate } from "./candidate.ts";
import { isVoter } from "../membership/confchange.ts";
import { stepFollower } from "./follower.ts";
import { advanceCommit, appendEntries, confirmReads, stepLeader, tickLeader } from "./leader.ts";
import { isUpToDate } from "../log/raft-log.ts";
import { RaftState } from "./raft-state.ts";
import type { Entry, Message, VoteMessage } from "../model/types.ts";
import { NOBODY } from "../model/types.ts";

const NO_DATA = new Uint8Array(0);

/** One member: everything that comes in goes through it. */
export class Raft extends RaftState {
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
    if (isDue) campaign(this);
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
    else if (this.role !== "follower") stepCandidate(this, message);
    // The leader wants to be succeeded: no pre-vote, no lease (thesis §3.10).
    else if (message.type === "timeoutNow") campaign(this, "transfer");
    else stepFollower(this, message);
  }

  /** @returns false when the message is to be ignored. */
  #enterHigherTerm(message: Message): boolean {
    switch (message.type) {
      case "vote":
      case "preVote":
        if (!message.force && this.isInLease) return false;
        // A pre-vote changes nobody's term.
        if (message.type === "vote") this.becomeFollower(message.term, NOBODY);
        return true;
      case "preVoteResponse":
        // A granted pre-vote carries the term asked for, which nobody has entered.
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

  #answerLowerTerm(message: Message): void {
    const { from: to, type } = message;
    const { id: from, term } = this;
    if (type === "preVote") {
      // Otherwise a candidate with an old term and a long log would ask for pre-votes for ever.
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

  /** RequestVote and the pre-vote (paper §5.2 and §5.4.1). */
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
      if (isFree && reject && this.role !== "candidate" && !this.isInLease) {
        // Nobody leads that this member knows of, and the one that asks cannot win its vote:
        // without waiting for its own timeout this member asks for pre-votes, with the longer log.
        this.ticksToCampaign = 0;
      }
      return;
    }
    this.send({ type: "voteResponse", to, from: this.id, term: this.term, reject });
    if (reject) return;
    this.electionElapsed = 0;
    // The candidate gets its time; a campaign of this member would end its term.
    this.ticksToCampaign = -1;
    this.vote = to;
  }

  #isUpToDate({ lastIndex: index, lastTerm: term }: VoteMessage): boolean {
    const last = this.log.lastIndex;
    const ownEnd = this.removedAt > 0 ? Math.min(this.removedAt, last) : last;
    return isUpToDate({ index, term }, { index: ownEnd, term: this.log.termAt(ownEnd) });
  }

  /** The log up to this entry is durable. */
  stableTo(last: Entry): void {
    this.log.stableTo(last.index, last.term);
    if (this.role === "leader") {
      this.noteOwnProgress();
      advanceCommit(this);
    }
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
}
