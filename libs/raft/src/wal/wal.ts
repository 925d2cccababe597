/**
 * The write-ahead log of raft: entries, hard state and the compaction point on disk.
 *
 * Owns when bytes are written, synced, switched to another file and removed. Keeps the entries since
 * the compaction point in memory as well (`log`), where the core reads them. Refuses to know what
 * entries mean, and when it is time to compact. The format is described in segment.ts and
 * record.ts, the rule that tells a torn tail from corruption in segment-reader.ts.
 *
 * The order that makes every crash survivable:
 *
 *   - save: one write, then (if asked) one sync. Memory follows when both are done.
 *   - segment switch: the old segment is trimmed and synced; the new one is written and synced
 *     under a temporary name, renamed, and the directory synced; only then is it written to.
 *   - compact: the marker is durable before the first segment is removed.
 *   - open: a torn tail is cut and the cut synced before anything is appended. Data whose sync
 *     nobody witnessed is written and synced once more, since it may stand in the page cache only.
 */
import { invariant } from "../core/model/invariant.ts";
import type { Entry, HardState, Index, SnapshotMetadata } from "../core/model/types.ts";
import { FatalError } from "../core/model/errors.ts";
import type { MemoryLog } from "./memory-log.ts";
import { runOnPool } from "./files/file-system.ts";
import type { FileSystem, Steps } from "./files/file-system.ts";
import { nodeFileSystem } from "./files/node-file-system.ts";
import { createParts, openParts, prepareOnPool } from "./open-wal.ts";
import type { CreateWalOptions, WalOptions, WalParts } from "./open-wal.ts";
import { BATCH_RECORD_BYTES, BatchWriter, entriesBytesMax } from "./format/record.ts";
import type { CompactionMarker, WalMetadata } from "./format/record.ts";
import { atLeast } from "./replay.ts";
import { createSegment } from "./segment-files.ts";
import type { RepairedTail } from "./segment-files.ts";
import { listSegments, pathIn, segmentName } from "./format/segment.ts";
import type { SegmentName, SegmentStore, SegmentWriter } from "./format/segment.ts";
import { StepRunner } from "./step-runner.ts";
import type { SyncMode } from "./sync-policy.ts";

export type { CreateWalOptions, WalOptions } from "./open-wal.ts";

/** A log that was opened, and what it held. */
export interface OpenedWal {
  readonly wal: Wal;
  readonly metadata: WalMetadata;
  readonly hardState: HardState;
  /** The state machine's durable state at the latest compaction or snapshot. */
  readonly compaction: SnapshotMetadata | undefined;
  /** Present when the end of the log was damaged by a crash and cut off. */
  readonly repaired: RepairedTail | undefined;
}

const SLOW_SYNC_MS = 1000;

/** The work of a log in one turn of the event loop: for testing/inline-wal.ts alone. */
export interface InlineWork {
  created(parts: WalParts): Wal;
  opened(parts: WalParts): OpenedWal;
  compact(wal: Wal, snapshot: SnapshotMetadata, keepFrom: Index): void;
  close(wal: Wal): void;
}

/** Set when this file is loaded. */
export let inline: InlineWork;

/** A log that is open for writing. */
export class Wal {
  /** The entries since the compaction point, as of the last save that was completed. */
  readonly log: MemoryLog;
  readonly metadata: WalMetadata;
  readonly #store: SegmentStore;
  readonly #runner: StepRunner;
  readonly #syncMode: SyncMode;
  readonly #unlock: () => void;
  readonly #batch = new BatchWriter();
  #hardState: HardState;
  #marker: CompactionMarker | undefined;
  /** Segments before the one written to, oldest first. */
  #older: SegmentName[];
  #tail: SegmentWriter;
  #rollingCrc: number;
  #bytesSinceCompaction: number;
  #bytesWritten = 0;
  /** The last batch is the empty one that close() writes. */
  #isMarkedClosed: boolean;
  #state: "open" | "closed" = "open";
  #closing: Promise<void> | undefined;
  /** Ends when no removal of obsolete segments is under way. */
  #removal: Promise<void> = Promise.resolve();

  /** For create() and open(). */
  private constructor(parts: WalParts) {
    const { options } = parts;
    this.log = parts.log;
    this.metadata = parts.metadata;
    this.#store = parts.store;
    this.#syncMode = options.syncMode ?? "adaptive";
    this.#unlock = parts.unlock;
    this.#hardState = parts.hardState;
    this.#marker = parts.marker;
    this.#older = [...parts.older];
    this.#tail = parts.tail;
    this.#rollingCrc = parts.rollingCrc;
    this.#isMarkedClosed = parts.isClosed;
    this.#bytesSinceCompaction = parts.bytesSinceCompaction;
    this.#runner = new StepRunner({
      fileSystem: parts.store.fileSystem,
      directory: parts.store.directory,
      syncMode: this.#syncMode,
      now: options.now ?? (() => performance.now()),
      slowSyncMs: options.slowSyncMs ?? SLOW_SYNC_MS,
      onSync: options.onSync,
      onSlowSync: options.onSlowSync,
    });
  }

  /** Whether a directory holds a log. */
  static exists(directory: string, fileSystem: FileSystem = nodeFileSystem): boolean {
    return listSegments(fileSystem, directory).length > 0;
  }

  /**
   * Starts a log; makes the directory. A crash leaves the log, or none.
   * @throws FatalError when there is a log already, or when another process uses the directory.
   */
  static async create(directory: string, options: CreateWalOptions): Promise<Wal> {
    return new Wal(await prepareOnPool(options, createParts(directory, options)));
  }

  /**
   * Opens the log in a directory, and repairs what a crash may have done to its end.
   * @throws FatalError when there is none, when another process uses it, or when it is damaged.
   */
  static async open(directory: string, options: WalOptions = {}): Promise<OpenedWal> {
    return Wal.#opened(await prepareOnPool(options, openParts(directory, options)));
  }

  static #opened(parts: WalParts): OpenedWal {
    const { metadata, hardState, marker, repaired } = parts;
    return { wal: new Wal(parts), metadata, hardState, compaction: marker?.snapshot, repaired };
  }

  static {
    inline = {
      created: (parts) => new Wal(parts),
      opened: (parts) => Wal.#opened(parts),
      compact: (wal, snapshot, keepFrom) => {
        wal.#runner.runInline(wal.#compactSteps(snapshot, keepFrom));
        wal.#runner.runInline(wal.#removeSteps());
      },
      close: (wal) => {
        wal.#closeInline();
      },
    };
  }

  /** Bytes written since the latest compaction marker. */
  get bytesSinceCompaction(): number {
    return this.#bytesSinceCompaction;
  }

  /** Bytes written since the log was opened. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** The latest hard state saved, at least that of the latest snapshot or compaction. */
  get hardState(): HardState {
    return this.#hardState;
  }

  /** What a sync is expected to take, in seconds; 0 before the first. */
  get syncEstimateSeconds(): number {
    return this.#runner.syncEstimateSeconds;
  }

  /**
   * Appends entries, which may overwrite a conflicting suffix, and a changed hard state; makes both
   * durable if `mustSync`. Without it they become durable with the next sync, at the latest.
   * @returns a promise only when it could not be completed at once.
   * @throws FatalError, or rejects with it: the disk failed, now or before.
   */
  save(
    entries: readonly Entry[],
    hardState: HardState | undefined,
    mustSync: boolean,
  ): void | Promise<void> {
    return this.#runner.run(this.#saveSteps(entries, hardState, mustSync));
  }

  /**
   * Moves the start of the log to `keepFrom`, given that the state machine holds `snapshot` durably:
   * a durable marker first, then the entries below are dropped. Segments that hold nothing else are
   * removed afterwards, when the promise has been resolved. The entries from keepFrom up to the
   * snapshot's index are a reserve for followers that are behind. A no-op when the log has been
   * compacted at that index, or further on, already.
   */
  async compact(snapshot: SnapshotMetadata, keepFrom: Index): Promise<void> {
    await this.#runner.run(this.#compactSteps(snapshot, keepFrom));
    this.#removeObsolete();
  }

  /**
   * Restarts the log at a snapshot that replaced the state machine: all entries are void. Durable
   * when done. The hard state that goes with it is raised to the snapshot's, if not given.
   * @returns a promise only when it could not be completed at once.
   */
  installSnapshot(snapshot: SnapshotMetadata, hardState?: HardState): void | Promise<void> {
    const done = this.#runner.run(this.#installSteps(snapshot, hardState));
    if (done === undefined) this.#removeObsolete();
    else
      return done.then(() => {
        this.#removeObsolete();
      });
  }

  /** Makes everything durable, marks the log as closed in good order, unlocks. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #closeInline(): void {
    if (this.#state === "closed") return;
    try {
      if (this.#runner.failure === undefined) this.#runner.runInline(this.#closeSteps());
    } finally {
      this.#release();
    }
  }

  async #close(): Promise<void> {
    if (this.#state === "closed") return;
    await this.#runner.idle();
    await this.#removal;
    try {
      if (this.#runner.failure === undefined) await this.#runner.run(this.#closeSteps());
    } finally {
      this.#release();
    }
  }

  #release(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#store.fileSystem.close(this.#tail.file);
    this.#unlock();
  }

  *#saveSteps(
    entries: readonly Entry[],
    hardState: HardState | undefined,
    mustSync: boolean,
  ): Steps<void> {
    this.#mustBeOpen();
    if (entries.length > 0 || hardState !== undefined) {
      yield* this.#rollSegment(entriesBytesMax(entries));
      this.#batch.begin();
      this.#batch.addEntries(entries);
      if (hardState !== undefined) this.#batch.addHardState(hardState);
      this.#append();
    }
    if (mustSync) yield* this.#sync();
    this.log.append(entries);
    if (hardState !== undefined) this.#hardState = hardState;
  }

  *#compactSteps(snapshot: SnapshotMetadata, keepFrom: Index): Steps<void> {
    this.#mustBeOpen();
    const first = this.log.firstIndex();
    const last = this.log.lastIndex();
    invariant(snapshot.index <= last, `compaction at ${snapshot.index} beyond the last, ${last}`);
    invariant(keepFrom <= snapshot.index + 1, `keeping from ${keepFrom} leaves a gap`);
    if (snapshot.index <= (this.#marker?.snapshot.index ?? 0)) return;
    const from = Math.max(keepFrom, first);
    const previousTerm = this.log.term(from - 1);
    yield* this.#writeMarker({ snapshot, keepFrom: from, previousTerm, isReset: false }, undefined);
    this.log.compact(from - 1);
  }

  *#installSteps(snapshot: SnapshotMetadata, hardState: HardState | undefined): Steps<void> {
    this.#mustBeOpen();
    const { index, term } = snapshot;
    const marker = { snapshot, keepFrom: index + 1, previousTerm: term, isReset: true };
    yield* this.#writeMarker(marker, hardState);
    this.log.reset(index, term);
  }

  *#writeMarker(marker: CompactionMarker, hardState: HardState | undefined): Steps<void> {
    yield* this.#rollSegment(0);
    this.#batch.begin();
    this.#batch.addCompaction(marker);
    if (hardState !== undefined) this.#batch.addHardState(hardState);
    this.#append();
    yield* this.#sync();
    this.#marker = marker;
    this.#hardState = atLeast(hardState ?? this.#hardState, marker);
    this.#bytesSinceCompaction = 0;
  }

  *#closeSteps(): Steps<void> {
    if (this.#tail.synced < this.#tail.end) yield* this.#sync();
    if (this.#isMarkedClosed) return;
    this.#batch.begin();
    this.#append();
    this.#isMarkedClosed = true;
    yield* this.#sync();
  }

  /** Writes the batch that was built. */
  #append(): void {
    const { sequence } = this.#tail.name;
    const place = { sequence, offset: this.#tail.end, synced: this.#tail.synced };
    const { bytes, rollingCrc } = this.#batch.finish(place, this.#rollingCrc);
    this.#tail.append(bytes);
    this.#rollingCrc = rollingCrc;
    this.#bytesSinceCompaction += bytes.length;
    this.#bytesWritten += bytes.length;
    this.#isMarkedClosed = false;
  }

  *#sync(): Steps<void> {
    const tail = this.#tail;
    const end = tail.end;
    yield { kind: "syncData", file: tail.file };
    tail.synced = end;
  }

  /** Starts another segment when the next batch would make this one too large. */
  *#rollSegment(bytes: number): Steps<void> {
    const old = this.#tail;
    if (old.end + BATCH_RECORD_BYTES + bytes <= this.#store.segmentBytes) return;
    if (old.end === old.headEnd) return;
    old.trim();
    yield { kind: "syncFile", file: old.file };
    const name = segmentName(old.name.sequence + 1, this.log.lastIndex() + 1);
    const head = { metadata: this.metadata, hardState: this.#hardState, marker: this.#marker };
    const next = yield* createSegment(this.#store, name, this.#rollingCrc, head);
    this.#older.push(old.name);
    this.#tail = next.writer;
    this.#rollingCrc = next.rollingCrc;
    this.#store.fileSystem.close(old.file);
  }

  /** Removes what is not needed any more, without keeping the log's own work waiting. */
  #removeObsolete(): void {
    if (this.#syncMode === "inline") {
      this.#runner.runInline(this.#removeSteps());
      return;
    }
    const steps = this.#removeSteps();
    this.#removal = this.#removal
      .then(() => runOnPool(this.#store.fileSystem, steps))
      .catch((error: unknown) => {
        this.#runner.fail(error);
      });
  }

  *#removeSteps(): Steps<void> {
    for (const segment of this.#takeObsolete()) {
      yield { kind: "remove", path: pathIn(this.#store.directory, segment.file) };
    }
  }

  /** Segments before the last one that begins at or below the start of the log. */
  #takeObsolete(): SegmentName[] {
    const first = this.log.firstIndex();
    if (this.#tail.name.firstIndex <= first) return this.#older.splice(0);
    const keep = this.#older.findLastIndex((segment) => segment.firstIndex <= first);
    return keep > 0 ? this.#older.splice(0, keep) : [];
  }

  #mustBeOpen(): void {
    if (this.#state === "closed") throw new FatalError("the wal is closed");
  }
}
