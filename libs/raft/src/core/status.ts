/** What a member knows of itself and the cluster, for operators and metrics: a copy. */
import type { ProgressState } from "./membership/progress.ts";
import type { RaftState } from "./roles/raft-state.ts";
import type { ConfState, Index, NodeId, Role, Term } from "./model/types.ts";

/** A leader's view of one member, itself included. */
export interface ProgressStatus {
  readonly match: Index;
  readonly next: Index;
  readonly state: ProgressState;
  /** Heard from since the last quorum check. */
  readonly recentActive: boolean;
  readonly isLearner: boolean;
  /** Index of the snapshot being sent; 0 when none is. */
  readonly pendingSnapshot: Index;
}

/** The state of one member at one moment. */
export interface Status {
  readonly id: NodeId;
  readonly term: Term;
  readonly vote: NodeId;
  readonly commit: Index;
  readonly applied: Index;
  readonly role: Role;
  readonly leader: NodeId;
  /** Where leadership is being transferred to, or NOBODY. */
  readonly transferee: NodeId;
  readonly confState: ConfState;
  /** Empty unless this member leads: nobody else knows. */
  readonly progress: ReadonlyMap<NodeId, ProgressStatus>;
}

/** Copies what the state says now. */
export function statusOf(raft: RaftState): Status {
  const progress = new Map<NodeId, ProgressStatus>();
  if (raft.role === "leader") {
    for (const member of raft.tracker.all()) {
      const { match, next, state, recentActive, isLearner, pendingSnapshot } = member;
      const view = { match, next, state, recentActive, isLearner, pendingSnapshot };
      progress.set(member.id, view);
    }
  }
  return {
    id: raft.id,
    term: raft.term,
    vote: raft.vote,
    commit: raft.log.committed,
    applied: raft.log.applied,
    role: raft.role,
    leader: raft.leader,
    transferee: raft.transferee,
    confState: raft.tracker.conf,
    progress,
  };
}
