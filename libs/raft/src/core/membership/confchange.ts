/**
 * Membership arithmetic (paper §6, thesis §4): from one ConfState and a change to the next.
 *
 * Pure and deterministic: lists come out sorted, so every member computes the same value.
 * Refuses to know who leads, what is replicated, and when a change may be proposed.
 */
import { invariant } from "../model/invariant.ts";
import type { ConfChange, ConfChangeSingle, ConfState, NodeId } from "../model/types.ts";

/** What a conf change entry without data means: leave the joint configuration. */
export const LEAVE_JOINT: ConfChange = {
  transition: "auto",
  changes: [],
  context: new Uint8Array(0),
};

/** True between the two halves of a joint change. */
export function isJoint(conf: ConfState): boolean {
  return conf.votersOutgoing.length > 0;
}

/** True when `id` has any part in the configuration. */
export function isMember(conf: ConfState, id: NodeId): boolean {
  return isVoter(conf, id) || conf.learners.includes(id) || conf.learnersNext.includes(id);
}

/** True when `id` votes in either half. */
export function isVoter(conf: ConfState, id: NodeId): boolean {
  return conf.voters.includes(id) || conf.votersOutgoing.includes(id);
}

/**
 * Why `change` cannot be made to `conf`; undefined when it can. A host asks before it accepts a
 * committed change, and a leader before it appends one.
 */
export function validateConfChange(conf: ConfState, change: ConfChange): string | undefined {
  if (leavesJoint(change)) {
    return isJoint(conf) ? undefined : "there is no joint configuration to leave";
  }
  if (isJoint(conf)) return "the cluster must leave its joint configuration first";
  if (change.changes.some((single) => single.nodeId === "")) return "a member id is empty";
  const next = withChanges(conf, change.changes);
  if (next.voters.length === 0) return "no voter would be left";
  if (conf.voters.length === 0 && usesJoint(change)) return "there is no voter to start from";
  return undefined;
}

/**
 * The configuration after `change`. One change switches at once; several, or an explicit wish,
 * go through a joint configuration in which both halves decide.
 */
export function changeConf(conf: ConfState, change: ConfChange): ConfState {
  const impossible = validateConfChange(conf, change);
  invariant(impossible === undefined, `impossible conf change: ${impossible ?? ""}`);
  if (leavesJoint(change)) return leaveJoint(conf);
  if (!usesJoint(change)) return withChanges(conf, change.changes);
  const joint = { ...conf, votersOutgoing: conf.voters };
  return {
    ...withChanges(joint, change.changes),
    autoLeave: change.transition !== "jointExplicit",
  };
}

function leavesJoint(change: ConfChange): boolean {
  return change.changes.length === 0;
}

function usesJoint(change: ConfChange): boolean {
  return change.transition !== "auto" || change.changes.length > 1;
}

function leaveJoint(conf: ConfState): ConfState {
  return {
    voters: conf.voters,
    learners: sorted([...conf.learners, ...conf.learnersNext]),
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
}

function withChanges(conf: ConfState, changes: readonly ConfChangeSingle[]): ConfState {
  const voters = new Set(conf.voters);
  const learners = new Set(conf.learners);
  const learnersNext = new Set(conf.learnersNext);
  for (const { type, nodeId } of changes) {
    if (type === "update") continue;
    voters.delete(nodeId);
    learners.delete(nodeId);
    learnersNext.delete(nodeId);
    if (type === "addVoter") voters.add(nodeId);
    // A voter of the outgoing half goes on voting there; it learns once the half is gone.
    else if (type === "addLearner") {
      (conf.votersOutgoing.includes(nodeId) ? learnersNext : learners).add(nodeId);
    }
  }
  return {
    voters: sorted(voters),
    learners: sorted(learners),
    votersOutgoing: conf.votersOutgoing,
    learnersNext: sorted(learnersNext),
    autoLeave: conf.autoLeave,
  };
}

function sorted(ids: Iterable<NodeId>): readonly NodeId[] {
  return [...ids].sort();
}
