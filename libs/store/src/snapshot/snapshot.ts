/**
 * The replicated state as a stream of bytes, out of one store and into another: for followers that
 * fell far behind, for backups, for moving a member. Local rows (deadlines, pending sweeps, the
 * clock, host values named "local...") stay behind; lives travel as milliseconds left.
 */
import { ByteReader, ByteWriter, asBuffer } from "../encoding/bytes.ts";
import { StoreError } from "../model/errors.ts";
import { eventIndexOf, readEventRecord } from "../encoding/event-record.ts";
import { PREFIX, indexKey, indexOfKey, pathOfKey } from "../encoding/keyspace.ts";
import type { Kv, KvIterator } from "../kv/kv.ts";
import { readNodeRecord, writeNodeRecord } from "../encoding/node-record.ts";
import { type Schedule, defaultSchedule, yieldTurn } from "../clock/schedule.ts";
import { FRAME, type Frame, FrameReader, type FrameType, FrameWriter } from "./snapshot-frames.ts";
import { type StoreState, readStats, writeStats } from "../encoding/state-row.ts";
import type { StoreClock } from "../clock/store-clock.ts";
import { SteadyClock } from "../clock/steady-clock.ts";
import { StoreBuilder } from "./store-builder.ts";
import type { SweepFilter } from "../nodes/sweep-filter.ts";
import type { StoreStats } from "../model/ports.ts";
import { NO_NAMES } from "../tree/recorded-event.ts";
import { TreeNode } from "../tree/tree-node.ts";

/** A frame is closed when its payload holds this much. */
const FRAME_BYTES_MAX = 64 << 10;
const FETCH_ROWS = 256;

/** Where clients' keys are. */
const CLIENT_KEYS = "/1/";

/** Host values with such names belong to one member and are left out. */
const LOCAL_META = "local";

/** What a snapshot says of itself. */
export interface SnapshotInfo {
  readonly raftIndex: number;
  readonly raftTerm: number;
  readonly etcdIndex: number;
  readonly nodes: number;
  /** Those of the nodes that are clients' files. */
  readonly keys: number;
  readonly events: number;
  /** Bytes of the stream. */
  readonly bytes: number;
}

/** What an export stands on; StateMachine.exportSnapshot() fills it in. */
export interface SnapshotSource {
  readonly kv: Kv;
  readonly state: StoreState;
  /** First index of the oldest row of the history, which may lie before the first that is shown. */
  readonly historyFirst: number;
  readonly sweeps: SweepFilter;
  readonly steadyMs: number;
  readonly schedule?: Schedule;
}

/** Frame type of the rows under each prefix; rows of others are left out. */
const FRAME_OF_PREFIX = new Map<number, FrameType>([
  [PREFIX.history, FRAME.history],
  [PREFIX.node, FRAME.nodes],
  [PREFIX.removedNames, FRAME.removed],
  [PREFIX.host, FRAME.host],
]);

/** An export under way. It sees the store as it was when the export was made. */
export class SnapshotExport implements AsyncIterableIterator<Uint8Array> {
  readonly #source: SnapshotSource;
  readonly #iterator: KvIterator;
  readonly #frames = new FrameWriter();
  readonly #payload = new ByteWriter(FRAME_BYTES_MAX * 2);
  readonly #record = new ByteWriter(1024);
  readonly #reader = new ByteReader();
  #rows: readonly Uint8Array[] = [];
  #at = 0;
  #step: "preamble" | "header" | "rows" | "ended" = "preamble";
  #rowCount = 0;

  constructor(source: SnapshotSource) {
    this.#source = source;
    const from = indexKey(PREFIX.history, source.historyFirst);
    this.#iterator = source.kv.iterator({ from, to: Buffer.of(PREFIX.host + 1) });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    await yieldTurn(this.#source.schedule ?? defaultSchedule);
    switch (this.#step) {
      case "preamble":
        this.#step = "header";
        return { done: false, value: this.#frames.preamble() };
      case "header":
        this.#step = "rows";
        return { done: false, value: this.#frames.frame(FRAME.header, this.#header()) };
      case "rows":
        return { done: false, value: this.#nextRows() };
      case "ended":
        return { done: true, value: undefined };
    }
  }

  /** Gives the export up. Idempotent. */
  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#step = "ended";
    this.#iterator.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  #header(): Uint8Array {
    const { state } = this.#source;
    const writer = this.#payload;
    writer.length = 0;
    writer.varint(state.raftIndex);
    writer.varint(state.raftTerm);
    writer.varint(state.etcdIndex);
    writeStats(writer, state.stats);
    return writer.view();
  }

  /** The next frame of rows, or the trailer. Rows of one frame are of one kind. */
  #nextRows(): Uint8Array {
    const payload = this.#payload;
    payload.reset();
    let type: FrameType | undefined;
    for (;;) {
      const [key, value] = this.#peekRow();
      if (key === undefined || value === undefined) break;
      const rowType = FRAME_OF_PREFIX.get(key[0] ?? 0);
      if (rowType === undefined) {
        this.#leap(key[0] ?? 0);
        continue;
      }
      if (type !== undefined && type !== rowType) break;
      this.#at += 2;
      if (!this.#addRow(rowType, key, value)) continue;
      type = rowType;
      this.#rowCount += 1;
      if (payload.length >= FRAME_BYTES_MAX) break;
    }
    if (type !== undefined) return this.#frames.frame(type, payload.view());
    this.#step = "ended";
    this.#iterator.close();
    payload.length = 0;
    payload.varint(this.#rowCount);
    return this.#frames.frame(FRAME.trailer, payload.view());
  }

  #peekRow(): readonly [Uint8Array | undefined, Uint8Array | undefined] {
    if (this.#at >= this.#rows.length) {
      this.#rows = this.#iterator.nextMany(FETCH_ROWS);
      this.#at = 0;
    }
    return [this.#rows[this.#at], this.#rows[this.#at + 1]];
  }

  /** Goes on behind the rows of a prefix. */
  #leap(prefix: number): void {
    this.#iterator.seek(Buffer.of(prefix + 1));
    this.#rows = [];
    this.#at = 0;
  }

  /** @returns Whether the row belongs into the snapshot. */
  #addRow(type: FrameType, key: Uint8Array, value: Uint8Array): boolean {
    let row = value;
    if (type === FRAME.nodes) {
      this.#reader.reset(value);
      const node = readNodeRecord(this.#reader);
      if (this.#source.sweeps.isSwept(pathOfKey(key), node.createdIndex)) return false;
      if (node.deadlineMs !== undefined) row = this.#withLifeLeft(node, node.deadlineMs);
    } else if (type === FRAME.host) {
      if (asBuffer(key).toString("latin1", 1).startsWith(LOCAL_META)) return false;
    } else if (type === FRAME.removed) {
      if (indexOfKey(key) < this.#source.historyFirst) return false;
    }
    this.#payload.varint(key.length - 1);
    this.#payload.raw(key.subarray(1));
    this.#payload.varint(row.length);
    this.#payload.raw(row);
    return true;
  }

  #withLifeLeft(node: TreeNode, deadlineMs: number): Uint8Array {
    const record = this.#record;
    record.length = 0;
    const left = deadlineMs - this.#source.steadyMs;
    const { dir, value, createdIndex, modifiedIndex, expirationMs } = node;
    writeNodeRecord(
      record,
      new TreeNode(dir, value, createdIndex, modifiedIndex, expirationMs, left),
    );
    return record.view();
  }
}

/** Takes the rows of a snapshot, all of them checked. */
interface SnapshotTarget {
  node(path: string, node: TreeNode): void;
  historyRow(first: number, last: number, row: Buffer): void;
  removedRow(etcdIndex: number, row: Buffer): void;
  host(name: string, value: Buffer): void;
}

interface Header {
  readonly raftIndex: number;
  readonly raftTerm: number;
  readonly etcdIndex: number;
  readonly stats: StoreStats;
}

function damaged(what: string, cause?: unknown): StoreError {
  return new StoreError("corrupt", `the snapshot is damaged: ${what}`, { cause });
}

/** Reads a stream and hands on its rows. */
class SnapshotParser {
  readonly #target: SnapshotTarget;
  readonly #frames = new FrameReader();
  header: Header | undefined;
  nodes = 0;
  keys = 0;
  events = 0;
  bytes = 0;
  #rowCount = 0;
  #historyLast: number | undefined;
  #lastKey: Buffer | undefined;
  #lastType = 0;
  #ended = false;

  constructor(target: SnapshotTarget) {
    this.#target = target;
  }

  push(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.#frames.push(chunk);
    for (let frame = this.#frames.next(); frame !== undefined; frame = this.#frames.next()) {
      if (this.#ended) throw damaged("it goes on behind its end");
      this.#frame(frame);
    }
  }

  /** @throws StoreError corrupt when the stream is not complete. */
  end(): Header {
    if (!this.#ended || this.header === undefined) throw damaged("it ends early");
    if (this.#frames.hasRest) throw damaged("it goes on behind its end");
    const { etcdIndex } = this.header;
    if (this.#historyLast !== undefined && this.#historyLast !== etcdIndex) {
      throw damaged(`its history ends at ${this.#historyLast}, the store at ${etcdIndex}`);
    }
    return this.header;
  }

  info(): SnapshotInfo {
    const { raftIndex, raftTerm, etcdIndex } = this.end();
    const { nodes, keys, events, bytes } = this;
    return { raftIndex, raftTerm, etcdIndex, nodes, keys, events, bytes };
  }

  #frame({ type, payload }: Frame): void {
    const reader = new ByteReader(payload);
    if (this.header === undefined) {
      if (type !== FRAME.header) throw damaged("it lacks its header");
      const [raftIndex, raftTerm, etcdIndex] = [reader.varint(), reader.varint(), reader.varint()];
      this.header = { raftIndex, raftTerm, etcdIndex, stats: readStats(reader) };
      return;
    }
    if (type === FRAME.trailer) {
      if (reader.varint() !== this.#rowCount) throw damaged("rows are missing");
      this.#ended = true;
      return;
    }
    while (!reader.ended) this.#row(type, reader);
  }

  #row(type: number, reader: ByteReader): void {
    const key = takeBytes(reader);
    const value = takeBytes(reader);
    const last = this.#lastType === type ? this.#lastKey : undefined;
    if (last !== undefined && last.compare(key) >= 0) throw damaged("rows are out of order");
    this.#lastType = type;
    this.#lastKey = key;
    this.#rowCount += 1;
    const full = Buffer.concat([Buffer.of(0), key]);
    switch (type) {
      case FRAME.nodes:
        this.#node(pathOfKey(full), readNodeRecord(new ByteReader(value)));
        break;
      case FRAME.history:
        this.#history(indexOfKey(full), value);
        break;
      case FRAME.removed:
        this.#target.removedRow(indexOfKey(full), value);
        break;
      case FRAME.host:
        this.#target.host(key.toString("latin1"), value);
        break;
      default:
        throw damaged(`it has a frame of unknown type ${type}`);
    }
  }

  #node(path: string, node: TreeNode): void {
    this.nodes += 1;
    if (!node.dir && path.startsWith(CLIENT_KEYS)) this.keys += 1;
    this.#target.node(path, node);
  }

  #history(last: number, row: Buffer): void {
    const reader = new ByteReader(row);
    let first: number | undefined;
    let next = this.#historyLast === undefined ? undefined : this.#historyLast + 1;
    while (!reader.ended) {
      const end = reader.uint32() + reader.at;
      const start = reader.at;
      const index = eventIndexOf(reader);
      if (next !== undefined && index !== next) throw damaged("its history has a gap");
      reader.at = start;
      readEventRecord(reader, () => NO_NAMES);
      if (reader.at !== end) throw damaged("a history row has a wrong length");
      first ??= index;
      next = index + 1;
      this.events += 1;
    }
    if (first === undefined || next !== last + 1) throw damaged("a history row has a wrong key");
    this.#historyLast = last;
    this.#target.historyRow(first, last, row);
  }
}

function takeBytes(reader: ByteReader): Buffer {
  const length = reader.varint();
  const end = reader.at + length;
  if (end > reader.bytes.length) throw damaged("a row ends early");
  const bytes = reader.bytes.subarray(reader.at, end);
  reader.at = end;
  return bytes;
}

async function parse(
  chunks: AsyncIterable<Uint8Array>,
  parser: SnapshotParser,
  schedule: Schedule,
): Promise<SnapshotInfo> {
  for await (const chunk of chunks) {
    parser.push(chunk);
    await yieldTurn(schedule);
  }
  return parser.info();
}

/** Settings of an import; all have defaults. */
export interface ImportOptions {
  /**
   * Lives go on from what was left when the snapshot was taken, on its steady clock: how long it was
   * on its way or kept does not count, since only a wall clock could tell. Default: the clock of
   * this machine.
   */
  readonly clock?: StoreClock;
  readonly schedule?: Schedule;
}

/**
 * Fills an empty kv from a snapshot. The kv holds no usable store until all of it has arrived and
 * proved right; after a failure throw the kv away.
 * @throws StoreError corrupt, version, notEmpty, storage.
 */
export async function importSnapshot(
  kv: Kv,
  chunks: AsyncIterable<Uint8Array>,
  options: ImportOptions = {},
): Promise<SnapshotInfo> {
  const builder = new StoreBuilder(kv, options.clock ?? SteadyClock.open(kv));
  const parser = new SnapshotParser({
    node: (path, node) => {
      builder.addNode({
        path,
        dir: node.dir,
        value: node.value,
        createdIndex: node.createdIndex,
        modifiedIndex: node.modifiedIndex,
        expirationMs: node.expirationMs,
        ttlMs: node.deadlineMs,
      });
    },
    historyRow: (first, last, row) => {
      builder.addHistoryRow(first, last, row);
    },
    removedRow: (etcdIndex, row) => {
      builder.addRemovedRow(etcdIndex, row);
    },
    host: (name, value) => {
      builder.setMeta(name, value);
    },
  });
  const info = await parse(chunks, parser, options.schedule ?? defaultSchedule);
  builder.finish(parser.end());
  return info;
}

/** Reads a whole snapshot, checks all of it and says what is in it. @throws StoreError */
export function verifySnapshot(
  chunks: AsyncIterable<Uint8Array>,
  schedule: Schedule = defaultSchedule,
): Promise<SnapshotInfo> {
  const ignore = (): void => undefined;
  const parser = new SnapshotParser({
    node: ignore,
    historyRow: ignore,
    removedRow: ignore,
    host: ignore,
  });
  return parse(chunks, parser, schedule);
}
