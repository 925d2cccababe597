/**
 * How much of the log a compaction leaves for followers: always a reserve for those a little behind,
 * and as much as a follower that is there still needs. Without the second, writes that go on while a
 * large state is being installed push the log past its end, and the follower is sent one snapshot after
 * another for ever.
 */
import type { Entry, Index, ProgressStatus } from "@etcd2/raft";

/** Bytes of entries in the reserve. */
const RESERVE_BYTES_MAX = 16 * 1024 * 1024;

/** Bytes of entries kept at most for a follower; one that needs more needs a snapshot. */
const HELD_BYTES_MAX = 256 * 1024 * 1024;

interface ReadableLog {
  firstIndex(): Index;
  entries(from: Index, to: Index, bytesMax: number): readonly Entry[];
}

export interface Reserve {
  readonly log: ReadableLog;
  readonly applied: Index;
  /** Entries in the reserve. */
  readonly catchUpEntries: number;
  /** Followers a link is up to; those that are gone are not waited for. */
  readonly followers: readonly Pick<ProgressStatus, "state" | "match" | "next">[];
}

/** First index in [from, applied] whose entries up to `applied` fit, or applied + 1. */
function firstWithin({ log, applied }: Reserve, from: Index, bytesMax: number): Index {
  const kept = log.entries(from, applied + 1, Number.MAX_SAFE_INTEGER);
  let bytes = 0;
  for (let at = kept.length - 1; at >= 0; at -= 1) {
    bytes += kept[at]?.data.length ?? 0;
    if (bytes > bytesMax) return Math.min(applied + 1, from + at + 1);
  }
  return from;
}

/** The first index a compaction must leave in the log. */
export function firstToKeep(reserve: Reserve): Index {
  const { log, applied, catchUpEntries, followers } = reserve;
  const first = log.firstIndex();
  const wanted = Math.min(applied + 1, Math.max(first, applied - catchUpEntries + 1));
  const usual = firstWithin(reserve, wanted, RESERVE_BYTES_MAX);
  const needed = followers
    // Towards a follower that keeps up, `next` runs ahead of what it has acknowledged.
    .map(({ state, match, next }) => (state === "replicate" ? match + 1 : next))
    .filter((index) => index >= first && index < usual);
  if (needed.length === 0) return usual;
  const lowest = Math.min(...needed);
  return firstWithin(reserve, lowest, HELD_BYTES_MAX) === lowest ? lowest : usual;
}
