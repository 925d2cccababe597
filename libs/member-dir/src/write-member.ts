/**
 * Writes a member as a whole, without its server: a store under a name that nobody finds before it
 * is complete, and a log that begins where the store ends.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { ConfState, HardState, NodeId } from "@etcd2/raft/wal";
import { Wal } from "@etcd2/raft/wal";
import type { AppliedEntry, StateMachine } from "@etcd2/store";
import { StoreDirectory } from "@etcd2/store";
import type { RocksKv } from "@etcd2/store/rocks";
import { confStateRow } from "./meta-rows.ts";

/** Memory of the engine while the store is written; absent values have the store's defaults. */
export interface NewStoreOptions {
  readonly memtableBytes?: number;
  readonly blockCacheBytes?: number;
}

/** A store being written into a member's directory. */
export class NewStore {
  readonly #directory: StoreDirectory;
  readonly #path: string;
  /** Empty at first. Whoever fails before `finish` closes it. */
  readonly kv: RocksKv;

  private constructor(directory: StoreDirectory, path: string, kv: RocksKv) {
    this.#directory = directory;
    this.#path = path;
    this.kv = kv;
  }

  /** @param storeDir need not exist. @throws StoreError when it cannot be made. */
  static async create(storeDir: string, options: NewStoreOptions = {}): Promise<NewStore> {
    mkdirSync(dirname(storeDir), { recursive: true, mode: 0o700 });
    const directory = new StoreDirectory(storeDir);
    const path = directory.next();
    // Programs that only look at a layout load no native code.
    const { RocksKv: Store } = await import("@etcd2/store/rocks");
    return new NewStore(directory, path, await Store.open(path, options));
  }

  /**
   * Completes the store: the last entries with the configuration, durability, and the name under
   * which it is found. Closes the machine, which was opened over `kv`.
   */
  async finish(
    machine: StateMachine,
    confState: ConfState,
    entries: readonly AppliedEntry[] = [],
  ): Promise<void> {
    machine.apply(entries, new Map([confStateRow(confState)]));
    machine.flushDurable();
    await machine.close();
    this.#directory.switchTo(this.#path);
  }
}

/** What a log without entries says of its member. */
export interface LogStart {
  readonly memberId: NodeId;
  readonly clusterId: NodeId;
  /** The last entry that the store has applied. */
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  /** Default: the term of that entry, and no vote. */
  readonly hardState?: Pick<HardState, "term" | "vote">;
}

/** Writes the log that goes with a finished store. @param walDir must hold no log. */
export async function writeLogStart(walDir: string, start: LogStart): Promise<void> {
  const { memberId, clusterId, index, term, confState } = start;
  const wal = await Wal.create(walDir, { metadata: { memberId, clusterId } });
  try {
    const { hardState = { term, vote: "" } } = start;
    await wal.installSnapshot({ index, term, confState }, { ...hardState, commit: index });
  } finally {
    await wal.close();
  }
}
