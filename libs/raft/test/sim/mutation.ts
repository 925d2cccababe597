/**
 * Bugs planted around the core, to show that the simulator finds them. Each is what the members'
 * host would see if the core had it; the core itself stays as it is.
 */
import type { RawNode } from "../../src/core/raw-node.ts";
import type { HardState, Index, Message } from "../../src/core/model/types.ts";

export type Mutation =
  /** Votes are not written down. */
  | "forgetVote"
  /** Nothing is synced before it is acknowledged. */
  | "skipSync"
  /** A leader commits what a quorum holds, of whatever term (paper §5.4.2). */
  | "commitOldTerm"
  /** A leader forgets the hint of a follower that refused its entries, and tries the same again. */
  | "forgetHint"
  /** A leader answers reads without asking whether it leads still. */
  | "readWithoutQuorum"
  /** What a sync is to make durable is promised when the sync begins. */
  | "promiseEarly"
  /** An installed snapshot restarts the log before the state it stands for is durable. */
  | "installLogFirst"
  /** What was lost with a leader counts as handed to the term after it, whichever leader gets it. */
  | "repeatByAppliedTerm"
  /** Members that read by lease are paused all the same. */
  | "pauseLeases";

export const MUTATIONS: readonly Mutation[] = [
  "forgetVote",
  "skipSync",
  "commitOldTerm",
  "forgetHint",
  "readWithoutQuorum",
  "promiseEarly",
  "installLogFirst",
  "repeatByAppliedTerm",
  "pauseLeases",
];

/** What is written of a hard state. */
export function mutateHardState(
  mutation: Mutation | undefined,
  hardState: HardState | undefined,
): HardState | undefined {
  if (mutation !== "forgetVote" || hardState === undefined) return hardState;
  return { ...hardState, vote: "" };
}

/** What is stepped of a message that arrived; undefined when nothing is. */
export function mutateArrival(
  mutation: Mutation | undefined,
  message: Message,
): Message | undefined {
  const isRefusal = message.type === "appendResponse" && message.reject;
  return mutation === "forgetHint" && isRefusal ? undefined : message;
}

/** Up to where a leader believes that its log is committed. */
export function mutateCommit(mutation: Mutation | undefined, raw: RawNode): Index {
  if (mutation !== "commitOldTerm" || raw.role !== "leader") return 0;
  const { confState, progress } = raw.status();
  // The planted rule is about one configuration; two of them are not what it gets wrong.
  if (confState.votersOutgoing.length > 0) return 0;
  const matches = confState.voters.map((id) => progress.get(id)?.match ?? 0);
  matches.sort((a, b) => b - a);
  return matches[Math.floor(matches.length / 2)] ?? 0;
}
