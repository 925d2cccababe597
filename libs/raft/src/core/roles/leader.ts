/**
 * What a leader does: append proposals, replicate, count what is durable where, confirm reads,
 * hand leadership over (paper §5.3, §5.4.2, §8, thesis §3.10, §6.4).
 *
 * Replication is lazy: appending and committing only mark followers as due, and one append message
 * each leaves with the next Ready, whatever happened since the last. Answers to a probe leave at
 * once. Which appends may leave is decided by progress.ts.
 */
import { validateConfChange, LEAVE_JOINT } from "../membership/confchange.ts";
import { invariant } from "../model/invariant.ts";
import type { Progress } from "../membership/progress.ts";
import type { RaftState } from "./raft-state.ts";
import { byteLength } from "../log/raft-log.ts";
import type { ReadRequest } from "./read-only.ts";
import type {
  AppendResponseMessage,
  Entry,
  HeartbeatResponseMessage,
  Index,
  Message,
  NodeId,
} from "../model/types.ts";
import { NOBODY } from "../model/types.ts";

const NO_DATA = new Uint8Array(0);

/** A candidate that has won: takes office with an empty entry of its term (paper §8). */
export function becomeLeader(raft: RaftState): void {
  invariant(raft.role === "candidate", `a ${raft.role} cannot become leader`);
  raft.reset(raft.term);
  raft.role = "leader";
  raft.leader = raft.id;
  raft.tracker.restart(raft.log.lastIndex + 1);
  raft.noteOwnProgress();
  // Whatever lies in the log may hold a conf change that nobody here has counted.
  raft.pendingConfIndex = raft.log.lastIndex;
  appendEntries(raft, [{ term: 0, index: 0, type: "normal", data: NO_DATA }]);
}

/** A message of the current term, neither a vote nor a request for one. */
export function stepLeader(raft: RaftState, message: Message): void {
  switch (message.type) {
    case "propose":
      // The sender cannot be told of a refusal; whoever proposed there notices by timeout.
      propose(raft, message.entries);
      return;
    case "readIndex":
      readIndex(raft, { from: message.from, context: message.context });
      return;
    case "appendResponse":
      handleAppendResponse(raft, message);
      return;
    case "heartbeatResponse":
      handleHeartbeatResponse(raft, message);
      return;
    case "transferLeader":
      transferLeader(raft, message.transferee);
      return;
    case "append":
    case "heartbeat":
    case "snapshot":
      invariant(false, `${message.from} leads term ${raft.term} too`);
      return;
    // Late answers to the election that was won, and what only a follower acts on.
    case "voteResponse":
    case "preVoteResponse":
    case "readIndexResponse":
    case "timeoutNow":
    case "vote":
    case "preVote":
  }
}

/** One tick of a leader: heartbeats when they are due, and whether a quorum is still there. */
export function tickLeader(raft: RaftState): void {
  const { config } = raft;
  raft.leaderTicks += 1;
  raft.heartbeatElapsed += 1;
  raft.electionElapsed += 1;
  if (raft.electionElapsed >= config.electionTicks) {
    raft.electionElapsed = 0;
    if (config.checkQuorum && !raft.tracker.checkQuorumActive()) {
      raft.becomeFollower(raft.term, NOBODY);
      return;
    }
    // A transfer that took an election timeout has failed; proposals are welcome again.
    raft.transferee = NOBODY;
  }
  if (raft.heartbeatElapsed >= config.heartbeatTicks) {
    raft.heartbeatElapsed = 0;
    broadcastHeartbeat(raft);
  }
}

/** @returns why nothing was appended; undefined when everything was. */
export function propose(raft: RaftState, entries: readonly Entry[]): string | undefined {
  if (raft.tracker.self === undefined) return "this member is not part of the cluster";
  if (raft.transferee !== NOBODY) return "leadership is being transferred";
  const bytes = byteLength(entries);
  if (bytes > 0 && !raft.uncommitted.fits(bytes)) return "too many bytes are uncommitted";
  const hasConfChange = entries.some((entry) => entry.type === "confChange");
  appendEntries(raft, hasConfChange ? admitConfChanges(raft, entries) : entries);
  return undefined;
}

/**
 * Replaces conf changes that may not be made now by empty entries, so that the proposer sees its
 * entry committed without effect. One at a time: the next only after the last is applied.
 */
function admitConfChanges(raft: RaftState, entries: readonly Entry[]): readonly Entry[] {
  return entries.map((entry, position) => {
    if (entry.type !== "confChange") return entry;
    if (raft.pendingConfIndex > raft.log.applied || !isPossible(raft, entry.data)) {
      return { ...entry, type: "normal", data: NO_DATA };
    }
    raft.pendingConfIndex = raft.log.lastIndex + 1 + position;
    return entry;
  });
}

function isPossible(raft: RaftState, data: Uint8Array): boolean {
  const decode = raft.config.decodeConfChange;
  if (data.length > 0 && decode === undefined) return true;
  const change = data.length === 0 || decode === undefined ? LEAVE_JOINT : decode(data);
  return validateConfChange(raft.tracker.conf, change) === undefined;
}

/** Appends to the leader's own log, giving entries their place and term. */
export function appendEntries(raft: RaftState, entries: readonly Entry[]): void {
  const { log, term } = raft;
  let index = log.lastIndex;
  const placed: Entry[] = [];
  for (const { type, data } of entries) placed.push({ term, index: ++index, type, data });
  log.append(placed);
  raft.uncommitted.add(index, byteLength(placed));
  raft.isBroadcastDue = true;
}

/**
 * Commits what a quorum holds, if it is of this term: an older entry is only safe beneath one of
 * the leader's own (paper §5.4.2).
 */
export function advanceCommit(raft: RaftState): void {
  const { log, tracker } = raft;
  const index = tracker.committedIndex();
  if (index <= log.committed || index > log.lastIndex) return;
  if (log.termAt(index) !== raft.term) return;
  log.commitTo(index);
  raft.uncommitted.freeTo(index);
  raft.isBroadcastDue = true;
  for (const request of raft.readOnly.takeEarly()) readIndex(raft, request);
}

/** True when flushBroadcast() would send something. */
export function hasBroadcast(raft: RaftState): boolean {
  if (raft.readOnly.isRoundDue) return true;
  if (!raft.isBroadcastDue) return false;
  const { log, tracker } = raft;
  return tracker.peers.some((progress) => {
    const isBehind = progress.next <= log.lastIndex || progress.canBumpCommit(log.committed);
    return isBehind && !progress.isPaused;
  });
}

/** Sends what followers are due since the last Ready. */
export function flushBroadcast(raft: RaftState): void {
  if (raft.readOnly.isRoundDue) broadcastHeartbeat(raft);
  if (!raft.isBroadcastDue) return;
  raft.isBroadcastDue = false;
  for (const progress of raft.tracker.peers) {
    let hasMore = sendAppend(raft, progress, progress.canBumpCommit(raft.log.committed));
    while (hasMore) hasMore = sendAppend(raft, progress, false);
  }
}

function broadcastHeartbeat(raft: RaftState): void {
  const { readOnly, tracker, id: from, term } = raft;
  const round = readOnly.takeRound(raft.leaderTicks, raft.config.readOnly === "lease");
  const context = round === 0 ? "" : String(round);
  const self = tracker.self;
  if (self !== undefined) self.readRound = Math.max(self.readRound, round);
  for (const { id: to, match } of tracker.peers) {
    const commit = Math.min(match, raft.log.committed);
    raft.send({ type: "heartbeat", to, from, term, commit, context });
  }
}

/** Entries of one append: entries without data have no bytes to bound them by. */
const MESSAGE_ENTRIES_MAX = 16_384;

/**
 * Sends the entries a member lacks, as far as one message goes, or a snapshot when they are gone.
 * @returns false when nothing was sent: the member is not ready for more, or lacks nothing.
 */
function sendAppend(raft: RaftState, progress: Progress, evenIfEmpty: boolean): boolean {
  if (progress.isPaused) return false;
  const { log, config, id: from, term } = raft;
  const { id: to, next } = progress;
  const prevIndex = next - 1;
  if (prevIndex < log.firstIndex - 1) return sendSnapshot(raft, progress);
  // With a full window only an empty append goes out: its refusal shows what was lost.
  const isWindowFull = progress.state === "replicate" && progress.inflights.isFull;
  const hi = isWindowFull ? next : Math.min(log.lastIndex + 1, next + MESSAGE_ENTRIES_MAX);
  const entries = log.entries(next, hi, config.messageBytesMax);
  if (entries.length === 0 && !evenIfEmpty) return false;
  const prevTerm = log.termAt(prevIndex);
  const commit = log.committed;
  raft.send({ type: "append", to, from, term, prevIndex, prevTerm, entries, commit });
  progress.sentAppend(entries.length, byteLength(entries));
  progress.sentCommit = commit;
  return entries.length > 0;
}

function sendSnapshot(raft: RaftState, progress: Progress): boolean {
  // A silent member would let the snapshot's stream run into the void.
  if (!progress.recentActive) return false;
  const snapshot = raft.log.snapshot();
  const { id: from, term } = raft;
  raft.send({ type: "snapshot", to: progress.id, from, term, snapshot });
  progress.becomeSnapshot(snapshot.index);
  return false;
}

function handleAppendResponse(raft: RaftState, message: AppendResponseMessage): void {
  const progress = raft.tracker.get(message.from);
  if (progress === undefined) return;
  progress.recentActive = true;
  if (message.reject) {
    // Of the follower's hint, keep only what can agree from this side too (paper §5.3).
    const { rejectHint, rejectTerm } = message;
    const hint = rejectTerm > 0 ? raft.log.lastAtMost(rejectHint, rejectTerm).index : rejectHint;
    if (!progress.decrease(message.index, hint)) return;
    if (progress.state === "replicate") progress.becomeProbe();
    sendAppend(raft, progress, true);
    return;
  }
  invariant(message.index <= raft.log.lastIndex, `${message.from} acknowledged what never was`);
  const wasPaused = progress.isPaused;
  const isNews = progress.acknowledge(message.index);
  if (!isNews && !(progress.state === "probe" && progress.match === message.index)) return;
  noteAcknowledged(raft, progress);
  advanceCommit(raft);
  if (wasPaused || progress.canBumpCommit(raft.log.committed)) raft.isBroadcastDue = true;
  if (progress.id === raft.transferee) handOverWhenCaughtUp(raft, progress);
}

function noteAcknowledged(raft: RaftState, progress: Progress): void {
  switch (progress.state) {
    case "probe":
      progress.becomeReplicate();
      return;
    case "replicate":
      progress.inflights.freeTo(progress.match);
      return;
    case "snapshot":
      // Whether by the snapshot or despite it: the log reaches the member again.
      if (progress.match + 1 >= raft.log.firstIndex) progress.becomeReplicate();
  }
}

function handleHeartbeatResponse(raft: RaftState, message: HeartbeatResponseMessage): void {
  const progress = raft.tracker.get(message.from);
  if (progress === undefined) return;
  progress.recentActive = true;
  progress.resume();
  if (progress.match < raft.log.lastIndex || progress.state === "probe") {
    sendAppend(raft, progress, true);
  }
  const round = Number(message.context);
  if (round > progress.readRound) {
    progress.readRound = round;
    confirmReads(raft);
  }
}

/** Answers the reads whose round a quorum has confirmed. */
export function confirmReads(raft: RaftState): void {
  for (const read of raft.readOnly.confirm(raft.tracker.confirmedReadRound())) {
    answerRead(raft, read, read.index);
  }
}

/** A linearizable read: answered now, or when it is known that this leader still leads. */
export function readIndex(raft: RaftState, request: ReadRequest): void {
  const { readOnly, log } = raft;
  if (!raft.hasCommittedInTerm) readOnly.addEarly(request);
  else if (raft.tracker.isSingleton || hasLease(raft)) answerRead(raft, request, log.committed);
  else readOnly.add(request, log.committed);
}

/**
 * Lease reads (thesis §6.4.1): a quorum heard from this leader so lately that, even measured by
 * its own clock, it lets nobody else be elected. A hand-over ignores leases, so none is left.
 */
function hasLease(raft: RaftState): boolean {
  if (raft.config.readOnly !== "lease" || raft.hasOfferedLeadership) return false;
  const since = raft.readOnly.confirmedSince;
  // Both clocks are whole ticks; the one subtracted covers what rounding may hide.
  return since >= 0 && raft.leaderTicks < since + raft.config.electionTicks - 1;
}

function answerRead(raft: RaftState, request: ReadRequest, index: Index): void {
  const { from: to, context } = request;
  const { id: from, term } = raft;
  if (to === from) raft.readStates.push({ context, index });
  else raft.send({ type: "readIndexResponse", to, from, term, context, index });
}

/** Starts handing leadership to a voter; a transfer under way to somebody else is given up. */
export function transferLeader(raft: RaftState, transferee: NodeId): void {
  const progress = raft.tracker.get(transferee);
  if (progress === undefined || !raft.tracker.isVoter(transferee)) return;
  if (transferee === raft.id || transferee === raft.transferee) return;
  raft.electionElapsed = 0;
  raft.transferee = transferee;
  handOverWhenCaughtUp(raft, progress);
  if (progress.match < raft.log.lastIndex) sendAppend(raft, progress, true);
}

function handOverWhenCaughtUp(raft: RaftState, progress: Progress): void {
  if (progress.match !== raft.log.lastIndex) return;
  raft.hasOfferedLeadership = true;
  raft.send({ type: "timeoutNow", to: progress.id, from: raft.id, term: raft.term });
}

/** The host cannot reach the member: stop pipelining until it answers. */
export function reportUnreachable(raft: RaftState, id: NodeId): void {
  const progress = raft.tracker.get(id);
  if (progress?.state === "replicate") progress.becomeProbe();
}

/** The host has sent the snapshot, or given up. Appends wait for the member's next sign of life. */
export function reportSnapshot(raft: RaftState, id: NodeId, isOk: boolean): void {
  const progress = raft.tracker.get(id);
  if (progress?.state !== "snapshot") return;
  if (isOk) progress.becomeProbe();
  else progress.snapshotFailed();
  progress.pause();
}
