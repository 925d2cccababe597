/**
 * What a follower does: take entries, heartbeats and snapshots from the leader of its term, and
 * pass on what only a leader can decide (paper §5.2, §5.3, §7).
 */
import type { RaftState } from "./raft-state.ts";
import { isMember } from "../membership/confchange.ts";
import type {
  AppendMessage,
  Entry,
  HeartbeatMessage,
  Index,
  Message,
  NodeId,
  SnapshotMessage,
} from "../model/types.ts";
import { NOBODY } from "../model/types.ts";

/** A message of the current term, neither a vote nor a request for one. */
export function stepFollower(raft: RaftState, message: Message): void {
  switch (message.type) {
    case "append":
    case "heartbeat":
    case "snapshot":
      raft.heardFromLeader(message.from);
      followLeader(raft, message);
      return;
    case "transferLeader":
      if (message.from !== raft.leader) forwardTransfer(raft, message.transferee);
      return;
    case "readIndexResponse":
      raft.readStates.push({ context: message.context, index: message.index });
      return;
    // Requests to a leader of this term that stepped down, answers to roles past, and elections,
    // which raft.ts begins.
    case "timeoutNow":
    case "propose":
    case "readIndex":
    case "appendResponse":
    case "heartbeatResponse":
    case "vote":
    case "preVote":
    case "voteResponse":
    case "preVoteResponse":
  }
}

/** Does what the leader of this term asks for. */
export function followLeader(
  raft: RaftState,
  message: AppendMessage | HeartbeatMessage | SnapshotMessage,
): void {
  switch (message.type) {
    case "append":
      handleAppend(raft, message);
      return;
    case "heartbeat": {
      raft.log.commitTo(message.commit);
      const { from: to, context } = message;
      raft.send({ type: "heartbeatResponse", to, from: raft.id, term: raft.term, context });
      return;
    }
    case "snapshot":
      handleSnapshot(raft, message);
  }
}

/**
 * The message names the term it is meant for: a later leader drops it, so a proposer that has seen
 * an entry of a later term applied, and not its own, may safely propose again.
 * @returns false when no leader is known.
 */
export function forwardProposal(raft: RaftState, entries: readonly Entry[]): boolean {
  const { leader: to, id: from, term } = raft;
  if (to === NOBODY) return false;
  raft.send({ type: "propose", to, from, term, entries });
  return true;
}

/** Passes a request for a transfer on to the leader; lost when there is none. */
export function forwardTransfer(raft: RaftState, transferee: NodeId): void {
  const { leader: to, id: from, term } = raft;
  if (to !== NOBODY) raft.send({ type: "transferLeader", to, from, term, transferee });
}

/** Nothing is forwarded without a leader: the reader asks again. */
export function forwardRead(raft: RaftState, context: string): void {
  const { leader: to, id: from } = raft;
  if (to !== NOBODY) raft.send({ type: "readIndex", to, from, term: 0, context });
}

function handleAppend(raft: RaftState, message: AppendMessage): void {
  const { from: to, prevIndex: index, prevTerm, entries } = message;
  if (index < raft.log.firstIndex - 1) {
    // What is compacted was committed, and everything committed agrees with every leader.
    accept(raft, to, raft.log.committed);
    return;
  }
  const last = raft.log.appendAfter({ index, term: prevTerm }, entries);
  if (last >= 0) {
    raft.log.commitTo(Math.min(message.commit, last));
    accept(raft, to, last);
    return;
  }
  // Nothing above the hint with a term above prevTerm can agree with the leader (paper §5.3).
  const hint = raft.log.lastAtMost(index, prevTerm);
  raft.send({
    type: "appendResponse",
    to,
    from: raft.id,
    term: raft.term,
    index,
    reject: true,
    rejectHint: hint.index,
    rejectTerm: hint.term,
  });
}

function accept(raft: RaftState, to: NodeId, index: Index): void {
  // What a later leader counts on is part of the log again.
  if (raft.removedAt > 0) raft.removedAt = Math.max(raft.removedAt, index);
  raft.send({
    type: "appendResponse",
    to,
    from: raft.id,
    term: raft.term,
    index,
    reject: false,
    rejectHint: 0,
    rejectTerm: 0,
  });
}

/**
 * True when the snapshot tells this member more than it has applied, and is meant for it. Not when
 * the log is about to reach it: what lies between is in the host's hands to be made durable.
 */
export function wantsSnapshot(raft: RaftState, message: SnapshotMessage): boolean {
  const { index, term, confState } = message.snapshot;
  const { log } = raft;
  if (message.term < raft.term || !isMember(confState, raft.id)) return false;
  if (index > log.stableIndex && log.hasEntry(index, term)) return false;
  return index > (log.pendingSnapshot?.index ?? log.applied);
}

function handleSnapshot(raft: RaftState, message: SnapshotMessage): void {
  const { snapshot, from } = message;
  if (wantsSnapshot(raft, message)) {
    if (raft.log.hasEntry(snapshot.index, snapshot.term)) raft.skipTo(snapshot);
    else raft.restore(snapshot);
  }
  accept(raft, from, raft.log.committed);
}
