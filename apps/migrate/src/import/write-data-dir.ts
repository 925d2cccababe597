/**
 * What a migration writes for the member it makes: the store with the state machine at the applied
 * entry, and the log with identity, hard state and a compaction marker at that same entry. Started
 * with --force-new-cluster, or as the same member.
 */
import { memberLayout, NewStore, simpleConfState, writeLogStart } from "@etcd2/member-dir";
import type { StateMachine } from "@etcd2/store";

/** Memory for a bulk load: larger than a server's, since nothing else runs. */
const KV_OPTIONS = { memtableBytes: 64 << 20, blockCacheBytes: 32 << 20 };

const NO_VOTE = "0".repeat(16);

export interface DataDirFacts {
  /** 16 hexadecimal digits each. */
  readonly memberId: string;
  readonly clusterId: string;
  readonly voters: readonly string[];
  readonly learners: readonly string[];
  readonly raftIndex: number;
  readonly raftTerm: number;
  /** Newest term and vote of the old member. */
  readonly hardTerm: number;
  readonly vote: string;
}

/** The store of a migration's target, empty. */
export function createStore(memberDir: string): Promise<NewStore> {
  return NewStore.create(memberLayout(memberDir).storeDir, KV_OPTIONS);
}

/** Completes the store: membership, durability, and the name under which it is found. */
export function finishStore(
  store: NewStore,
  machine: StateMachine,
  { voters, learners }: DataDirFacts,
): Promise<void> {
  return store.finish(machine, simpleConfState(voters, learners));
}

/** Writes the log that goes with a finished store. */
export function writeLog(memberDir: string, facts: DataDirFacts): Promise<void> {
  const { memberId, clusterId, raftIndex, raftTerm, voters, learners } = facts;
  return writeLogStart(memberLayout(memberDir).walDir, {
    memberId,
    clusterId,
    index: raftIndex,
    term: raftTerm,
    confState: simpleConfState(voters, learners),
    hardState: {
      term: Math.max(facts.hardTerm, raftTerm),
      vote: facts.vote === NO_VOTE ? "" : facts.vote,
    },
  });
}
