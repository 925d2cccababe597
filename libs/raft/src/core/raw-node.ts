/**
 * The core's public face: one raft member without clock, disk or sockets.
 *
 * Work goes in by tick, step, propose and their like; what has to be done about it comes out as
 * Ready records. ready.ts states the order a host must keep. This file owns the hand-over of work
 * in both directions; the protocol itself is in raft.ts and the files it names.
 */
import { RaftError } from "./model/errors.ts";
import type { RaftOptions } from "./model/config.ts";
import { parseConfig } from "./model/config.ts";
import { campaign } from "./roles/candidate.ts";
import { forwardProposal, forwardRead, forwardTransfer, wantsSnapshot } from "./roles/follower.ts";
import { invariant } from "./model/invariant.ts";
import * as leading from "./roles/leader.ts";
import { contradictedBy, validateMessage } from "./roles/validate-message.ts";
import type { CommittedEntry } from "./roles/validate-message.ts";
import { Raft } from "./roles/raft.ts";
import type { LogEnd } from "./log/raft-log.ts";
import type { Ready } from "./ready.ts";
import { statusOf, type Status } from "./status.ts";
import type {
  ConfChange,
  ConfState,
  Entry,
  EntryType,
  HardState,
  Index,
  Message,
  NodeId,
  Role,
  SnapshotMessage,
  SoftState,
  Term,
} from "./model/types.ts";
import { NOBODY } from "./model/types.ts";

/** One member. All calls are synchronous; the host must do what each Ready says, in its order. */
export class RawNode {
  readonly #raft: Raft;
  #lastSoftState: SoftState;
  #lastHardState: HardState;
  /** What of it the host is known to have made durable. */
  #durableHardState: HardState;
  /** The Ready handed out and not acknowledged yet. */
  #outstanding: Ready | undefined;
  /** Messages to itself in the outstanding Ready: due once it is durable. */
  #ownMessages: readonly Message[] = [];
  /** Conf changes in the outstanding Ready that the host has not decided yet. */
  #confChangesDue = 0;
  #hasConfChanged = false;

  /** @throws InvariantError when an option makes no sense or the log contradicts it. */
  constructor(options: RaftOptions) {
    this.#raft = new Raft(parseConfig(options));
    this.#lastSoftState = { leader: this.#raft.leader, role: this.#raft.role };
    this.#lastHardState = options.storage.initialState().hardState;
    this.#durableHardState = this.#lastHardState;
  }

  get leader(): NodeId {
    return this.#raft.leader;
  }

  get role(): Role {
    return this.#raft.role;
  }

  get term(): Term {
    return this.#raft.term;
  }

  get committed(): Index {
    return this.#raft.log.committed;
  }

  get applied(): Index {
    return this.#raft.log.applied;
  }

  get lastIndex(): Index {
    return this.#raft.log.lastIndex;
  }

  status(): Status {
    return statusOf(this.#raft);
  }

  /** One unit of logical time has passed. */
  tick(): void {
    this.#raft.tick();
  }

  /** Stands for election now instead of waiting for a timeout. */
  campaign(): void {
    campaign(this.#raft);
  }

  /**
   * Feeds a message from another member. What is not addressed to this member, pretends to come
   * from it, or answers on behalf of a stranger is ignored. A snapshot message is only stepped
   * when its data is in place (see wantsSnapshot).
   */
  step(message: Message): void {
    const raft = this.#raft;
    if (message.to !== raft.id || message.from === raft.id) return;
    if (isResponse(message) && raft.tracker.get(message.from) === undefined) return;
    raft.step(message);
  }

  /**
   * Why a host that does not trust the sender's every word should drop this message instead of
   * stepping it, which might break an invariant; undefined when it may be stepped.
   */
  validateMessage(message: Message): string | undefined {
    return validateMessage(this.#raft, message);
  }

  /** The committed entry here that a message of a leader contradicts; see core/roles/validate-message.ts. */
  contradictedBy(message: Message): CommittedEntry | undefined {
    return contradictedBy(this.#raft, message);
  }

  /** Term of a committed entry; 0 when it is not committed, or compacted. */
  committedTerm(index: Index): Term {
    const { log } = this.#raft;
    const isHeld = index >= log.firstIndex - 1 && index <= log.committed;
    return isHeld ? log.termAt(index) : 0;
  }

  /** Highest index that is durable here. */
  get stableIndex(): Index {
    return this.#raft.log.stableIndex;
  }

  /** The last entry that is durable here. */
  get stableEnd(): LogEnd {
    const { log } = this.#raft;
    return { index: log.stableIndex, term: log.termAt(log.stableIndex) };
  }

  /**
   * Offers data for the log: one call is one append, in order, by this leader or the one it
   * follows. Success means that it was appended here or sent off, not that it will be committed.
   * @throws RaftError "proposalDropped" with the reason; then nothing was appended.
   */
  propose(data: readonly Uint8Array[]): void {
    if (data.length > 0) this.#propose("normal", data);
  }

  /**
   * Offers an encoded conf change. A leader that cannot make it now appends an empty entry in its
   * place.
   * @throws RaftError as propose().
   */
  proposeConfChange(data: Uint8Array): void {
    this.#propose("confChange", [data]);
  }

  #propose(type: EntryType, data: readonly Uint8Array[]): void {
    const raft = this.#raft;
    const entries: Entry[] = [];
    for (const bytes of data) entries.push({ term: 0, index: 0, type, data: bytes });
    const reason = raft.role === "leader" ? leading.propose(raft, entries) : this.#forward(entries);
    if (reason !== undefined) throw new RaftError("proposalDropped", reason);
  }

  #forward(entries: readonly Entry[]): string | undefined {
    return forwardProposal(this.#raft, entries) ? undefined : "there is no leader";
  }

  /**
   * The host applied a conf change entry of the outstanding Ready and lets it happen.
   * @returns the configuration from now on.
   * @throws InvariantError when validateConfChange() of confchange.ts gives a reason.
   */
  applyConfChange(change: ConfChange): ConfState {
    this.#decideConfChange();
    this.#hasConfChanged = true;
    return this.#raft.applyConfChange(change);
  }

  /** The host refused a conf change entry of the outstanding Ready: nothing changes. */
  rejectConfChange(): void {
    this.#decideConfChange();
  }

  #decideConfChange(): void {
    invariant(this.#confChangesDue > 0, "no conf change is waiting to be decided");
    this.#confChangesDue -= 1;
  }

  /**
   * Asks from which index on a read is linearizable; the answer comes in Ready.readStates. Lost
   * with a leader or a message, so the host asks again after a while; without a leader at once
   * lost.
   */
  readIndex(context: string): void {
    const raft = this.#raft;
    if (raft.role === "leader") leading.readIndex(raft, { from: raft.id, context });
    else forwardRead(raft, context);
  }

  /** Asks the leader to hand over to `to`. May come to nothing; it is over after a timeout. */
  transferLeader(to: NodeId): void {
    const raft = this.#raft;
    if (raft.role === "leader") leading.transferLeader(raft, to);
    else forwardTransfer(raft, to);
  }

  /**
   * Uses up the vote of `term`, and of every term before it, by a vote for this member itself: it
   * enters the term if it is not that far, and stands in none of them. For a member that may have
   * voted there and forgotten it. Holds for good once hasRenouncedVotes() says so.
   */
  renounceVotes(term: Term): void {
    const raft = this.#raft;
    if (term > raft.term) raft.becomeFollower(term, NOBODY);
    if (term === raft.term && raft.vote === NOBODY) raft.vote = raft.id;
  }

  /** True when it is durable that this member gives no vote in `term` any more, nor before it. */
  hasRenouncedVotes(term: Term): boolean {
    const { term: own, vote } = this.#durableHardState;
    return own > term || (own === term && vote !== NOBODY);
  }

  /** The connections to this member were reset: if it led, its process has probably died. */
  connectionLost(id: NodeId): void {
    this.#raft.connectionLost(id);
  }

  /** This member reaches a majority and has heard no leader: see RaftState. */
  campaignSoon(): void {
    this.#raft.campaignSoon();
  }

  /** Messages to this member are being lost. */
  reportUnreachable(id: NodeId): void {
    if (this.#raft.role === "leader") leading.reportUnreachable(this.#raft, id);
  }

  /** The snapshot sent to this member arrived, or did not. */
  reportSnapshot(id: NodeId, ok: boolean): void {
    if (this.#raft.role === "leader") leading.reportSnapshot(this.#raft, id, ok);
  }

  /**
   * True when stepping this snapshot message would bring this member forward. The host asks before
   * it replaces its state machine, and steps the message in the same turn if it did.
   */
  wantsSnapshot(message: SnapshotMessage): boolean {
    return wantsSnapshot(this.#raft, message);
  }

  /** True when ready() has something to say; never while a Ready is outstanding. */
  hasReady(): boolean {
    if (this.#outstanding !== undefined) return false;
    const raft = this.#raft;
    return (
      raft.messages.length > 0 ||
      raft.messagesAfterPersist.length > 0 ||
      raft.readStates.length > 0 ||
      raft.log.hasUnstableEntries ||
      raft.log.hasCommittedEntries ||
      raft.log.pendingSnapshot !== undefined ||
      leading.hasBroadcast(raft) ||
      this.#hasSoftStateChanged() ||
      !isSameHardState(raft.hardState(), this.#lastHardState)
    );
  }

  /** Hands out everything there is to do. Not again before advance(). */
  ready(): Ready {
    invariant(this.#outstanding === undefined, "the last Ready was not acknowledged");
    const raft = this.#raft;
    if (raft.role === "leader") leading.flushBroadcast(raft);
    const hardState = raft.hardState();
    const hasHardState = !isSameHardState(hardState, this.#lastHardState);
    const entries = raft.log.unstableEntries();
    const committedEntries = raft.log.committedEntries(raft.config.committedBytesMax);
    const settlesMembership = hasHardState && this.#settlesMembership(hardState, committedEntries);
    const messages = raft.messages;
    const afterPersist = this.#takeMessagesAfterPersist();
    const ready: Ready = {
      softState: this.#takeSoftState(),
      hardState: hasHardState ? hardState : undefined,
      entries,
      snapshot: raft.log.pendingSnapshot,
      messages: settlesMembership ? [] : messages,
      messagesAfterPersist: settlesMembership ? [...messages, ...afterPersist] : afterPersist,
      committedEntries,
      readStates: raft.readStates,
      mustSync:
        entries.length > 0 ||
        settlesMembership ||
        raft.log.pendingSnapshot !== undefined ||
        hardState.term !== this.#lastHardState.term ||
        hardState.vote !== this.#lastHardState.vote,
    };
    raft.messages = [];
    raft.readStates = [];
    for (const entry of ready.committedEntries) {
      if (entry.type === "confChange") this.#confChangesDue += 1;
    }
    if (hasHardState) this.#lastHardState = hardState;
    this.#outstanding = ready;
    return ready;
  }

  /** The host has done all of `ready`: it is durable, sent and applied. */
  advance(ready: Ready): void {
    invariant(ready === this.#outstanding, "advance() with a Ready that is not outstanding");
    invariant(this.#confChangesDue === 0, "a conf change was neither applied nor rejected");
    const raft = this.#raft;
    this.#outstanding = undefined;
    if (ready.hardState !== undefined) this.#durableHardState = ready.hardState;
    if (ready.snapshot !== undefined) {
      raft.log.snapshotStable(ready.snapshot.index);
      raft.log.appliedTo(ready.snapshot.index);
    }
    const lastApplied = ready.committedEntries.at(-1);
    if (lastApplied !== undefined) raft.log.appliedTo(lastApplied.index);
    const lastDurable = ready.entries.at(-1);
    if (lastDurable !== undefined) raft.stableTo(lastDurable);
    for (const message of this.#ownMessages) raft.step(message);
    this.#ownMessages = [];
    if (this.#hasConfChanged) {
      this.#hasConfChanged = false;
      raft.confChanged();
    }
    raft.maybeAutoLeave();
  }

  /**
   * True when a conf change becomes committed by this hard state. Whoever it removes leaves as soon
   * as it knows; of two voters the other one must not forget then, or it would wait for a vote of
   * the one that left. So this commit alone is made durable, and told to nobody before.
   */
  #settlesMembership(hardState: HardState, committed: readonly Entry[]): boolean {
    const { role, pendingConfIndex } = this.#raft;
    const before = this.#lastHardState.commit;
    if (hardState.commit === before) return false;
    if (role === "leader" && pendingConfIndex > before && pendingConfIndex <= hardState.commit) {
      return true;
    }
    return committed.some((entry) => entry.type === "confChange" && entry.index > before);
  }

  #takeMessagesAfterPersist(): readonly Message[] {
    const raft = this.#raft;
    const all = raft.messagesAfterPersist;
    raft.messagesAfterPersist = [];
    // Only a candidate writes to itself: its vote.
    const own = all.filter((message) => message.to === raft.id);
    if (own.length === 0) return all;
    this.#ownMessages = own;
    return all.filter((message) => message.to !== raft.id);
  }

  #hasSoftStateChanged(): boolean {
    const { leader, role } = this.#lastSoftState;
    return leader !== this.#raft.leader || role !== this.#raft.role;
  }

  #takeSoftState(): SoftState | undefined {
    if (!this.#hasSoftStateChanged()) return undefined;
    this.#lastSoftState = { leader: this.#raft.leader, role: this.#raft.role };
    return this.#lastSoftState;
  }
}

function isSameHardState(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}

/** Answers count towards quorums, so they are only taken from members. */
function isResponse(message: Message): boolean {
  switch (message.type) {
    case "appendResponse":
    case "heartbeatResponse":
    case "voteResponse":
    case "preVoteResponse":
      return true;
    case "append":
    case "heartbeat":
    case "vote":
    case "preVote":
    case "snapshot":
    case "readIndex":
    case "readIndexResponse":
    case "propose":
    case "transferLeader":
    case "timeoutNow":
      return false;
  }
}
