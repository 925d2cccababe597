/**
 * The nodes of the tree over the kv: changes of the batch being built, a cache, and the rows below,
 * in this order. Owns node rows, their TTL rows and the removal of subtrees; it does not know what
 * the operations mean.
 */
import { ByteReader, ByteWriter } from "../encoding/bytes.ts";
import type { ByteString } from "../model/byte-string.ts";
import type { ExpiredNode, LifeLeft } from "../model/command.ts";
import {
  PREFIX,
  descendantsRange,
  indexKey,
  indexOfKey,
  nodeKey,
  nodeKeyView,
  pathOfKey,
  pathOfTtlKey,
  prefixRange,
  ttlKey,
} from "../encoding/keyspace.ts";
import type { Kv, KvBatch } from "../kv/kv.ts";
import { LiveBytes } from "./live-bytes.ts";
import { NodeCache } from "./node-cache.ts";
import {
  readCreatedIndex,
  readNodeRecord,
  readValueLength,
  writeNodeRecord,
} from "../encoding/node-record.ts";
import { PathSet } from "./path-set.ts";
import type { StoreState } from "../encoding/state-row.ts";
import { type CompletedSweep, SubtreeSweeps } from "./subtree-sweeps.ts";
import { SweptNames } from "./swept-names.ts";
import type { NodeSpace } from "../tree/node-space.ts";
import { NO_NAMES, RemovedNames } from "../tree/recorded-event.ts";
import type { TreeNode } from "../tree/tree-node.ts";

/** Where nodes lie, and the bounds of what is kept in memory. */
export interface NodeTableOptions {
  readonly kv: Kv;
  readonly cacheBytes: number;
  /** A subtree of at most this many rows, and not many bytes, goes with the command that removes it. */
  readonly directRemovalMax: number;
  /** Names kept of a removed subtree; of a larger one every name counts as having existed. */
  readonly removedNamesMax: number;
}

/** Rows of the index of deadlines that one look for due nodes goes through at least. */
const DUE_ROWS_MAX = 512;

const SCAN_ROWS = 1024;

/** Bytes of the rows of a subtree that goes with the command; they are read, to be counted. */
const DIRECT_REMOVAL_BYTES_MAX = 256 << 10;
const EMPTY = Buffer.alloc(0);

/** Where a walk over the nodes with a deadline goes on. */
export type LivesCursor = Uint8Array;

/** Some of the lives left, and where to go on. */
export interface LivesPage {
  readonly lives: readonly LifeLeft[];
  /** undefined at the end. */
  readonly next: LivesCursor | undefined;
}

interface TtlChange {
  readonly deadlineMs: number;
  readonly path: ByteString;
  readonly present: boolean;
}

/** The nodes of a store: changes gather in memory until flush() puts them into a batch. */
export class NodeTable implements NodeSpace {
  readonly sweeps = new SubtreeSweeps();
  readonly cache: NodeCache;
  /** Bytes of nodes, those of pending sweeps included. Local. */
  readonly live: LiveBytes;
  /** Number of nodes, those of pending sweeps included. Local. */
  nodeCount: number;
  readonly #options: NodeTableOptions;
  readonly #kv: Kv;
  /** Changes since the last flush; null is removed. */
  #changes = new Map<ByteString, TreeNode | null>();
  /** Paths of nodes among the changes, once something asked what lies below one. */
  #changedPaths: PathSet | undefined;
  #ttlChanges: TtlChange[] = [];
  /** No TTL row has a deadline before this; -1 when not known. */
  #deadlineMin = -1;
  readonly #writer = new ByteWriter(4096);
  readonly #reader = new ByteReader();

  constructor(
    options: NodeTableOptions,
    { nodeCount, live }: Pick<StoreState, "nodeCount" | "live">,
  ) {
    this.#options = options;
    this.#kv = options.kv;
    this.cache = new NodeCache(options.cacheBytes);
    this.nodeCount = nodeCount;
    this.live = new LiveBytes(live);
    this.sweeps.load(options.kv);
  }

  /** Rows that the next flush will write. */
  get changeCount(): number {
    return this.#changes.size;
  }

  /** The next flush will write deadlines. */
  get changesDeadlines(): boolean {
    return this.#ttlChanges.length > 0;
  }

  get(path: ByteString): TreeNode | undefined {
    if (this.#changes.size > 0) {
      const changed = this.#changes.get(path);
      if (changed !== undefined) return changed ?? undefined;
    }
    const cached = this.cache.get(path);
    if (cached === null) return undefined;
    if (cached !== undefined) {
      return this.sweeps.isSwept(path, cached.createdIndex) ? undefined : cached;
    }
    const node = this.#decode(path, this.#kv.get(nodeKeyView(path)));
    this.cache.set(path, node);
    return node;
  }

  /** Brings nodes into the cache with one call to the store below. */
  preload(paths: readonly ByteString[]): void {
    const missing = paths.filter((path) => this.cache.get(path) === undefined);
    if (missing.length < 2) return;
    const values = this.#kv.getMany(missing.map(nodeKey));
    for (const [i, path] of missing.entries()) this.cache.set(path, this.#decode(path, values[i]));
  }

  put(path: ByteString, node: TreeNode, previous: TreeNode | undefined): void {
    this.live.added(path, node.value.length);
    if (previous === undefined) {
      if (!this.#takesSweptRow(path)) this.nodeCount += 1;
      if (this.sweeps.pending) this.sweeps.noteMade(path);
    } else {
      this.live.removed(path, previous.value.length);
      if (previous.deadlineMs !== undefined) {
        this.#ttlChanges.push({ deadlineMs: previous.deadlineMs, path, present: false });
      }
    }
    if (node.deadlineMs !== undefined) {
      this.#ttlChanges.push({ deadlineMs: node.deadlineMs, path, present: true });
      this.#deadlineMin = Math.min(this.#deadlineMin, Math.max(0, node.deadlineMs));
    }
    this.#changes.set(path, node);
    this.#changedPaths?.add(path);
  }

  remove(path: ByteString, previous: TreeNode): void {
    this.nodeCount -= 1;
    this.live.removed(path, previous.value.length);
    if (previous.deadlineMs !== undefined) {
      this.#ttlChanges.push({ deadlineMs: previous.deadlineMs, path, present: false });
    }
    this.#changes.set(path, null);
    this.#changedPaths?.delete(path);
    if (this.sweeps.pending) this.sweeps.noteRemoved(path);
  }

  hasChildren(path: ByteString): boolean {
    for (const changed of this.#paths().below(path)) {
      if ((this.#changes.get(changed) ?? null) !== null) return true;
    }
    const made = this.sweeps.hasMadeBelow(path);
    if (made !== undefined) return made;
    let found = false;
    this.#scanBelow(path, { rowsMax: Number.MAX_SAFE_INTEGER, withValues: false }, () => {
      found = true;
      return false;
    });
    return found;
  }

  removeBelow(path: ByteString, etcdIndex: number): RemovedNames {
    const { directRemovalMax } = this.#options;
    const fresh = this.#removeFreshBelow(path);
    const names: ByteString[] = [];
    const lengths: number[] = [];
    let bytes = 0;
    const options = { rowsMax: directRemovalMax, withValues: true };
    const isWhole = this.#scanBelow(path, options, (name, value) => {
      this.#reader.reset(value);
      names.push(name);
      lengths.push(readValueLength(this.#reader));
      bytes += name.length + value.length;
      return bytes <= DIRECT_REMOVAL_BYTES_MAX;
    });
    if (this.sweeps.pending) this.sweeps.noteRemovedBelow(path);
    if (!isWhole) return this.#sweepBelow(path, etcdIndex, fresh);
    for (const [i, name] of names.entries()) {
      this.live.removed(name, lengths[i] ?? 0);
      this.#changes.set(name, null);
    }
    this.nodeCount -= names.length;
    return names.length + fresh.length === 0 ? NO_NAMES : this.#names([...fresh, ...names]);
  }

  /** Removes those nodes below a directory that the open batch wrote. */
  #removeFreshBelow(path: ByteString): readonly ByteString[] {
    const fresh: ByteString[] = [];
    for (const changed of this.#paths().takeBelow(path)) {
      const node = this.#changes.get(changed) ?? null;
      if (node === null) continue;
      fresh.push(changed);
      this.live.removed(changed, node.value.length);
      this.#changes.set(changed, null);
    }
    this.nodeCount -= fresh.length;
    return fresh;
  }

  /** Leaves what is below a directory to a sweep, which also lists the names. */
  #sweepBelow(path: ByteString, etcdIndex: number, fresh: readonly ByteString[]): RemovedNames {
    const earlier = this.sweeps.filter();
    const namesMax = this.#options.removedNamesMax;
    const names = new SweptNames({ kv: this.#kv, etcdIndex, earlier, namesMax });
    for (const name of fresh) names.add(name);
    const removed = RemovedNames.unlisted(names);
    this.sweeps.add(path, etcdIndex, { names, removed });
    return removed;
  }

  #names(paths: readonly ByteString[]): RemovedNames {
    return new RemovedNames(paths.length > this.#options.removedNamesMax ? undefined : paths);
  }

  #paths(): PathSet {
    if (this.#changedPaths === undefined) {
      this.#changedPaths = new PathSet();
      for (const [path, node] of this.#changes) if (node !== null) this.#changedPaths.add(path);
    }
    return this.#changedPaths;
  }

  /** Adds everything changed since the last flush to a batch that is written next. */
  flush(batch: KvBatch): void {
    const writer = this.#writer;
    for (const [path, node] of this.#changes) {
      if (node === null) {
        batch.delete(nodeKeyView(path));
        this.cache.delete(path);
        continue;
      }
      writer.length = 0;
      writeNodeRecord(writer, node);
      batch.put(nodeKeyView(path), writer.view());
      this.cache.set(path, node);
    }
    writer.reset();
    if (this.#changes.size > 0) this.#changes = new Map();
    this.#changedPaths = undefined;
    for (const { deadlineMs, path, present } of this.#ttlChanges) {
      if (present) batch.put(ttlKey(deadlineMs, path), EMPTY);
      else batch.delete(ttlKey(deadlineMs, path));
    }
    if (this.#ttlChanges.length > 0) this.#ttlChanges = [];
    this.sweeps.flush(batch);
  }

  /** Deletes rows of removed subtrees; `rowsMax` bounds the rows looked at. @returns What is done. */
  sweep(batch: KvBatch, rowsMax: number): readonly CompletedSweep[] {
    const onDeleted = this.#onSwept;
    const { deleted, completed } = this.sweeps.slice(this.#kv, batch, { rowsMax, onDeleted });
    this.nodeCount -= deleted;
    return completed;
  }

  /**
   * Nodes whose deadline has passed, in the order of deadlines. Rows of nodes that went away with
   * their directory are found here and deleted. One call looks at `max` rows, or 512 where that is
   * more: while nextDeadline() lies in the past, more may be due, whatever was returned.
   */
  dueNodes(steadyMs: number, max: number): readonly ExpiredNode[] {
    const due: ExpiredNode[] = [];
    if (this.#deadlineMin >= steadyMs) return due;
    const from = indexKey(PREFIX.ttl, Math.max(0, this.#deadlineMin));
    const range = { from, to: prefixRange(PREFIX.ttl).to };
    const iterator = this.#kv.iterator(range, { keysOnly: true });
    let stale: KvBatch | undefined;
    let looked = 0;
    const lookedMax = Math.max(max, DUE_ROWS_MAX);
    let first = Number.MAX_SAFE_INTEGER;
    scan: for (;;) {
      const rows = iterator.nextMany(Math.min(SCAN_ROWS, max));
      if (rows.length === 0) break;
      for (let i = 0; i < rows.length; i += 2) {
        const key = rows[i];
        if (key === undefined) continue;
        const deadlineMs = indexOfKey(key);
        if (deadlineMs >= steadyMs || due.length >= max || looked >= lookedMax) {
          first = Math.min(first, deadlineMs);
          break scan;
        }
        looked += 1;
        const path = pathOfTtlKey(key);
        const node = this.get(path);
        if (node?.expirationMs === undefined || ttlRow(node) !== deadlineMs) {
          stale ??= this.#kv.batch();
          stale.delete(key);
          continue;
        }
        first = Math.min(first, deadlineMs);
        due.push({ path, modifiedIndex: node.modifiedIndex, expirationMs: node.expirationMs });
      }
    }
    iterator.close();
    stale?.write({ sync: false });
    this.#deadlineMin = first;
    return due;
  }

  /** The lives left of nodes with a deadline, in the order of deadlines. */
  livesLeft(steadyMs: number, max: number, from?: LivesCursor): LivesPage {
    const { from: first, to } = prefixRange(PREFIX.ttl);
    const iterator = this.#kv.iterator({ from: from ?? first, to }, { keysOnly: true });
    const rows = iterator.nextMany(max + 1);
    iterator.close();
    const lives: LifeLeft[] = [];
    for (let i = 0; i < Math.min(max, rows.length / 2) * 2; i += 2) {
      const key = rows[i];
      if (key === undefined) continue;
      const deadlineMs = indexOfKey(key);
      const path = pathOfTtlKey(key);
      const node = this.get(path);
      // Rows of nodes that went away with their directory are left to dueNodes().
      if (node?.expirationMs === undefined || ttlRow(node) !== deadlineMs) continue;
      const { modifiedIndex, expirationMs } = node;
      lives.push({ path, modifiedIndex, expirationMs, leftMs: Math.max(0, deadlineMs - steadyMs) });
    }
    const next = rows[max * 2];
    return { lives, next: next === undefined ? undefined : Buffer.from(next) };
  }

  /** The earliest deadline or an earlier moment; undefined when there is none. */
  nextDeadline(): number | undefined {
    if (this.#deadlineMin < 0) this.dueNodes(0, 1);
    return this.#deadlineMin === Number.MAX_SAFE_INTEGER ? undefined : this.#deadlineMin;
  }

  #decode(path: ByteString, value: Uint8Array | undefined): TreeNode | undefined {
    if (value === undefined) return undefined;
    this.#reader.reset(value);
    const node = readNodeRecord(this.#reader);
    return this.sweeps.isSwept(path, node.createdIndex) ? undefined : node;
  }

  /**
   * Calls `visit` for each node below a directory that the open batch does not touch, until that says
   * no; the row it gets is empty unless values are asked for or needed here.
   * @returns Whether all rows were looked at; false when there are more than `rowsMax`.
   */
  #scanBelow(
    path: ByteString,
    { rowsMax, withValues }: { readonly rowsMax: number; readonly withValues: boolean },
    visit: (name: ByteString, row: Uint8Array) => boolean,
  ): boolean {
    const filtered = this.sweeps.touches(path);
    const keysOnly = !filtered && !withValues;
    const iterator = this.#kv.iterator(descendantsRange(path), { keysOnly });
    try {
      let looked = 0;
      for (let count = 8; ; count = SCAN_ROWS) {
        const rows = iterator.nextMany(Math.min(count, rowsMax - looked + 1));
        if (rows.length === 0) return true;
        looked += rows.length / 2;
        if (looked > rowsMax) return false;
        for (let i = 0; i < rows.length; i += 2) {
          const [key, value] = [rows[i], rows[i + 1]];
          if (key === undefined) continue;
          const name = pathOfKey(key);
          if (this.#changes.has(name)) continue;
          if (filtered && value !== undefined && this.#isGone(name, value)) continue;
          if (!visit(name, value ?? EMPTY)) return false;
        }
      }
    } finally {
      iterator.close();
    }
  }

  readonly #onSwept = (path: ByteString, node: TreeNode): void => {
    this.live.removed(path, node.value.length);
    this.cache.delete(path);
  };

  /** Whether a new node takes the place of a row that counts as gone but is still there. */
  #takesSweptRow(path: ByteString): boolean {
    if (!this.sweeps.pending || this.#changes.has(path)) return false;
    const value = this.#kv.get(nodeKeyView(path));
    if (value === undefined || !this.#isGone(path, value)) return false;
    this.#reader.reset(value);
    this.live.removed(path, readValueLength(this.#reader));
    this.#reader.reset(value);
    this.sweeps.noteReplaced(path, readCreatedIndex(this.#reader));
    return true;
  }

  #isGone(path: ByteString, value: Uint8Array): boolean {
    this.#reader.reset(value);
    return this.sweeps.isSwept(path, readCreatedIndex(this.#reader));
  }
}

/** The deadline as it stands in the key of the node's TTL row. */
function ttlRow(node: TreeNode): number | undefined {
  return node.deadlineMs === undefined ? undefined : Math.max(0, node.deadlineMs);
}
