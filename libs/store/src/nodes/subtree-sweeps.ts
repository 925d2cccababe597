/**
 * Removal of subtrees in two steps. The removal itself is one small row: from then on every
 * node below the directory that is not newer than the removal counts as gone. Its rows are then
 * deleted in slices, between other work. A pending sweep is local: members may be at different
 * points and still hold the same tree.
 */
import { ByteReader } from "../encoding/bytes.ts";
import type { ByteString } from "../model/byte-string.ts";
import {
  PREFIX,
  descendantsRange,
  indexOfKey,
  pathOfKey,
  prefixRange,
  sweepKey,
  ttlKey,
} from "../encoding/keyspace.ts";
import type { Kv, KvBatch, KvRows } from "../kv/kv.ts";
import { readNodeRecord } from "../encoding/node-record.ts";
import { PathSet } from "./path-set.ts";
import { isSweptBy, SweepFilter } from "./sweep-filter.ts";
import type { SweptNames } from "./swept-names.ts";
import type { RemovedNames } from "../tree/recorded-event.ts";
import type { TreeNode } from "../tree/tree-node.ts";
import { isBelow } from "../tree/watch-rule.ts";

interface Sweep {
  readonly path: ByteString;
  /** Nodes below that were created at this index or before are gone. */
  readonly etcdIndex: number;
  /** Where the next slice goes on. */
  from: Uint8Array;
  /** What went away; undefined for a sweep that was under way when the store was opened. */
  readonly removal: Removal | undefined;
  /** Nodes made below since then; undefined in the same case. */
  readonly made: PathSet | undefined;
}

/** The names that a sweep collects, and what the event of the removal holds of them. */
export interface Removal {
  readonly names: SweptNames;
  readonly removed: RemovedNames;
}

/** A sweep whose rows are gone. */
export interface CompletedSweep {
  readonly path: ByteString;
  readonly etcdIndex: number;
  readonly removal: Removal | undefined;
}

/** What one slice has done. */
export interface Slice {
  /** Rows deleted. */
  readonly deleted: number;
  readonly completed: readonly CompletedSweep[];
}

/** How much one slice may do. */
export interface SliceOptions {
  readonly rowsMax: number;
  /** Is told of each node whose row goes. */
  readonly onDeleted: (path: ByteString, node: TreeNode) => void;
}

/** Bytes of rows after which a slice ends, however many rows it may look at. */
const SLICE_BYTES_MAX = 256 << 10;
/** Rows fetched at once. */
const FETCH_ROWS = 64;

const SWEEP_KEY_PATH_START = 8;
const EMPTY = Buffer.alloc(0);
const ZERO = Buffer.alloc(1);

/** The pending sweeps of a store, oldest first. */
export class SubtreeSweeps {
  #sweeps: readonly Sweep[] = [];
  readonly #unwritten: Buffer[] = [];

  /** Reads the pending sweeps of an opened store. */
  load(kv: Kv): void {
    const iterator = kv.iterator(prefixRange(PREFIX.sweep), { keysOnly: true });
    const sweeps: Sweep[] = [];
    for (let rows = iterator.nextMany(64); rows.length > 0; rows = iterator.nextMany(64)) {
      for (let i = 0; i < rows.length; i += 2) {
        const key = rows[i];
        if (key === undefined) continue;
        const path = pathOfKey(key, SWEEP_KEY_PATH_START);
        const { from } = descendantsRange(path);
        const etcdIndex = indexOfKey(key);
        sweeps.push({ path, etcdIndex, from, removal: undefined, made: undefined });
      }
    }
    iterator.close();
    this.#sweeps = sweeps;
  }

  get pending(): boolean {
    return this.#sweeps.length > 0;
  }

  /** Whether the next flush() makes nodes count as gone whose rows stay. */
  get hasUnwritten(): boolean {
    return this.#unwritten.length > 0;
  }

  /** The index of the first removal whose names are still being listed; undefined without one. */
  get firstUnlisted(): number | undefined {
    return this.#sweeps.find(({ removal }) => removal !== undefined)?.etcdIndex;
  }

  /** A filter that keeps its answer while sweeps come and go: for readers of one snapshot. */
  filter(): SweepFilter {
    return new SweepFilter(this.#sweeps);
  }

  /** Whether a row that is still there counts as gone. */
  isSwept(path: ByteString, createdIndex: number): boolean {
    return this.#sweeps.length > 0 && isSweptBy(this.#sweeps, path, createdIndex);
  }

  /** Declares everything below a directory gone; the row follows with the next flush(). */
  add(path: ByteString, etcdIndex: number, removal: Removal): void {
    this.#unwritten.push(sweepKey(etcdIndex, path));
    const { from } = descendantsRange(path);
    const made = new PathSet();
    this.#sweeps = [...this.#sweeps, { path, etcdIndex, from, removal, made }];
  }

  /** The names of a removal whose sweep is pending. */
  removedBy(etcdIndex: number): RemovedNames | undefined {
    return this.#sweeps.find((sweep) => sweep.etcdIndex === etcdIndex)?.removal?.removed;
  }

  /** Is told of a new node. */
  noteMade(path: ByteString): void {
    for (const sweep of this.#sweeps) if (isBelow(path, sweep.path)) sweep.made?.add(path);
  }

  /** Is told of a node that was removed by itself. */
  noteRemoved(path: ByteString): void {
    for (const sweep of this.#sweeps) if (isBelow(path, sweep.path)) sweep.made?.delete(path);
  }

  /** Is told that everything below a directory went. */
  noteRemovedBelow(path: ByteString): void {
    for (const { path: swept, made } of this.#sweeps) {
      if (path === swept || isBelow(path, swept)) made?.takeBelow(path);
    }
  }

  /** Is told of a row that counts as gone and is replaced by that of a new node. */
  noteReplaced(path: ByteString, createdIndex: number): void {
    const sweep = this.#sweeps.find(
      ({ path: swept, etcdIndex }) => createdIndex <= etcdIndex && isBelow(path, swept),
    );
    sweep?.removal?.names.add(path);
  }

  /** Whether anything is below a directory that is being swept; undefined when rows must tell. */
  hasMadeBelow(path: ByteString): boolean | undefined {
    for (const { path: swept, made } of this.#sweeps) {
      if (made === undefined || !(path === swept || isBelow(path, swept))) continue;
      return made.below(path).next().done !== true;
    }
    return undefined;
  }

  flush(batch: KvBatch): void {
    for (const key of this.#unwritten) batch.put(key, EMPTY);
    this.#unwritten.length = 0;
  }

  /** Deletes rows, looking at no more than `rowsMax`, oldest sweep first. */
  slice(kv: Kv, batch: KvBatch, { rowsMax, onDeleted }: SliceOptions): Slice {
    const completed: CompletedSweep[] = [];
    let deleted = 0;
    let left = rowsMax;
    // Rows deleted in this batch would be met again by a sweep that overlaps: one sweep a batch.
    while (left > 0 && deleted === 0) {
      const sweep = this.#sweeps[0];
      if (sweep === undefined) break;
      const iterator = kv.iterator({ from: sweep.from, to: descendantsRange(sweep.path).to });
      for (let bytes = 0; left > 0 && bytes < SLICE_BYTES_MAX;) {
        const rows = iterator.nextMany(Math.min(left, FETCH_ROWS));
        if (rows.length === 0) {
          batch.delete(sweepKey(sweep.etcdIndex, sweep.path));
          this.#sweeps = this.#sweeps.slice(1);
          completed.push(sweep);
          break;
        }
        left -= rows.length / 2;
        for (const row of rows) bytes += row.length;
        deleted += deleteSwept(rows, sweep, { batch, onDeleted });
      }
      iterator.close();
      left -= 1;
    }
    return { deleted, completed };
  }

  /** Whether a directory lies at or below one that is being swept: its rows need the filter. */
  touches(path: ByteString): boolean {
    return this.#sweeps.some(
      (sweep) => sweep.path === path || isBelow(path, sweep.path) || isBelow(sweep.path, path),
    );
  }
}

/** Deletes those rows that a sweep covers, and their deadlines. @returns How many. */
function deleteSwept(
  rows: KvRows,
  sweep: Sweep,
  { batch, onDeleted }: Pick<SliceOptions, "onDeleted"> & { readonly batch: KvBatch },
): number {
  const reader = new ByteReader();
  let deleted = 0;
  for (let i = 0; i < rows.length; i += 2) {
    const [key, value] = [rows[i], rows[i + 1]];
    if (key === undefined || value === undefined) continue;
    sweep.from = Buffer.concat([key, ZERO]);
    reader.reset(value);
    const node = readNodeRecord(reader);
    if (node.createdIndex > sweep.etcdIndex) continue;
    const path = pathOfKey(key);
    batch.delete(key);
    if (node.deadlineMs !== undefined) batch.delete(ttlKey(node.deadlineMs, path));
    onDeleted(path, node);
    sweep.removal?.names.add(path);
    deleted += 1;
  }
  return deleted;
}
