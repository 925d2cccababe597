/**
 * Judges messages from outside before they are stepped. Every message here is well formed; what is
 * refused contradicts what this member knows for certain, such as its own committed log, and would
 * break an invariant or do harm that no correct member asks for. A refusal looks like the loss of
 * the message, so it never endangers safety.
 *
 * It guards against defects, mix-ups and forgeries that show. A member that lies consistently is
 * beyond raft.
 */
import type { RaftState } from "./raft-state.ts";
import type { AppendMessage, Entry, Index, Message, Term } from "../model/types.ts";
import { NOBODY } from "../model/types.ts";

/**
 * Elections a member may have missed. One a second for a hundred years stays below it; terms that
 * run away by a defect do not get far above it, and never to where numbers end.
 */
export const TERM_LEAP_MAX = 2 ** 32;

/** Why a message must not be stepped; undefined when it may. */
export function validateMessage(raft: RaftState, message: Message): string | undefined {
  if (message.term > raft.term + TERM_LEAP_MAX) {
    return `term ${message.term} cannot follow term ${raft.term}`;
  }
  switch (message.type) {
    case "append":
      return validateLeader(raft, message) ?? validateAppend(raft, message);
    case "heartbeat":
      return validateLeader(raft, message) ?? validateCommit(raft, message.term, message.commit);
    case "snapshot":
      return validateLeader(raft, message) ?? validateAgainstCommitted(raft, message);
    case "appendResponse":
      return !message.reject && message.term === raft.term && message.index > raft.log.lastIndex
        ? `it acknowledges entry ${message.index}, the log ends at ${raft.log.lastIndex}`
        : undefined;
    case "heartbeatResponse":
      return message.term === raft.term && Number(message.context) > raft.readOnly.round
        ? `it confirms read round ${message.context}, the last is ${raft.readOnly.round}`
        : undefined;
    case "readIndexResponse":
    case "timeoutNow":
      return validateLeader(raft, message);
    case "propose":
      return validateEntries(raft, message.entries);
    case "vote":
    case "preVote":
    case "voteResponse":
    case "preVoteResponse":
    case "readIndex":
    case "transferLeader":
      return undefined;
  }
}

/** An entry of this member's committed log. */
export interface CommittedEntry {
  readonly index: Index;
  readonly term: Term;
}

/**
 * The first committed entry of this member that a message of the leader of this term, or of a later
 * one, contradicts. If that leader says so indeed, and has committed its own, there are two
 * histories: one of them was made by members that forgot what they had promised.
 */
export function contradictedBy(raft: RaftState, message: Message): CommittedEntry | undefined {
  const { log } = raft;
  if (message.term < raft.term) return undefined;
  const contradicted = (index: Index, term: Term): boolean =>
    index <= log.committed && index >= log.firstIndex - 1 && log.termAt(index) !== term;
  if (message.type === "snapshot") {
    const { index, term } = message.snapshot;
    return contradicted(index, term) ? { index, term: log.termAt(index) } : undefined;
  }
  if (message.type !== "append") return undefined;
  const { entries, prevIndex, prevTerm } = message;
  if (contradicted(prevIndex, prevTerm)) return { index: prevIndex, term: log.termAt(prevIndex) };
  for (const { index, term } of entries) {
    if (index > log.committed) break;
    if (contradicted(index, term)) return { index, term: log.termAt(index) };
  }
  return undefined;
}

/** A term has one leader. */
function validateLeader(raft: RaftState, { from, term }: Message): string | undefined {
  if (term !== raft.term || raft.leader === NOBODY || raft.leader === from) return undefined;
  return `${raft.leader} leads term ${term}`;
}

/** Messages of earlier terms are answered, not obeyed; their numbers do not matter. */
function validateCommit(raft: RaftState, term: number, commit: number): string | undefined {
  if (term < raft.term || commit <= raft.log.lastIndex) return undefined;
  return `commit ${commit} is beyond the log's end, ${raft.log.lastIndex}: was the log lost?`;
}

function validateAppend(raft: RaftState, message: AppendMessage): string | undefined {
  if (message.term < raft.term) return undefined;
  return validateAgainstCommitted(raft, message) ?? validateEntries(raft, message.entries);
}

function validateAgainstCommitted(raft: RaftState, message: Message): string | undefined {
  const entry = contradictedBy(raft, message);
  if (entry === undefined) return undefined;
  return `entry ${entry.index} contradicts one committed up to ${raft.log.committed}`;
}

function validateEntries(raft: RaftState, entries: readonly Entry[]): string | undefined {
  const { validateEntry } = raft.config;
  if (validateEntry === undefined) return undefined;
  for (const entry of entries) {
    const reason = validateEntry(entry);
    if (reason !== undefined) return reason;
  }
  return undefined;
}
