/**
 * Brings segment files into being and settles the last one after a crash, in steps that leave a
 * legal log at every point. Owns the order of writing, syncing and renaming; knows nothing of what
 * the log holds in memory.
 *
 * A segment is created when it is needed, not ahead: it is extended by zeros that take no space, so
 * there is nothing to fill, and its head repeats what is known only at that moment. What is left is
 * three journal commits in 64 MiB of log.
 */
import type { HardState } from "../core/model/types.ts";
import { errorCode } from "./files/file-system.ts";
import type { FileHandle, FileSystem, Steps } from "./files/file-system.ts";
import type { Recovery } from "./log-reader.ts";
import { BatchWriter } from "./format/record.ts";
import type { CompactionMarker, WalMetadata } from "./format/record.ts";
import { encodeSegmentStart, HEAD_OFFSET, pathIn, SegmentWriter } from "./format/segment.ts";
import type { SegmentName, SegmentStore } from "./format/segment.ts";

/** Ending of a segment that is being written and not part of the log yet. */
const TEMPORARY_SUFFIX = ".wal.tmp";
const COPY_BYTES = 1024 * 1024;

/** What a segment repeats of the log before it. */
export interface SegmentHead {
  readonly metadata: WalMetadata;
  readonly hardState: HardState;
  readonly marker: CompactionMarker | undefined;
}

/** A torn tail that was cut off. */
export interface RepairedTail {
  readonly file: string;
  /** Where the log ends now. */
  readonly offset: number;
  readonly droppedBytes: number;
  /** What was found wrong. */
  readonly problem: string;
  /** The file as it was; undefined when there was no space for a copy. */
  readonly copy: string | undefined;
}

/** Creates a segment, durable under its name, and opens it for writing. */
export function* createSegment(
  store: SegmentStore,
  name: SegmentName,
  rollingCrc: number,
  head: SegmentHead,
): Steps<{ readonly writer: SegmentWriter; readonly rollingCrc: number }> {
  const { fileSystem, directory } = store;
  const path = pathIn(directory, name.file);
  const batch = new BatchWriter();
  batch.begin();
  batch.addMetadata(head.metadata);
  if (head.hardState.term > 0 || head.hardState.commit > 0) batch.addHardState(head.hardState);
  // The entries that follow a reset are in the segment before, if there were any: a repeated
  // marker must not void them.
  if (head.marker !== undefined) batch.addCompaction({ ...head.marker, isReset: false });
  const place = { sequence: name.sequence, offset: HEAD_OFFSET, synced: 0 };
  const first = batch.finish(place, rollingCrc);
  const file = fileSystem.open(`${path}.tmp`, "create");
  try {
    const writer = new SegmentWriter(store, name, file, 0);
    writer.append(Buffer.concat([encodeSegmentStart(name, rollingCrc), first.bytes]));
    writer.headEnd = writer.end;
    yield { kind: "syncFile", file };
    fileSystem.rename(`${path}.tmp`, path);
    yield { kind: "syncDirectory", path: directory };
    writer.synced = writer.end;
    return { writer, rollingCrc: first.rollingCrc };
  } catch (error) {
    fileSystem.close(file);
    throw error;
  }
}

/** Removes segments whose creation was interrupted. */
export function* removeTemporaries(fileSystem: FileSystem, directory: string): Steps<void> {
  for (const name of fileSystem.readDirectory(directory)) {
    if (!name.endsWith(TEMPORARY_SUFFIX)) continue;
    yield { kind: "remove", path: pathIn(directory, name) };
  }
}

/**
 * Makes the verified part of the last segment durable and removes what follows it.
 *
 * The process that wrote the data may have been killed before its sync, or after a failed one; then
 * the pages are in memory, perhaps no longer marked as unwritten. Writing them again leaves no doubt.
 */
export function* settleTail(
  fileSystem: FileSystem,
  directory: string,
  file: FileHandle,
  recovery: Recovery,
): Steps<RepairedTail | undefined> {
  const { end, tail, tornTail } = recovery;
  let repaired: RepairedTail | undefined;
  if (tornTail !== undefined) {
    repaired = {
      file: pathIn(directory, tail.file),
      offset: end,
      droppedBytes: recovery.endOfContent - end,
      problem: tornTail.problem,
      copy: yield* copyBroken(fileSystem, directory, file, recovery),
    };
    fileSystem.truncate(file, end);
  }
  if (recovery.synced < end) {
    const bytes = Buffer.alloc(end - recovery.synced);
    fileSystem.read(file, bytes, recovery.synced);
    fileSystem.write(file, bytes, recovery.synced);
  }
  yield { kind: "syncFile", file };
  yield { kind: "syncDirectory", path: directory };
  return repaired;
}

/** Keeps the damaged file for whoever wants to look at it; its path, if there was space for it. */
function* copyBroken(
  fileSystem: FileSystem,
  directory: string,
  source: FileHandle,
  recovery: Recovery,
): Steps<string | undefined> {
  const path = pathIn(directory, `${recovery.tail.file}.broken`);
  try {
    yield* copyFile(fileSystem, source, path, recovery.endOfContent);
    return path;
  } catch (error) {
    if (errorCode(error) !== "ENOSPC" && errorCode(error) !== "EDQUOT") throw error;
  }
  // A full disk is a common cause of torn tails. The member must be able to start all the same.
  yield { kind: "remove", path };
  return undefined;
}

/** Copies the first `length` bytes of an open file. */
function* copyFile(
  fileSystem: FileSystem,
  source: FileHandle,
  path: string,
  length: number,
): Steps<void> {
  const target = fileSystem.open(path, "create");
  try {
    const buffer = Buffer.alloc(COPY_BYTES);
    for (let position = 0; position < length;) {
      const wanted = Math.min(COPY_BYTES, length - position);
      const bytes = fileSystem.read(source, buffer.subarray(0, wanted), position);
      if (bytes === 0) break;
      fileSystem.write(target, buffer.subarray(0, bytes), position);
      position += bytes;
    }
    yield { kind: "syncFile", file: target };
  } finally {
    fileSystem.close(target);
  }
}
