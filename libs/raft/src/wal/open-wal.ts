/**
 * Gets a log ready to be written to: takes the lock, creates the first segment or reads what is
 * there, repairs the end. Owns the order of these steps; what is done with the result is wal.ts's
 * business.
 */
import { NOBODY } from "../core/model/types.ts";
import type { HardState } from "../core/model/types.ts";
import { FatalError } from "../core/model/errors.ts";
import { MemoryLog } from "./memory-log.ts";
import { runInline, runOnPool } from "./files/file-system.ts";
import type { FileSystem, Steps } from "./files/file-system.ts";
import { recover } from "./log-reader.ts";
import { nodeFileSystem } from "./files/node-file-system.ts";
import type { CompactionMarker, WalMetadata } from "./format/record.ts";
import { createSegment, removeTemporaries, settleTail } from "./segment-files.ts";
import type { RepairedTail } from "./segment-files.ts";
import { listSegments, pathIn, segmentName, SegmentWriter } from "./format/segment.ts";
import type { SegmentName, SegmentStore } from "./format/segment.ts";
import type { SyncMode } from "./sync-policy.ts";

/** Settings of a log; each has a default. */
export interface WalOptions {
  /** Default: that of this machine. */
  readonly fileSystem?: FileSystem;
  /** A segment this large is followed by another. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Default "adaptive". With "inline" nothing ever runs on the thread pool. */
  readonly syncMode?: SyncMode;
  /** Milliseconds on a monotonic clock. */
  readonly now?: () => number;
  /** Told how long each sync of the log took. */
  readonly onSync?: (seconds: number) => void;
  /** Told of each sync that took `slowSyncMs` or longer. */
  readonly onSlowSync?: (seconds: number) => void;
  /** Default 1000. */
  readonly slowSyncMs?: number;
  /**
   * Releases the lock on the directory, which the caller has taken already; the log calls it when it
   * is closed, not when it could not be opened. Default: the log takes the lock itself.
   */
  readonly unlock?: (() => void) | undefined;
}

/** Settings of a log that is made. */
export interface CreateWalOptions extends WalOptions {
  readonly metadata: WalMetadata;
}

/** What a log consists of before it can be written to. */
export interface WalParts {
  readonly store: SegmentStore;
  readonly options: WalOptions;
  readonly unlock: () => void;
  readonly metadata: WalMetadata;
  readonly hardState: HardState;
  readonly marker: CompactionMarker | undefined;
  readonly log: MemoryLog;
  /** Segments before the last, oldest first. */
  readonly older: readonly SegmentName[];
  readonly tail: SegmentWriter;
  readonly rollingCrc: number;
  /** The last batch is the empty one that closing a log writes. */
  readonly isClosed: boolean;
  readonly bytesSinceCompaction: number;
  readonly repaired: RepairedTail | undefined;
}

const SEGMENT_BYTES = 64 * 1024 * 1024;
const SEGMENT_BYTES_MAX = 1024 * 1024 * 1024;
const NO_HARD_STATE: HardState = { term: 0, vote: NOBODY, commit: 0 };

/** Prepares on this thread. */
export function prepareInline<T>(options: WalOptions, steps: Steps<T>): T {
  return runInline(options.fileSystem ?? nodeFileSystem, steps);
}

/** Prepares with syncs on the thread pool. */
export async function prepareOnPool<T>(options: WalOptions, steps: Steps<T>): Promise<T> {
  return runOnPool(options.fileSystem ?? nodeFileSystem, steps);
}

/** Starts a log. @throws FatalError when there is one already, or when the directory is in use. */
export function* createParts(directory: string, options: CreateWalOptions): Steps<WalParts> {
  const store = storeOf(directory, options);
  const { fileSystem } = store;
  fileSystem.makeDirectory(directory);
  const unlock = options.unlock ?? fileSystem.lock(directory);
  try {
    if (listSegments(fileSystem, directory).length > 0) {
      throw new FatalError(`create wal error: there is a log in ${directory} already`);
    }
    yield* removeTemporaries(fileSystem, directory);
    const { metadata } = options;
    const head = { metadata, hardState: NO_HARD_STATE, marker: undefined };
    const first = segmentName(0, 1);
    const { writer, rollingCrc } = yield* createSegment(store, first, 0, head);
    return {
      ...{ store, options, unlock, rollingCrc, older: [], tail: writer },
      ...head,
      log: new MemoryLog(0, 0),
      isClosed: false,
      bytesSinceCompaction: 0,
      repaired: undefined,
    };
  } catch (error) {
    if (options.unlock === undefined) unlock();
    throw error;
  }
}

/** Opens a log. @throws FatalError when there is none, or it is damaged or in use. */
export function* openParts(directory: string, options: WalOptions): Steps<WalParts> {
  const store = storeOf(directory, options);
  const { fileSystem } = store;
  if (listSegments(fileSystem, directory).length === 0) {
    throw new FatalError(`open wal error: there is no log in ${directory}`);
  }
  const unlock = options.unlock ?? fileSystem.lock(directory);
  try {
    return yield* recoverParts(store, options, unlock);
  } catch (error) {
    if (options.unlock === undefined) unlock();
    throw error;
  }
}

function* recoverParts(
  store: SegmentStore,
  options: WalOptions,
  unlock: () => void,
): Steps<WalParts> {
  const { fileSystem, directory } = store;
  const recovery = recover(fileSystem, directory);
  const { metadata, hardState, marker, log, rollingCrc, isClosed, bytesSinceCompaction } = recovery;
  yield* removeTemporaries(fileSystem, directory);
  const file = fileSystem.open(pathIn(directory, recovery.tail.file), "readWrite");
  try {
    const repaired = yield* settleTail(fileSystem, directory, file, recovery);
    for (const segment of recovery.obsolete) {
      yield { kind: "remove", path: pathIn(directory, segment.file) };
    }
    const tail = new SegmentWriter(store, recovery.tail, file, recovery.end);
    tail.headEnd = recovery.headEnd;
    return {
      ...{ store, options, unlock, metadata, hardState, marker, log, tail, rollingCrc },
      older: recovery.segments.slice(0, -1),
      ...{ isClosed, bytesSinceCompaction, repaired },
    };
  } catch (error) {
    fileSystem.close(file);
    throw error;
  }
}

function storeOf(directory: string, options: WalOptions): SegmentStore {
  return {
    fileSystem: options.fileSystem ?? nodeFileSystem,
    directory,
    segmentBytes: Math.min(options.segmentBytes ?? SEGMENT_BYTES, SEGMENT_BYTES_MAX),
  };
}
