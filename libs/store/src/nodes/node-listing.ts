/**
 * A cursor over the nodes below a directory, from one snapshot of the kv: a walk in key order that
 * leaps over what is not shown. It knows nothing of how listings are printed.
 */
import { ByteReader, asBuffer } from "../encoding/bytes.ts";
import type { ByteString } from "../model/byte-string.ts";
import { depthOfKey, descendantsRange, nodeKey, pathOfKey } from "../encoding/keyspace.ts";
import type { Kv, KvIterator, KvRows } from "../kv/kv.ts";
import { readNodeRecord } from "../encoding/node-record.ts";
import type { Listing, ListingRow } from "../model/ports.ts";
import type { SweepFilter } from "./sweep-filter.ts";
import { nodeExtern } from "../tree/tree.ts";

/** What a listing shows. */
export interface NodeListingOptions {
  readonly recursive: boolean;
  /** Also show names that begin with "_". */
  readonly hidden: boolean;
  /** Moment that remaining lives are counted from. */
  readonly steadyMs: number;
  readonly sweeps: SweepFilter;
}

const FETCH_ROWS_MIN = 16;
const FETCH_ROWS_MAX = 256;
/** Rows stepped over one by one before a seek pays. */
const STEP_ROWS_MAX = 24;
/** Rows that take() looks at for each that it may return. */
const LOOKS_PER_ROW = 4;
const UNDERSCORE = 0x5f;
const SEGMENT_END = 0x01;
const NO_ROWS: KvRows = [];

/** A listing over one snapshot of the kv. */
export class NodeListing implements Listing {
  readonly #iterator: KvIterator;
  readonly #options: NodeListingOptions;
  readonly #baseDepth: number;
  readonly #reader = new ByteReader();
  #rows: KvRows = NO_ROWS;
  #at = 0;
  #fetchRows = FETCH_ROWS_MIN;
  /** Rows whose keys begin with this are not shown. */
  #skip: Buffer | undefined;
  #skipped = 0;
  #ended = false;

  constructor(kv: Kv, path: ByteString, options: NodeListingOptions) {
    this.#options = options;
    this.#baseDepth = depthOfKey(nodeKey(path));
    this.#iterator = kv.iterator(descendantsRange(path));
  }

  next(rowsMax: number): readonly ListingRow[] {
    for (;;) {
      const rows = this.take(rowsMax);
      if (rows === undefined) return [];
      if (rows.length > 0) return rows;
    }
  }

  take(rowsMax: number): readonly ListingRow[] | undefined {
    const shown: ListingRow[] = [];
    let looks = rowsMax * LOOKS_PER_ROW;
    while (shown.length < rowsMax && looks > 0 && !this.#ended) {
      const key = this.#rows[this.#at];
      const value = this.#rows[this.#at + 1];
      if (key === undefined || value === undefined) {
        this.#fetch();
        continue;
      }
      this.#at += 2;
      looks -= 1;
      if (this.#isSkipped(asBuffer(key))) continue;
      const row = this.#row(asBuffer(key), value);
      if (row !== undefined) shown.push(row);
    }
    return shown.length === 0 && this.#ended ? undefined : shown;
  }

  close(): void {
    this.#ended = true;
    this.#rows = NO_ROWS;
    this.#iterator.close();
  }

  #fetch(): void {
    this.#rows = this.#iterator.nextMany(this.#fetchRows);
    this.#at = 0;
    this.#fetchRows = Math.min(this.#fetchRows * 2, FETCH_ROWS_MAX);
    if (this.#rows.length === 0) this.close();
  }

  /** Whether a row lies below one whose subtree is not shown; leaps when there are many. */
  #isSkipped(key: Buffer): boolean {
    const skip = this.#skip;
    if (skip === undefined) return false;
    const end = skip.length;
    if (key.length <= end || key.compare(skip, 0, end, 0, end) !== 0) {
      this.#skip = undefined;
      return false;
    }
    this.#skipped += 1;
    if (this.#skipped > STEP_ROWS_MAX) {
      const target = Buffer.from(skip);
      target[end - 1] = SEGMENT_END + 1;
      this.#iterator.seek(target);
      this.#rows = NO_ROWS;
      this.#at = 0;
      this.#fetchRows = FETCH_ROWS_MIN;
      this.#skip = undefined;
    }
    return true;
  }

  #skipBelow(key: Buffer): void {
    this.#skip = key;
    this.#skipped = 0;
  }

  #row(key: Buffer, value: Uint8Array): ListingRow | undefined {
    const { recursive, hidden, sweeps, steadyMs } = this.#options;
    if (!hidden && isHiddenKey(key)) {
      this.#skipBelow(key);
      return undefined;
    }
    this.#reader.reset(value);
    const node = readNodeRecord(this.#reader);
    const path = pathOfKey(key);
    if (sweeps.isSwept(path, node.createdIndex)) {
      this.#skipBelow(key);
      return undefined;
    }
    if (node.dir && !recursive) this.#skipBelow(key);
    return {
      node: nodeExtern(path, node, steadyMs),
      depth: depthOfKey(key) - this.#baseDepth,
    };
  }
}

/** Whether the last element of a node key's path begins with "_". */
function isHiddenKey(key: Buffer): boolean {
  let start = key.length - 2;
  while (start > 0 && key[start] !== SEGMENT_END) start -= 1;
  return key[start + 1] === UNDERSCORE;
}
