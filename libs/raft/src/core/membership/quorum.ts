/**
 * Quorum arithmetic: what a majority, or two majorities in a joint configuration, has decided.
 *
 * Pure functions over plain numbers and booleans, one per voter. Knows neither members nor
 * messages; tracker.ts collects the arguments.
 */
import type { Index } from "../model/types.ts";

/** What a count of votes has come to. */
export type VoteResult = "won" | "lost" | "pending";

/** Voters that must agree so that any two groups of this size overlap. */
export function majoritySize(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * Highest index that a majority has reached (paper §5.3), given each voter's. Infinity without
 * voters, so that the empty half of a joint configuration does not decide anything.
 */
export function majorityIndex(reached: readonly Index[]): Index {
  if (reached.length === 0) return Infinity;
  const needed = majoritySize(reached.length);
  let best = 0;
  // The answer is one of the given indexes. Quadratic, but without sorting or allocating:
  // configurations are small and this runs for every acknowledgement.
  for (const candidate of reached) {
    if (candidate <= best) continue;
    let count = 0;
    for (const index of reached) if (index >= candidate) count += 1;
    if (count >= needed) best = candidate;
  }
  return best;
}

/** Both halves of a joint configuration must have reached the index (thesis §4.3). */
export function jointIndex(incoming: readonly Index[], outgoing: readonly Index[]): Index {
  return Math.min(majorityIndex(incoming), majorityIndex(outgoing));
}

/** Outcome of an election, one vote per voter; undefined while a voter has not answered. */
export function majorityVote(votes: readonly (boolean | undefined)[]): VoteResult {
  if (votes.length === 0) return "won";
  const needed = majoritySize(votes.length);
  let granted = 0;
  let missing = 0;
  for (const vote of votes) {
    if (vote === true) granted += 1;
    else if (vote === undefined) missing += 1;
  }
  if (granted >= needed) return "won";
  return granted + missing >= needed ? "pending" : "lost";
}

/** A joint configuration elects only with both majorities, and one lost half decides. */
export function jointVote(
  incoming: readonly (boolean | undefined)[],
  outgoing: readonly (boolean | undefined)[],
): VoteResult {
  const a = majorityVote(incoming);
  const b = majorityVote(outgoing);
  if (a === b) return a;
  return a === "lost" || b === "lost" ? "lost" : "pending";
}
