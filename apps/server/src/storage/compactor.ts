/**
 * Keeps the log short: once enough has been applied, makes the state machine durable and lets the
 * log forget what lies before, less a reserve for followers that lag. This is all that is left of
 * "taking a snapshot": no tree is ever serialised.
 */
import type { Logger } from "@etcd2/observability";
import { RaftError } from "@etcd2/raft";
import type { NodeId, RaftNode, Wal } from "@etcd2/raft";
import { firstToKeep } from "./log-reserve.ts";
import type { MemberStorage } from "./member-storage.ts";

/** The log is compacted when it has grown by this much, however few the entries. */
const LOG_BYTES_MAX = 64 * 1024 * 1024;

export interface CompactorOptions {
  readonly storage: MemberStorage;
  readonly node: RaftNode;
  /** Entries applied since the last compaction that trigger the next. */
  readonly snapshotCount: number;
  /** Entries kept behind the applied index for followers that are a little behind. */
  readonly catchUpEntries: number;
  /** A link to the member is up. */
  readonly isConnected: (id: NodeId) => boolean;
  readonly log: Logger;
  /** Seconds that making the state machine durable took, and the compaction as a whole. */
  readonly onCompacted: (flushSeconds: number, totalSeconds: number) => void;
  readonly onFatal: (error: Error) => void;
}

export class Compactor {
  readonly #options: CompactorOptions;
  readonly #wal: Wal;
  #lastIndex: number;
  #running = false;
  /** Bytes of entries the last compaction left. */
  #bytesLeft = 0;

  constructor(options: CompactorOptions) {
    this.#options = options;
    this.#wal = options.storage.wal;
    this.#lastIndex = Math.max(0, this.#wal.log.firstIndex() - 1);
  }

  /** Called after entries were applied; cheap unless a compaction is due. */
  afterApply(): void {
    if (this.#running) return;
    const applied = this.#options.storage.machine.appliedIndex;
    const { log } = this.#wal;
    const due =
      applied - this.#lastIndex > this.#options.snapshotCount ||
      log.bytes - this.#bytesLeft > LOG_BYTES_MAX;
    if (!due || applied <= this.#lastIndex) return;
    this.#running = true;
    this.#prepareAndCompact()
      .catch((error: unknown) => {
        // A node that is closing needs no compaction; everything else is a failing disk.
        if (error instanceof RaftError && error.code === "stopped") return;
        this.#options.onFatal(error instanceof Error ? error : new Error(String(error)));
      })
      .finally(() => {
        this.#running = false;
      });
  }

  /** Most of the sync happens off this thread, before the loop stands still. */
  async #prepareAndCompact(): Promise<void> {
    const { storage, node } = this.#options;
    const { machine } = storage;
    try {
      await machine.prepareFlush();
    } catch (error) {
      // A state machine that a received snapshot replaces is closed, and then its folder is gone.
      if (machine !== storage.machine) return;
      throw error;
    }
    await node.exclusively(() => this.#compact());
  }

  async #compact(): Promise<void> {
    const { storage, node, catchUpEntries, isConnected } = this.#options;
    const metadata = storage.snapshotMetadata();
    this.#options.log.info(
      `start to snapshot (applied: ${metadata.index}, lastsnap: ${this.#lastIndex})`,
    );
    const startedAt = performance.now();
    storage.machine.flushDurable();
    const flushedAt = performance.now();
    const followers = [...node.status().progress]
      .filter(([id]) => id !== storage.memberId && isConnected(id))
      .map(([, progress]) => progress);
    const { log } = this.#wal;
    const keepFrom = firstToKeep({ log, applied: metadata.index, catchUpEntries, followers });
    await this.#wal.compact(metadata, keepFrom);
    this.#lastIndex = metadata.index;
    this.#bytesLeft = log.bytes;
    this.#options.onCompacted(
      (flushedAt - startedAt) / 1000,
      (performance.now() - startedAt) / 1000,
    );
    this.#options.log.info(`saved snapshot at index ${metadata.index}`);
    this.#options.log.info(`compacted raft log at ${keepFrom - 1}`);
  }
}
