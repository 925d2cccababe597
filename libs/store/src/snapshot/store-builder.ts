/**
 * Writes a whole store from given parts, without log or commands: for snapshots that arrive and for
 * migration. Checks that the parts make a tree. Until finish() the kv holds no usable store.
 */
import { ByteWriter } from "../encoding/bytes.ts";
import type { ByteString } from "../model/byte-string.ts";
import { StoreError } from "../model/errors.ts";
import type { StoreEvent } from "../model/event.ts";
import { writeEventRecord } from "../encoding/event-record.ts";
import { PREFIX, hostKey, indexKey, nodeKeyView, ttlKey } from "../encoding/keyspace.ts";
import type { Kv, KvBatch } from "../kv/kv.ts";
import { LiveBytes } from "../nodes/live-bytes.ts";
import { writeNodeRecord } from "../encoding/node-record.ts";
import type { StoreStats } from "../model/ports.ts";
import { writeSteadyTime } from "../clock/steady-clock.ts";
import type { StoreClock } from "../clock/store-clock.ts";
import { isEmptyKv, writeFormat, writeState } from "../encoding/state-row.ts";
import { RemovedNames } from "../tree/recorded-event.ts";
import { emptyStats } from "../tree/store-stats.ts";
import { TreeNode, isRoot, parentPath } from "../tree/tree-node.ts";

/** A batch is written when it holds this many bytes. */
const BATCH_BYTES_MAX = 1 << 20;
const HISTORY_ROW_BYTES_MAX = 64 << 10;
const EMPTY = Buffer.alloc(0);
const UNKNOWN_NAMES = new RemovedNames(undefined);

/** A node to be written, under its own indexes. */
export interface BuilderNode {
  /** Store path with namespace. Directories come before what they hold; "/0" and "/1" exist. */
  readonly path: ByteString;
  readonly dir: boolean;
  /** "" for directories. */
  readonly value: ByteString;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
  /** Unix milliseconds; undefined is permanent. */
  readonly expirationMs: number | undefined;
  /** Life left; counted from expirationMs and the wall clock when undefined. */
  readonly ttlMs?: number | undefined;
}

/** What completes a store. */
export interface BuilderEnd {
  /** Last log entry that the store stands for. */
  readonly raftIndex: number;
  readonly raftTerm: number;
  readonly etcdIndex: number;
  readonly stats?: StoreStats;
}

/** Fills an empty kv with nodes and events from elsewhere; finish() makes it a store. */
export class StoreBuilder {
  readonly #kv: Kv;
  readonly #wallMs: number;
  readonly #steadyMs: number;
  readonly #writer = new ByteWriter(4096);
  readonly #events = new ByteWriter(HISTORY_ROW_BYTES_MAX);
  readonly #directories = new Set<ByteString>();
  #batch: KvBatch;
  #batchBytes = 0;
  #nodeCount = 0;
  #historyFirst: number | undefined;
  #historyLast = 0;
  #historyBytes = 0;
  readonly #live = new LiveBytes({ bytes: 0, isExact: true });

  /** @throws StoreError notEmpty. */
  constructor(kv: Kv, clock: StoreClock) {
    if (!isEmptyKv(kv)) throw new StoreError("notEmpty", "the store to write is not empty");
    this.#kv = kv;
    this.#batch = kv.batch();
    this.#wallMs = Math.floor(clock.wallMs());
    this.#steadyMs = Math.floor(clock.steadyMs());
  }

  get nodeCount(): number {
    return this.#nodeCount;
  }

  /** @throws StoreError corrupt when its directory was not added before. */
  addNode(node: BuilderNode): void {
    const { path, dir, expirationMs } = node;
    const parent = parentPath(path);
    if (isRoot(path) || !path.startsWith("/") || path.endsWith("/") || path.includes("//")) {
      throw new StoreError("corrupt", `a node has the impossible path ${path}`);
    }
    if (!isRoot(parent) && !this.#directories.has(parent)) {
      throw new StoreError("corrupt", `the node ${path} has no directory`);
    }
    if (dir) this.#directories.add(path);
    const ttlMs = node.ttlMs ?? (expirationMs === undefined ? 0 : expirationMs - this.#wallMs);
    const deadlineMs = expirationMs === undefined ? undefined : Math.ceil(this.#steadyMs + ttlMs);
    const { createdIndex, modifiedIndex } = node;
    this.#writer.length = 0;
    writeNodeRecord(
      this.#writer,
      new TreeNode(
        dir,
        dir ? "" : node.value,
        createdIndex,
        modifiedIndex,
        expirationMs,
        deadlineMs,
      ),
    );
    this.#put(nodeKeyView(path), this.#writer.view());
    if (deadlineMs !== undefined) this.#put(ttlKey(deadlineMs, path), EMPTY);
    this.#nodeCount += 1;
    this.#live.added(path, dir ? 0 : node.value.length);
  }

  /** Adds an event to the history; each index follows the one before. */
  addEvent(event: StoreEvent): void {
    this.#follow(event.etcdIndex, event.etcdIndex);
    const row = this.#events;
    const start = row.length;
    row.uint32(0);
    // Which names went with a removed directory is not known here: all count as having existed.
    const wholeDirectory = event.prevNode?.dir === true && event.node.value === undefined;
    const removing = event.action === "delete" || event.action === "expire";
    const removed = wholeDirectory && removing ? UNKNOWN_NAMES : undefined;
    writeEventRecord(row, { ...event, removed });
    row.bytes.writeUInt32BE(row.length - start - 4, start);
    if (row.length >= HISTORY_ROW_BYTES_MAX) this.#endHistoryRow();
  }

  /** Adds a row of events as another store wrote it: `first` to `last` are in it. */
  addHistoryRow(first: number, last: number, row: Uint8Array): void {
    this.#follow(first, last);
    this.#historyBytes += row.length;
    this.#put(indexKey(PREFIX.history, last), row);
  }

  /** Adds the names removed with a directory by the event at `etcdIndex`, as another store had it. */
  addRemovedRow(etcdIndex: number, row: Uint8Array): void {
    this.#historyBytes += row.length;
    this.#put(indexKey(PREFIX.removedNames, etcdIndex), row);
  }

  /** Sets a value that the host reads with readMeta(). */
  setMeta(name: string, value: Uint8Array): void {
    this.#put(hostKey(name), value);
  }

  /** Makes it a store, durably. @throws StoreError corrupt when the history does not end there. */
  finish(end: BuilderEnd): void {
    this.#endHistoryRow();
    const { etcdIndex } = end;
    if (this.#historyFirst !== undefined && this.#historyLast !== etcdIndex) {
      const last = this.#historyLast;
      throw new StoreError("corrupt", `the history ends at ${last}, the store at ${etcdIndex}`);
    }
    writeFormat(this.#batch);
    writeSteadyTime(this.#writer, this.#batch, this.#steadyMs);
    writeState(this.#writer, this.#batch, {
      raftIndex: end.raftIndex,
      raftTerm: end.raftTerm,
      etcdIndex,
      history: {
        firstIndex: this.#historyFirst ?? etcdIndex + 1,
        lastIndex: etcdIndex,
        bytes: this.#historyBytes,
      },
      nodeCount: this.#nodeCount,
      stats: end.stats ?? emptyStats(),
      live: this.#live.size,
    });
    this.#batch.write({ sync: true });
  }

  #follow(first: number, last: number): void {
    if (this.#historyFirst === undefined) this.#historyFirst = first;
    else if (first !== this.#historyLast + 1) {
      throw new StoreError("corrupt", `index ${first} follows ${this.#historyLast} in the history`);
    }
    this.#historyLast = last;
  }

  #endHistoryRow(): void {
    if (this.#events.length === 0) return;
    this.#historyBytes += this.#events.length;
    this.#put(indexKey(PREFIX.history, this.#historyLast), this.#events.view());
    this.#events.reset();
  }

  #put(key: Uint8Array, value: Uint8Array): void {
    this.#batch.put(key, value);
    this.#batchBytes += key.length + value.length;
    if (this.#batchBytes < BATCH_BYTES_MAX) return;
    this.#batch.write({ sync: false });
    this.#batch = this.#kv.batch();
    this.#batchBytes = 0;
  }
}
