/** What the tests of the log share: random numbers, entries, and the visible state of a log. */
import { crc32 } from "node:zlib";
import { seedOfRun, seededRandom } from "@etcd2/test-support";
import { MEMBER, METADATA } from "./metadata.ts";
import type {
  ConfState,
  Entry,
  HardState,
  Random,
  SnapshotMetadata,
} from "../../src/core/model/types.ts";
import { SimulatedDisk } from "../../src/testing/simulated-disk.ts";
import type { Wal } from "../../src/wal/wal.ts";
import type { OpenedWal, WalOptions } from "../../src/wal/wal.ts";
import { createInline, openInline } from "../../src/testing/inline-wal.ts";

export { MEMBER, METADATA };
export const DIRECTORY = "/data/wal";
const CONF_STATE: ConfState = {
  voters: [MEMBER, "00000000000000b2"],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

/** Seed of all random tests of this process; SEED= repeats a run. */
export const SEED = seedOfRun();

export function upTo(random: Random, max: number): number {
  return Math.floor(random() * (max + 1));
}

export function pick<T>(random: Random, values: readonly T[]): T {
  const value = values[Math.floor(random() * values.length)];
  if (value === undefined) throw new Error("nothing to pick from");
  return value;
}

/** Consecutive entries with data that depends on term and index alone. */
export function entriesOf(term: number, first: number, count: number, bytes = 40): Entry[] {
  return Array.from({ length: count }, (_, at) => ({
    term,
    index: first + at,
    type: (first + at) % 7 === 3 ? "confChange" : "normal",
    data: new Uint8Array(bytes).fill((term * 31 + first + at) % 251),
  }));
}

export function hardStateOf(term: number, commit: number): HardState {
  return { term, vote: MEMBER, commit };
}

export function snapshotAt(index: number, term: number): SnapshotMetadata {
  return { index, term, confState: CONF_STATE };
}

export function newDisk(seed = 1): SimulatedDisk {
  return new SimulatedDisk({ random: seededRandom(seed) });
}

/** Options that leave everything to this thread and the simulated disk. */
export function on(disk: SimulatedDisk, segmentBytes = 64 * 1024): WalOptions {
  return { fileSystem: disk, segmentBytes, syncMode: "inline", now: () => disk.nowMs };
}

export function createOn(disk: SimulatedDisk, segmentBytes?: number): Wal {
  return createInline(DIRECTORY, { ...on(disk, segmentBytes), metadata: METADATA });
}

export function openOn(disk: SimulatedDisk, segmentBytes?: number): OpenedWal {
  return openInline(DIRECTORY, on(disk, segmentBytes));
}

/** Everything a log tells about itself, in one comparable text. */
export function describeLog(wal: Wal, compaction: SnapshotMetadata | undefined): string {
  const { log, hardState } = wal;
  const first = log.firstIndex();
  const last = log.lastIndex();
  const entries = last < first ? [] : log.entries(first, last + 1, Number.MAX_SAFE_INTEGER);
  return describeState({
    first,
    previousTerm: log.term(first - 1),
    entries,
    hardState,
    compaction,
  });
}

export interface LogState {
  readonly first: number;
  readonly previousTerm: number;
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
  readonly compaction: SnapshotMetadata | undefined;
}

export function describeState(state: LogState): string {
  const { term, vote, commit } = state.hardState;
  const compaction = state.compaction === undefined ? "none" : JSON.stringify(state.compaction);
  return [
    `from ${state.first} after term ${state.previousTerm}`,
    ...state.entries.map(describeEntry),
    `term ${term} vote ${vote} commit ${commit}`,
    `compaction ${compaction}`,
  ].join("\n");
}

function describeEntry(entry: Entry): string {
  const { index, term, type, data } = entry;
  return `${index}@${term} ${type} ${data.length}B crc ${crc32(data).toString(16)}`;
}

/** Saves and insists that it was done at once. */
export function saveNow(
  wal: Wal,
  entries: readonly Entry[],
  hardState?: HardState,
  mustSync = true,
): void {
  const done = wal.save(entries, hardState, mustSync);
  if (done !== undefined) throw new Error("the save was not done at once");
}

/** Installs a snapshot and insists that it was done at once. */
export function installNow(wal: Wal, snapshot: SnapshotMetadata, hardState?: HardState): void {
  const done = wal.installSnapshot(snapshot, hardState);
  if (done !== undefined) throw new Error("the snapshot was not installed at once");
}

/** The error a call throws; fails when it does not throw. */
export function errorOf(call: () => unknown): Error {
  try {
    call();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
