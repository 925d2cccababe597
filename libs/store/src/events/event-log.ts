/**
 * The event history: rows of consecutive events in the kv, bounded by count and bytes and trimmed
 * a few rows at a time, and the newest events in memory. It knows no watchers.
 */
import { ByteWriter } from "../encoding/bytes.ts";
import type { ByteString } from "../model/byte-string.ts";
import { EtcdError, StoreError } from "../model/errors.ts";
import { writeEventRecord } from "../encoding/event-record.ts";
import { readEventRows, readRemovedNames, SLICE_EVENTS_MAX } from "./event-rows.ts";
import { PREFIX, indexKey, indexOfKey, prefixRange } from "../encoding/keyspace.ts";
import type { EventLogState } from "../encoding/state-row.ts";
import type { Kv, KvBatch } from "../kv/kv.ts";
import type { CompletedSweep } from "../nodes/subtree-sweeps.ts";
import { type RecordedEvent, RemovedNames } from "../tree/recorded-event.ts";

/** A row of events is closed when it holds this much. */
const ROW_BYTES_MAX = 64 << 10;

/** What the memory of the newest events may hold. */
const RING_EVENTS_MAX = 2000;
const RING_BYTES_MAX = 4 << 20;
const EVENT_OVERHEAD_BYTES = 300;

/** Trimming runs at every so many appends and looks at no more rows than this. */
const TRIM_EVERY_APPENDS = 8;
const TRIM_ROWS_MAX = 64;
const TRIM_FETCH_ROWS = 8;

/** Where the history lies, and how much of it is kept. */
export interface EventLogOptions {
  readonly kv: Kv;
  /** Newest events to keep. */
  readonly countMax: number;
  /** Bytes of rows to keep. */
  readonly bytesMax: number;
  /** Names that went with the event of an index and are not listed yet. */
  readonly unlisted?: (etcdIndex: number) => RemovedNames | undefined;
}

function eventBytes(event: RecordedEvent): number {
  const { node, prevNode, removed } = event;
  const removedCount = removed?.heldCount ?? 0;
  return (
    EVENT_OVERHEAD_BYTES +
    node.key.length +
    (node.value?.length ?? 0) +
    (prevNode?.value?.length ?? 0) +
    removedCount * (node.key.length + 40)
  );
}

/** The history of events, oldest first, without gaps. */
export class EventLog {
  readonly #kv: Kv;
  readonly #countMax: number;
  readonly #bytesMax: number;
  readonly #unlisted: NonNullable<EventLogOptions["unlisted"]>;
  #storedFirst: number;
  #lastIndex: number;
  #bytes: number;
  /** No row of removed names has an index before this. */
  #removedFirst: number;
  /** Index of the last event in the oldest row; 0 when not known. */
  #oldestRowLast = 0;
  #appendsSinceTrim = 0;
  /** Slots before #ringStart are empty. */
  #ring: (RecordedEvent | undefined)[] = [];
  #ringStart = 0;
  #ringBytes = 0;
  readonly #writer = new ByteWriter(4096);

  constructor(options: EventLogOptions, state: EventLogState) {
    this.#kv = options.kv;
    this.#countMax = Math.max(1, options.countMax);
    this.#bytesMax = options.bytesMax;
    this.#unlisted = options.unlisted ?? ((): undefined => undefined);
    this.#storedFirst = state.firstIndex;
    this.#lastIndex = state.lastIndex;
    this.#bytes = state.bytes;
    // A crash may have left rows behind that were due to go.
    this.#removedFirst = 0;
  }

  get firstIndex(): number {
    return Math.max(this.#storedFirst, this.#lastIndex - this.#countMax + 1);
  }

  /** First index of the oldest row, which may lie before the first that is shown. */
  get firstStoredIndex(): number {
    return this.#storedFirst;
  }

  get lastIndex(): number {
    return this.#lastIndex;
  }

  get state(): EventLogState {
    return { firstIndex: this.#storedFirst, lastIndex: this.#lastIndex, bytes: this.#bytes };
  }

  /** First index that is in memory. */
  get #ringFirst(): number {
    return this.#ring[this.#ringStart]?.etcdIndex ?? this.#lastIndex + 1;
  }

  /** Adds events, which follow the last one without a gap, to a batch that is written next. */
  append(events: readonly RecordedEvent[], batch: KvBatch): void {
    const writer = this.#writer;
    writer.length = 0;
    for (const event of events) {
      const start = writer.length;
      writer.uint32(0);
      writeEventRecord(writer, event);
      writer.bytes.writeUInt32BE(writer.length - start - 4, start);
      this.#lastIndex = event.etcdIndex;
      if (event.removed !== undefined) this.#putRemoved(event, event.removed, batch);
      this.#remember(event);
      if (writer.length >= ROW_BYTES_MAX) this.#putRow(batch);
    }
    if (writer.length > 0) this.#putRow(batch);
    writer.reset();
    this.#appendsSinceTrim += 1;
    if (this.#appendsSinceTrim >= TRIM_EVERY_APPENDS) this.#trim(batch);
  }

  /**
   * Events from `since` on, oldest first: one slice of them, empty when `since` is yet to come.
   * @throws EtcdError 401 when `since` lies before the history.
   */
  read(since: number): readonly RecordedEvent[] {
    if (since > this.#lastIndex) return [];
    if (since < this.firstIndex) throw this.cleared(since);
    if (since < this.#ringFirst) return this.#readRows(since);
    const events: RecordedEvent[] = [];
    const from = this.#ringStart + since - this.#ringFirst;
    const to = Math.min(this.#ring.length, from + SLICE_EVENTS_MAX);
    for (let i = from; i < to; i++) {
      const event = this.#ring[i];
      if (event !== undefined) events.push(event);
    }
    return events;
  }

  /** Whether everything from `since` on is in memory. */
  inMemory(since: number): boolean {
    return since >= this.#ringFirst;
  }

  cleared(since: number): EtcdError {
    const cause = `the requested history has been cleared [${this.firstIndex}/${since}]`;
    return new EtcdError(401, cause, this.#lastIndex);
  }

  #putRow(batch: KvBatch): void {
    const row = this.#writer.view();
    batch.put(indexKey(PREFIX.history, this.#lastIndex), row);
    this.#bytes += row.length;
    this.#writer.length = 0;
  }

  /** Adds names that were not listed when their event was added; `batch` is written next. */
  listed({ path, etcdIndex, removal }: CompletedSweep, batch: KvBatch): void {
    if (removal === undefined) return;
    const { paths } = removal.names;
    if (etcdIndex >= this.#storedFirst && paths !== undefined) {
      this.#putNames(etcdIndex, path, paths, batch);
    }
    removal.removed.settle(this.#loader(etcdIndex, path));
  }

  #putRemoved(event: RecordedEvent, removed: RemovedNames, batch: KvBatch): void {
    if (removed.isUnlisted || removed.paths === undefined) return;
    this.#putNames(event.etcdIndex, event.node.key, removed.paths, batch);
  }

  #putNames(
    etcdIndex: number,
    directory: ByteString,
    paths: readonly ByteString[],
    batch: KvBatch,
  ): void {
    const writer = new ByteWriter(Math.max(64, paths.length * 32));
    for (const path of paths) writer.sizedText(path.slice(directory.length));
    batch.put(indexKey(PREFIX.removedNames, etcdIndex), writer.view());
    this.#bytes += writer.length;
  }

  #removedNames(etcdIndex: number, directory: ByteString): RemovedNames {
    const unlisted = this.#unlisted(etcdIndex);
    return unlisted ?? RemovedNames.lazy(this.#loader(etcdIndex, directory));
  }

  #loader(etcdIndex: number, directory: ByteString): () => readonly ByteString[] | undefined {
    return () => readRemovedNames(this.#kv, etcdIndex, directory);
  }

  #remember(event: RecordedEvent): void {
    this.#ring.push(event);
    this.#ringBytes += eventBytes(event);
    while (
      this.#ring.length - this.#ringStart > RING_EVENTS_MAX ||
      this.#ringBytes > RING_BYTES_MAX
    ) {
      const oldest = this.#ring[this.#ringStart];
      if (oldest === undefined) break;
      this.#ringBytes -= eventBytes(oldest);
      this.#ring[this.#ringStart++] = undefined;
    }
    if (this.#ringStart > RING_EVENTS_MAX) {
      this.#ring = this.#ring.slice(this.#ringStart);
      this.#ringStart = 0;
    }
  }

  #readRows(since: number): readonly RecordedEvent[] {
    const events = readEventRows(this.#kv, since, (index, key) => this.#removedNames(index, key));
    if (events[0]?.etcdIndex !== since) {
      throw new StoreError("corrupt", `the event history lacks index ${since}`);
    }
    return events;
  }

  /** Deletes rows that are out of bounds. A row goes when all its events are. */
  #trim(batch: KvBatch): void {
    this.#appendsSinceTrim = 0;
    const keepFrom = this.#lastIndex - this.#countMax + 1;
    if (this.#oldestRowLast >= keepFrom && this.#bytes <= this.#bytesMax) return;
    if (this.#storedFirst >= keepFrom && this.#bytes <= this.#bytesMax) return;
    const from = indexKey(PREFIX.history, this.#storedFirst);
    // The rows of the batch being built are not in the store yet: they cannot be trimmed.
    const iterator = this.#kv.iterator({ from, to: prefixRange(PREFIX.history).to });
    let trimmed = 0;
    trim: while (trimmed < TRIM_ROWS_MAX) {
      const rows = iterator.nextMany(TRIM_FETCH_ROWS);
      if (rows.length === 0) break;
      for (let i = 0; i < rows.length; i += 2) {
        const [key, row] = [rows[i], rows[i + 1]];
        if (key === undefined || row === undefined) break trim;
        this.#oldestRowLast = indexOfKey(key);
        if (this.#oldestRowLast >= keepFrom && this.#bytes <= this.#bytesMax) break trim;
        batch.delete(key);
        this.#bytes -= row.length;
        this.#storedFirst = this.#oldestRowLast + 1;
        trimmed += 1;
      }
    }
    iterator.close();
    this.#trimRemoved(batch);
  }

  #trimRemoved(batch: KvBatch): void {
    if (this.#removedFirst >= this.#storedFirst) return;
    const range = {
      from: indexKey(PREFIX.removedNames, this.#removedFirst),
      to: indexKey(PREFIX.removedNames, this.#storedFirst),
    };
    const iterator = this.#kv.iterator(range);
    const rows = iterator.nextMany(TRIM_ROWS_MAX);
    iterator.close();
    for (let i = 0; i < rows.length; i += 2) {
      const [key, row] = [rows[i], rows[i + 1]];
      if (key === undefined || row === undefined) break;
      batch.delete(key);
      this.#bytes -= row.length;
      this.#removedFirst = indexOfKey(key) + 1;
    }
    if (rows.length === 0) this.#removedFirst = this.#storedFirst;
  }
}
