/**
 * Elections, from the side of who stands: the pre-vote, the election, the count (paper §5.2,
 * thesis §9.6).
 */
import { followLeader } from "./follower.ts";
import { becomeLeader } from "./leader.ts";
import type { RaftState } from "./raft-state.ts";
import type { Message, VoteMessage, VoteResponseMessage } from "../model/types.ts";
import { NOBODY } from "../model/types.ts";

/** How an election is run: with a pre-vote, without, or without on the old leader's behalf. */
export type CampaignType = "preElection" | "election" | "transfer";

/** Starts an election unless this member leads, may not vote, or must apply a change first. */
export function campaign(
  raft: RaftState,
  type: CampaignType = raft.config.preVote ? "preElection" : "election",
): void {
  if (raft.role === "leader" || !raft.isPromotable || raft.hasUnappliedConfChange) return;
  startElection(raft, type);
}

/** Asks every voter for its vote; a pre-vote that is won turns into the election. */
function startElection(raft: RaftState, type: CampaignType): void {
  const isPreVote = type === "preElection";
  if (isPreVote) {
    raft.becomePreCandidate();
    raft.tracker.recordVote(raft.id, true);
  } else {
    raft.becomeCandidate();
    // The own vote counts once it is durable, like everybody's: as a message to itself.
    const { id: to, id: from, term } = raft;
    raft.send({ type: "voteResponse", to, from, term, reject: false });
  }
  const request: Omit<VoteMessage, "to"> = {
    type: isPreVote ? "preVote" : "vote",
    from: raft.id,
    term: isPreVote ? raft.term + 1 : raft.term,
    lastIndex: raft.log.lastIndex,
    lastTerm: raft.log.lastTerm,
    force: type === "transfer",
  };
  for (const { id: to } of raft.tracker.peers) {
    if (raft.tracker.isVoter(to)) raft.send({ ...request, to });
  }
  if (isPreVote) concludeElection(raft);
}

/** A message of the current term, neither a vote nor a request for one. */
export function stepCandidate(raft: RaftState, message: Message): void {
  switch (message.type) {
    case "append":
    case "heartbeat":
    case "snapshot":
      // Somebody else won this term.
      raft.becomeFollower(message.term, message.from);
      followLeader(raft, message);
      return;
    case "voteResponse":
      if (raft.role === "candidate") countVote(raft, message);
      return;
    case "preVoteResponse":
      if (raft.role === "preCandidate") countVote(raft, message);
      return;
    // There is no leader to pass these to; whoever sent them will ask again.
    case "propose":
    case "readIndex":
    case "readIndexResponse":
    case "transferLeader":
    case "timeoutNow":
    case "appendResponse":
    case "heartbeatResponse":
    case "vote":
    case "preVote":
  }
}

function countVote(raft: RaftState, message: VoteResponseMessage): void {
  // A granted pre-vote names the term it was for, and may come late.
  if (raft.role === "preCandidate" && !message.reject && message.term !== raft.term + 1) return;
  raft.tracker.recordVote(message.from, !message.reject);
  concludeElection(raft);
}

function concludeElection(raft: RaftState): void {
  const result = raft.tracker.voteResult();
  if (result === "pending") return;
  if (result === "lost") raft.becomeFollower(raft.term, NOBODY);
  else if (raft.role === "preCandidate") startElection(raft, "election");
  else becomeLeader(raft);
}
