/**
 * Opens what a member keeps on disk, the state machine and the write-ahead log, and brings the
 * two to agreement after a crash. Knows the layout of the member directory and which of the two
 * comes first; knows nothing of clusters, sockets or flags.
 */
import type { Logger } from "@etcd2/observability";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { DataDirLayout } from "@etcd2/member-dir";
import {
  confStateIn,
  LOST_AND_FOUND,
  META_BOOTSTRAP,
  META_CONF_STATE,
  META_INSTALLED,
} from "@etcd2/member-dir";
import { decodeConfState, isLockName, Wal } from "@etcd2/raft";
import type { ConfState, HardState, LogStorage, NodeId, SnapshotMetadata } from "@etcd2/raft";
import { StateMachine, StoreDirectory, StoreError, SteadyClock } from "@etcd2/store";
import type { Kv } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import { MemberLocks } from "./member-locks.ts";
import { StartError } from "../base/start-error.ts";
import { messageOf } from "../base/message-of.ts";

/** Opens the ordered byte store in a directory, which is made unless it must exist. @throws StoreError */
export type OpenKv = (path: string, options: { readonly mustExist?: boolean }) => Promise<Kv>;

const openRocks: OpenKv = (path, options) => RocksKv.open(path, options);

export interface StorageOptions {
  readonly layout: DataDirLayout;
  readonly watchHistory: number;
  readonly onWalSync: (seconds: number) => void;
  readonly onSlowWalSync: (seconds: number) => void;
  /** Held already; the storage releases them when it is closed. Default: it takes them itself. */
  readonly locks?: MemberLocks | undefined;
  /** Opens the rows of a state in a directory. Default: RocksDB. */
  readonly openKv?: OpenKv;
  /** Something an operator should know, such as a repaired tail. */
  readonly log: Logger;
}

function openMachine(
  path: string,
  options: StorageOptions,
  { mustExist }: { readonly mustExist: boolean },
): Promise<StateMachine> {
  return (options.openKv ?? openRocks)(path, { mustExist }).then(
    async (kv) => {
      try {
        return await StateMachine.open({
          kv,
          historyMax: options.watchHistory,
          clock: SteadyClock.open(kv),
        });
      } catch (error) {
        await kv.close();
        throw error;
      }
    },
    (error: unknown) => {
      throw new StartError(describeOpenFailure(path, error), { cause: error });
    },
  );
}

function describeOpenFailure(path: string, error: unknown): string {
  const text = messageOf(error);
  if (error instanceof StoreError && error.code === "locked") {
    return `open wal error: file already locked (${path} is in use by another process)`;
  }
  const isFull = /No space left on device|ENOSPC/.test(text);
  const remedy = isFull
    ? "free some space on that disk and start again"
    : "restore a backup or rebuild this member from its peers";
  return `cannot open the store: ${text}; ${remedy}`;
}

/** Where the state in use is. @throws StartError */
function currentOf(directory: StoreDirectory): string {
  let cause: unknown;
  try {
    const path = directory.current();
    if (path !== undefined) return path;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    cause = error;
  }
  throw new StartError(
    `${join(directory.path, "CURRENT")} names no state: restore a backup or rebuild this member from its peers`,
    { cause },
  );
}

interface IndexedLog {
  firstIndex(): number;
  lastIndex(): number;
  term(index: number): number;
}

/** Whether the log goes on where the state machine stands. */
function fits({ appliedIndex, appliedTerm }: StateMachine, log: IndexedLog): boolean {
  if (appliedIndex < log.firstIndex() - 1 || appliedIndex > log.lastIndex()) return false;
  return appliedIndex === 0 || log.term(appliedIndex) === appliedTerm;
}

function describeMisfit(
  { walDir, storeDir }: DataDirLayout,
  { appliedIndex }: StateMachine,
  log: IndexedLog,
): string {
  const first = log.firstIndex();
  const isStoreBehind = appliedIndex < first - 1;
  return (
    `the log in ${walDir} (index ${first} to ${log.lastIndex()}) does not fit ${storeDir}, which has applied ` +
    `index ${appliedIndex}: a part of the ${isStoreBehind ? "store" : "log"} was lost; ` +
    "rebuild this member from its peers or restore a backup"
  );
}

/** Empties a directory, which may be a mount point. Our own lock is held and stays. */
function removeContent(path: string): void {
  if (!existsSync(path)) return;
  for (const name of readdirSync(path)) {
    if (isLockName(name) || name === LOST_AND_FOUND) continue;
    rmSync(join(path, name), { recursive: true, force: true });
  }
}

/**
 * A log without state beside it is what a crash in create() leaves: then nothing was ever written
 * to it. Any other is somebody's data.
 * @throws StartError
 */
async function discardUnusedLog({ walDir, storeDir }: DataDirLayout): Promise<void> {
  if (!Wal.exists(walDir)) return;
  // The lock stays with the caller: what is removed below must still be nobody else's.
  const { wal, hardState } = await Wal.open(walDir, { unlock: () => undefined });
  const isUnused = wal.log.lastIndex() === 0 && hardState.term === 0;
  await wal.close();
  if (!isUnused) {
    throw new StartError(
      `${walDir} holds the log of a member whose state is missing in ${storeDir}: restore a backup, or move the log away and rebuild this member`,
    );
  }
  removeContent(walDir);
}

/** A received state got its name, but nobody knows whether the disk will keep that: stop the member. */
export class TakeoverError extends Error {
  override readonly name = "TakeoverError";
}

export class MemberStorage {
  readonly layout: DataDirLayout;
  readonly wal: Wal;
  readonly memberId: NodeId;
  readonly clusterId: NodeId;
  readonly hardState: HardState;
  /** Called when another state machine is in use, before the old one is closed. */
  onReplaced: ((incoming: StateMachine, old: StateMachine) => Promise<void>) | undefined;
  readonly #directory: StoreDirectory;
  readonly #options: StorageOptions;
  readonly #locks: MemberLocks;
  #machine: StateMachine;

  private constructor(
    options: StorageOptions,
    locks: MemberLocks,
    directory: StoreDirectory,
    machine: StateMachine,
    opened: { wal: Wal; memberId: NodeId; clusterId: NodeId; hardState: HardState },
  ) {
    this.layout = options.layout;
    this.#options = options;
    this.#locks = locks;
    this.#directory = directory;
    this.#machine = machine;
    this.wal = opened.wal;
    this.memberId = opened.memberId;
    this.clusterId = opened.clusterId;
    this.hardState = opened.hardState;
  }

  /** Changes when a snapshot is installed. */
  get machine(): StateMachine {
    return this.#machine;
  }

  /** Membership as of the applied index. */
  get confState(): ConfState {
    return confStateIn(this.#machine);
  }

  /** Members given at bootstrap, while their log entries may be missing still. */
  get bootstrapDocument(): string | undefined {
    const bytes = this.#machine.readMeta(META_BOOTSTRAP);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString("utf8");
  }

  /** The read port of the raft core over log and state machine. */
  logStorage(hardState: HardState): LogStorage {
    const { log } = this.wal;
    return {
      initialState: () => ({ hardState, confState: this.confState }),
      firstIndex: () => log.firstIndex(),
      lastIndex: () => log.lastIndex(),
      term: (index) => log.term(index),
      entries: (lo, hi, bytesMax) => log.entries(lo, hi, bytesMax),
      snapshot: () => this.snapshotMetadata(),
    };
  }

  snapshotMetadata(): SnapshotMetadata {
    return {
      index: this.#machine.appliedIndex,
      term: this.#machine.appliedTerm,
      confState: this.confState,
    };
  }

  /**
   * Makes a new member's directories. A crash on the way leaves something that the next start
   * makes anew.
   */
  static async create(
    options: StorageOptions,
    ids: { memberId: NodeId; clusterId: NodeId },
    bootstrapDocument: string,
  ): Promise<MemberStorage> {
    const locks = options.locks ?? MemberLocks.forNew(options.layout);
    try {
      return await MemberStorage.#create(options, locks, ids, bootstrapDocument);
    } catch (error) {
      locks.release();
      throw error;
    }
  }

  static async #create(
    options: StorageOptions,
    locks: MemberLocks,
    ids: { memberId: NodeId; clusterId: NodeId },
    bootstrapDocument: string,
  ): Promise<MemberStorage> {
    const { layout } = options;
    await discardUnusedLog(layout);
    removeContent(layout.storeDir);
    const directory = new StoreDirectory(layout.storeDir);
    const path = directory.next();
    const machine = await openMachine(path, options, { mustExist: false });
    try {
      machine.apply([], new Map([[META_BOOTSTRAP, Buffer.from(bootstrapDocument, "utf8")]]));
      machine.flushDurable();
      const wal = await Wal.create(layout.walDir, {
        metadata: ids,
        onSync: options.onWalSync,
        onSlowSync: options.onSlowWalSync,
        unlock: locks.unlockWal,
      });
      // The last step: before it there is no member, whatever a crash leaves behind.
      directory.switchTo(path);
      const hardState = { term: 0, vote: "", commit: 0 };
      return new MemberStorage(options, locks, directory, machine, { wal, ...ids, hardState });
    } catch (error) {
      await machine.close();
      throw error;
    }
  }

  /** Opens an existing member. @throws StartError, FatalError */
  static async open(options: StorageOptions): Promise<MemberStorage> {
    const locks = options.locks ?? MemberLocks.forExisting(options.layout);
    try {
      return await MemberStorage.#open(options, locks);
    } catch (error) {
      locks.release();
      throw error;
    }
  }

  static async #open(options: StorageOptions, locks: MemberLocks): Promise<MemberStorage> {
    const { layout } = options;
    const directory = new StoreDirectory(layout.storeDir);
    const path = currentOf(directory);
    const machine = await openMachine(path, options, { mustExist: true });
    try {
      const storage = await MemberStorage.#openLog(options, locks, directory, machine);
      // Not before it is sure that the one in use is the right one.
      directory.removeOthers();
      return storage;
    } catch (error) {
      await machine.close();
      throw error;
    }
  }

  static async #openLog(
    options: StorageOptions,
    locks: MemberLocks,
    directory: StoreDirectory,
    machine: StateMachine,
  ): Promise<MemberStorage> {
    const { layout } = options;
    if (!Wal.exists(layout.walDir)) {
      throw new StartError(
        `no log in ${layout.walDir} although ${layout.storeDir} holds a member: ` +
          "was --wal-dir forgotten? Otherwise restore a backup or rebuild this member",
      );
    }
    const opened = await Wal.open(layout.walDir, {
      onSync: options.onWalSync,
      onSlowSync: options.onSlowWalSync,
      unlock: locks.unlockWal,
    });
    if (opened.repaired !== undefined) {
      const { file, offset, droppedBytes } = opened.repaired;
      options.log.warning(
        `repaired the torn tail of ${file}: cut ${droppedBytes} bytes at offset ${offset}`,
      );
    }
    const { wal } = opened;
    const confBytes = machine.readMeta(META_CONF_STATE);
    // A crash between the switch to an installed snapshot and the log's restart leaves a log that
    // ends before the state machine, or holds other entries there: the state machine is the newer
    // truth. Otherwise one of the two lost what it had: somebody cut it, or the disk did.
    if (!fits(machine, wal.log)) {
      const installed = Buffer.from(machine.readMeta(META_INSTALLED) ?? []).toString("utf8");
      if (confBytes === undefined || Number(installed) !== machine.appliedIndex) {
        await wal.close();
        throw new StartError(describeMisfit(layout, machine, wal.log));
      }
      await wal.installSnapshot({
        index: machine.appliedIndex,
        term: machine.appliedTerm,
        confState: decodeConfState(confBytes),
      });
    }
    if (machine.appliedIndex > 0 && confBytes === undefined) {
      await wal.close();
      throw new StartError(
        `${layout.storeDir} has lost who votes: rebuild this member from its peers or restore a backup`,
      );
    }
    const commit = Math.max(opened.hardState.commit, machine.appliedIndex);
    return new MemberStorage(options, locks, directory, machine, {
      wal,
      memberId: opened.metadata.memberId,
      clusterId: opened.metadata.clusterId,
      hardState: {
        ...opened.hardState,
        term: Math.max(opened.hardState.term, machine.appliedTerm),
        commit: Math.min(commit, wal.log.lastIndex()),
      },
    });
  }

  /** Opens the rows of a generation that a snapshot is written to. @throws StoreError */
  openGeneration(path: string): Promise<Kv> {
    return (this.#options.openKv ?? openRocks)(path, {});
  }

  /** A new generation for an incoming snapshot. */
  nextGeneration(): string {
    return this.#directory.next();
  }

  /**
   * Replaces the state machine by a complete generation; the raft loop must stand still. The old one
   * stays open until the new one has its name.
   * @throws TakeoverError when it cannot be told which one a restart would find; any other error means
   * that the old one is in use as before.
   */
  async switchTo(path: string): Promise<StateMachine> {
    const incoming = await openMachine(path, this.#options, { mustExist: true });
    try {
      if (incoming.readMeta(META_CONF_STATE) === undefined) {
        throw new StoreError("corrupt", "it does not say who votes");
      }
      // Says that the log may be behind this state, should a crash come before the log restarts.
      const index = Buffer.from(String(incoming.appliedIndex), "utf8");
      incoming.apply([], new Map([[META_INSTALLED, index]]));
      await incoming.prepareFlush();
      incoming.flushDurable();
      this.#directory.switchTo(path);
    } catch (error) {
      await incoming.close();
      if (this.#isNamed(path)) throw new TakeoverError(messageOf(error), { cause: error });
      throw error;
    }
    const old = this.#machine;
    this.#machine = incoming;
    // Other threads may read the old one until they have the new one.
    await this.onReplaced?.(incoming, old);
    try {
      await old.close();
      this.#directory.removeOthers();
    } catch (error) {
      // Nobody reads it any more, and the next start tries again.
      this.#options.log.warning(
        `the state before the snapshot could not be removed: ${messageOf(error)}`,
      );
    }
    return incoming;
  }

  /** Removes a generation that is not to be used, unless it is the one in use for all the disk tells. */
  discardGeneration(path: string): void {
    if (!this.#isNamed(path)) rmSync(path, { recursive: true, force: true });
  }

  /** Whether the generation is the one in use, or may be for all the disk tells. */
  #isNamed(path: string): boolean {
    try {
      return this.#directory.current() === path;
    } catch {
      return true;
    }
  }

  async close(): Promise<void> {
    await this.wal.close();
    await this.#machine.close();
    this.#locks.release();
  }
}
