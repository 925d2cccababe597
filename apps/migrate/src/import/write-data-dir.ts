/**
 * The layout of this project's own data directory, as a migration writes it: member/store with the
 * state machine at the applied entry, member/wal with identity, hard state and a compaction marker
 * at that same entry. Started with --force-new-cluster, or as the same member.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { ConfState } from "@etcd2/raft/wal";
import { encodeConfState, Wal } from "@etcd2/raft/wal";
import type { StateMachine } from "@etcd2/store";
import { StoreDirectory } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";

/** The row of the state machine's host space where the server keeps the membership. */
const META_CONF_STATE = "conf-state";

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

/** A store being written into a member directory. */
export class StoreFolder {
  readonly #directory: StoreDirectory;
  readonly #path: string;
  readonly kv: RocksKv;

  private constructor(directory: StoreDirectory, path: string, kv: RocksKv) {
    this.#directory = directory;
    this.#path = path;
    this.kv = kv;
  }

  static async create(memberDir: string): Promise<StoreFolder> {
    mkdirSync(memberDir, { recursive: true, mode: 0o700 });
    const directory = new StoreDirectory(join(memberDir, "store"));
    const path = directory.next();
    return new StoreFolder(directory, path, await RocksKv.open(path, KV_OPTIONS));
  }

  /** Completes the store: membership, durability, and the name under which it is found. */
  async finish(machine: StateMachine, facts: DataDirFacts): Promise<void> {
    const bytes = encodeConfState(confStateOf(facts));
    machine.apply([], new Map([[META_CONF_STATE, bytes]]));
    machine.flushDurable();
    await machine.close();
    this.#directory.switchTo(this.#path);
  }
}

/** Writes the log that goes with a finished store. */
export async function writeLog(memberDir: string, facts: DataDirFacts): Promise<void> {
  const { memberId, clusterId, raftIndex, raftTerm } = facts;
  const wal = await Wal.create(join(memberDir, "wal"), { metadata: { memberId, clusterId } });
  try {
    const hardState = {
      term: Math.max(facts.hardTerm, raftTerm),
      vote: facts.vote === NO_VOTE ? "" : facts.vote,
      commit: raftIndex,
    };
    const snapshot = { index: raftIndex, term: raftTerm, confState: confStateOf(facts) };
    await wal.installSnapshot(snapshot, hardState);
  } finally {
    await wal.close();
  }
}

function confStateOf({ voters, learners }: DataDirFacts): ConfState {
  return { voters, learners, votersOutgoing: [], learnersNext: [], autoLeave: false };
}
