/**
 * Removal of large subtrees in two steps. The removal itself is one small row: from then on every
 * node below the directory that is not newer than the removal counts as gone. Its rows are then
 * deleted in slices, between other work. A pending sweep is local: members may be at different
 * points and still hold the same tree.
 */
import { ByteReader } from "./bytes.ts";
import type { ByteString } from "./command.ts";
import {
  PREFIX,
  descendantsRange,
  indexOfKey,
  pathOfKey,
  prefixRange,
  sweepKey,
  ttlKey,
} from "./keyspace.ts";
import type { Kv, KvBatch, KvRows } from "./kv.ts";
import { readNodeRecord } from "./node-record.ts";
import type { TreeNode } from "./tree/tree-node.ts";
import { isBelow } from "./tree/watch-rule.ts";

interface Sweep {
  readonly path: ByteString;
  /** Nodes below that were created at this index or before are gone. */
  readonly etcdIndex: number;
  /** Where the next slice goes on. */
  from: Uint8Array;
}

export interface SliceOptions {
  readonly rowsMax: number;
  /** Is told of each node whose row goes. */
  readonly onDeleted: (path: ByteString, node: TreeNode) => void;
}

const SWEEP_KEY_PATH_START = 8;
const EMPTY = Buffer.alloc(0);
const ZERO = Buffer.alloc(1);

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
        sweeps.push({ path, etcdIndex: indexOfKey(key), from: descendantsRange(path).from });
      }
    }
    iterator.close();
    this.#sweeps = sweeps;
  }

  get pending(): boolean {
    return this.#sweeps.length > 0;
  }

  /** A filter that keeps its answer while sweeps come and go: for readers of one snapshot. */
  filter(): SweepFilter {
    return new SweepFilter(this.#sweeps);
  }

  /** Whether a row that is still there counts as gone. */
  isSwept(path: ByteString, createdIndex: number): boolean {
    return this.#sweeps.length > 0 && sweptBy(this.#sweeps, path, createdIndex);
  }

  /** Declares everything below a directory gone; the row follows with the next flush(). */
  add(path: ByteString, etcdIndex: number): void {
    this.#unwritten.push(sweepKey(etcdIndex, path));
    this.#sweeps = [...this.#sweeps, { path, etcdIndex, from: descendantsRange(path).from }];
  }

  flush(batch: KvBatch): void {
    for (const key of this.#unwritten) batch.put(key, EMPTY);
    this.#unwritten.length = 0;
  }

  /** Deletes rows, looking at no more than `rowsMax`, oldest sweep first. @returns Rows deleted. */
  slice(kv: Kv, batch: KvBatch, { rowsMax, onDeleted }: SliceOptions): number {
    let deleted = 0;
    let left = rowsMax;
    // Rows deleted in this batch would be met again by a sweep that overlaps: one sweep a batch.
    while (left > 0 && deleted === 0) {
      const sweep = this.#sweeps[0];
      if (sweep === undefined) break;
      const iterator = kv.iterator({ from: sweep.from, to: descendantsRange(sweep.path).to });
      while (left > 0) {
        const rows = iterator.nextMany(left);
        if (rows.length === 0) {
          batch.delete(sweepKey(sweep.etcdIndex, sweep.path));
          this.#sweeps = this.#sweeps.slice(1);
          break;
        }
        left -= rows.length / 2;
        deleted += deleteSwept(rows, sweep, { batch, onDeleted });
      }
      iterator.close();
      left -= 1;
    }
    return deleted;
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
    deleted += 1;
  }
  return deleted;
}

function sweptBy(sweeps: readonly Sweep[], path: ByteString, createdIndex: number): boolean {
  for (const sweep of sweeps) {
    if (createdIndex <= sweep.etcdIndex && isBelow(path, sweep.path)) return true;
  }
  return false;
}

/** The sweeps pending at one moment. */
export class SweepFilter {
  readonly #sweeps: readonly Sweep[];
  constructor(sweeps: readonly Sweep[]) {
    this.#sweeps = sweeps;
  }

  isSwept(path: ByteString, createdIndex: number): boolean {
    return this.#sweeps.length > 0 && sweptBy(this.#sweeps, path, createdIndex);
  }
}
