/**
 * The one row that says how far the store has come: written with every batch, so that whatever a
 * crash leaves behind says of itself which log entries it holds. Also checks the format version.
 */
import { ByteReader, type ByteWriter } from "./bytes.ts";
import { StoreError } from "../model/errors.ts";
import { FORMAT_VERSION, metaKey } from "./keyspace.ts";
import type { Kv, KvBatch } from "../kv/kv.ts";
import type { StoreStats } from "../model/ports.ts";
import { STATS_FIELDS, emptyStats } from "../tree/store-stats.ts";

const FORMAT_KEY = metaKey("format");
const STATE_KEY = metaKey("state");
/** Written by whoever needs a clock, also before there is a store. */
export const CLOCK_KEY = metaKey("clock");
/** The steady time as last saved. */
export const STEADY_KEY = metaKey("steady");
const EMPTY = Buffer.alloc(0);

/** Bytes of the nodes, those of pending sweeps included. */
export interface LiveSize {
  readonly bytes: number;
  /** False for an estimate. */
  readonly isExact: boolean;
}

/** What must be stored to open the log of events again. */
export interface EventLogState {
  /** First index that is stored. */
  readonly firstIndex: number;
  /** Index of the newest event, or of the store when it keeps none. */
  readonly lastIndex: number;
  /** Bytes of all rows. */
  readonly bytes: number;
}

/** What the row holds. */
export interface StoreState {
  /** Last applied log entry. */
  readonly raftIndex: number;
  readonly raftTerm: number;
  readonly etcdIndex: number;
  readonly history: EventLogState;
  /** Number of nodes, those of pending sweeps included. */
  readonly nodeCount: number;
  readonly stats: StoreStats;
  readonly live: LiveSize;
}

/** The state of a store in which nothing was ever written. */
export const EMPTY_STATE: StoreState = {
  raftIndex: 0,
  raftTerm: 0,
  etcdIndex: 0,
  history: { firstIndex: 1, lastIndex: 0, bytes: 0 },
  nodeCount: 0,
  stats: emptyStats(),
  live: { bytes: 0, isExact: true },
};

/** Whether a kv holds nothing but, at most, a clock. */
export function isEmptyKv(kv: Kv): boolean {
  const iterator = kv.iterator({ from: Buffer.of(0), to: Buffer.of(0xff) }, { keysOnly: true });
  const rows = iterator.nextMany(2);
  iterator.close();
  return rows.length === 0 || (rows.length === 2 && CLOCK_KEY.equals(rows[0] ?? EMPTY));
}

/** Marks an empty store as one of this format. */
export function writeFormat(batch: KvBatch): void {
  batch.put(FORMAT_KEY, Buffer.of(FORMAT_VERSION));
}

/** Adds the row to a batch; `writer` is scratch space. */
export function writeState(writer: ByteWriter, batch: KvBatch, state: StoreState): void {
  writer.length = 0;
  writer.varint(state.raftIndex);
  writer.varint(state.raftTerm);
  writer.varint(state.etcdIndex);
  writer.varint(state.history.firstIndex);
  writer.varint(state.history.bytes);
  writer.varint(state.nodeCount);
  writeStats(writer, state.stats);
  writer.varint(state.live.bytes * 2 + Number(state.live.isExact));
  batch.put(STATE_KEY, writer.view());
}

/** Appends the counters in their order. */
export function writeStats(writer: ByteWriter, stats: StoreStats): void {
  for (const field of STATS_FIELDS) writer.varint(stats[field]);
}

/** Reads counters that writeStats appended. */
export function readStats(reader: ByteReader): StoreStats {
  const stats = emptyStats();
  for (const field of STATS_FIELDS) stats[field] = reader.varint();
  return stats;
}

/**
 * The state of a store; undefined when it is empty.
 * @throws StoreError version, corrupt.
 */
export function readState(kv: Kv): StoreState | undefined {
  const format = kv.get(FORMAT_KEY);
  const row = kv.get(STATE_KEY);
  if (format === undefined && row === undefined && isEmptyKv(kv)) return undefined;
  if (format === undefined || row === undefined) {
    throw new StoreError("corrupt", "the store is incomplete: it lacks its format or state row");
  }
  const version = format[0] ?? 0;
  if (format.length !== 1 || version !== FORMAT_VERSION) {
    throw new StoreError(
      "version",
      `the store has format ${version}, this program knows only format ${FORMAT_VERSION}: ` +
        "another release of this program wrote it, start that one again",
    );
  }
  const reader = new ByteReader(row);
  const [raftIndex, raftTerm, etcdIndex] = [reader.varint(), reader.varint(), reader.varint()];
  const history = { firstIndex: reader.varint(), lastIndex: etcdIndex, bytes: reader.varint() };
  const nodeCount = reader.varint();
  const stats = readStats(reader);
  // The field came later; a row without it is counted anew.
  const packed = reader.ended ? 0 : reader.varint();
  const live = { bytes: Math.floor(packed / 2), isExact: packed % 2 === 1 };
  return { raftIndex, raftTerm, etcdIndex, history, nodeCount, stats, live };
}
