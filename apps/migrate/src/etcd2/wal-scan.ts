/**
 * First reading of a write-ahead log: checks every record and finds out what the second reading
 * must know beforehand: identity, the commit index, which entries were replaced later, the cluster
 * version. Memory does not grow with the log. Applies nothing.
 */
import { isDamage, MigrateError } from "../errors.ts";
import { decodeAt, FormatError } from "../io/format-error.ts";
import type { TailDamage } from "../tail.ts";
import type { WalEntry, WalMetadata, WalSnapshotMark, WalState } from "./records.ts";
import {
  decodeEntry,
  decodeMetadata,
  decodeSnapshotMark,
  decodeState,
  RECORD_TYPE,
} from "./records.ts";
import { decodeRequest } from "./request.ts";
import type { Segment } from "./segments.ts";
import type { WalRecord } from "./wal.ts";
import { WalReader } from "./wal.ts";

/** Entries that set the cluster version are smaller than this. */
const VERSION_ENTRY_BYTES_MAX = 512;

export interface WalScanOptions {
  /** Index and term of the snapshot that is used, zeros for none. */
  readonly snapshot: WalSnapshotMark;
  /** Take what precedes damage instead of refusing. */
  readonly skipCorrupt: boolean;
  /** Called now and then with the bytes read. */
  readonly progress?: (bytesRead: number) => void;
}

export interface WalScan {
  readonly segments: readonly Segment[];
  readonly metadata: WalMetadata;
  /** Undefined when the log holds none. */
  readonly state: WalState | undefined;
  /** Last entry, the snapshot's index when there is none behind it. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Records of all types that may be read again. */
  readonly recordCount: number;
  /** Entries behind the snapshot, replaced ones included. */
  readonly entryCount: number;
  /** Where entries were replaced: entry number `ordinal` voids earlier ones from `index` on. */
  readonly overwrites: readonly { readonly ordinal: number; readonly index: number }[];
  /** Cluster version set by the log, if any. */
  readonly clusterVersion: string | undefined;
  /** Time of the first time signal, nanoseconds since 1970. */
  readonly firstSyncNs: bigint | undefined;
  /** Whether the log has any snapshot record (2.0.0 and later), and one for the snapshot used. */
  readonly hasSnapshotMarks: boolean;
  readonly hasMarkOfSnapshot: boolean;
  readonly tail: TailDamage | undefined;
  /** With skipCorrupt: what ended the reading. */
  readonly damage: MigrateError | undefined;
}

/** @throws MigrateError for damage, unless it may be skipped. */
export function scanWal(segments: readonly Segment[], options: WalScanOptions): WalScan {
  const reader = new WalReader(segments, { verify: true });
  const scanner = new Scanner(options.snapshot);
  let damage: MigrateError | undefined;
  try {
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      scanner.take(record);
      if (scanner.recordCount % 4096 === 0) options.progress?.(reader.bytesRead);
    }
    scanner.checkEnd(segments);
  } catch (error) {
    if (!options.skipCorrupt || !isDamage(error)) throw error;
    damage = error;
  } finally {
    reader.close();
  }
  return scanner.result(segments, reader.tail, damage);
}

class Scanner {
  readonly #snapshot: WalSnapshotMark;
  recordCount = 0;
  #metadata: WalMetadata | undefined;
  #state: WalState | undefined;
  #lastIndex: number;
  #lastTerm: number;
  #entryCount = 0;
  readonly #overwrites: { ordinal: number; index: number }[] = [];
  readonly #versions: { index: number; version: string }[] = [];
  #firstSyncNs: bigint | undefined;
  #hasSnapshotMarks = false;
  #hasMarkOfSnapshot = false;

  constructor(snapshot: WalSnapshotMark) {
    this.#snapshot = snapshot;
    this.#lastIndex = snapshot.index;
    this.#lastTerm = snapshot.term;
    this.#hasMarkOfSnapshot = snapshot.index === 0;
  }

  take(record: WalRecord): void {
    const { file, offset, data } = record;
    decodeAt(file, offset, () => {
      switch (record.type) {
        case RECORD_TYPE.metadata:
          this.#takeMetadata(decodeMetadata(data));
          break;
        case RECORD_TYPE.entry:
          this.#takeEntry(decodeEntry(data), record);
          break;
        case RECORD_TYPE.state:
          this.#state = decodeState(data);
          break;
        case RECORD_TYPE.snapshot:
          this.#takeMark(decodeSnapshotMark(data));
          break;
        default:
          throw new FormatError(`unknown record type ${record.type}`);
      }
    });
    this.recordCount++;
  }

  #takeMetadata(metadata: WalMetadata): void {
    const known = this.#metadata;
    if (
      known !== undefined &&
      (known.memberId !== metadata.memberId || known.clusterId !== metadata.clusterId)
    ) {
      throw new FormatError("conflicting metadata: files of different members are mixed here");
    }
    this.#metadata = metadata;
  }

  #takeEntry(entry: WalEntry, record: WalRecord): void {
    if (entry.index <= this.#snapshot.index) return;
    if (entry.index > this.#lastIndex + 1) {
      throw new MigrateError(
        "missing",
        `entry ${entry.index} follows entry ${this.#lastIndex}: entries are missing`,
        { file: record.file, offset: record.offset },
      );
    }
    this.#entryCount++;
    if (entry.index <= this.#lastIndex) {
      if (entry.index <= (this.#state?.commit ?? 0)) {
        throw new FormatError(`entry ${entry.index} replaces a committed one`);
      }
      this.#overwrites.push({ ordinal: this.#entryCount, index: entry.index });
      while ((this.#versions.at(-1)?.index ?? -1) >= entry.index) this.#versions.pop();
    }
    this.#lastIndex = entry.index;
    this.#lastTerm = entry.term;
    this.#noteVersion(entry);
    this.#noteTime(entry);
  }

  #noteTime(entry: WalEntry): void {
    if (this.#firstSyncNs !== undefined || entry.isConfChange || entry.data.length > 256) return;
    if (!entry.data.includes("SYNC")) return;
    const request = decodeRequest(entry.data);
    if (request.kind === "v2" && request.method === "SYNC") this.#firstSyncNs = request.timeNs;
  }

  #noteVersion(entry: WalEntry): void {
    if (entry.isConfChange || entry.data.length > VERSION_ENTRY_BYTES_MAX) return;
    if (entry.data.length === 0) return;
    const isV2 = entry.data.includes("/0/version");
    // Field 1300 of a v3 request, length-delimited.
    if (!isV2 && !entry.data.includes("\xa2\x51", 0, "latin1")) return;
    const request = decodeRequest(entry.data);
    if (request.kind === "clusterVersion") {
      this.#versions.push({ index: entry.index, version: request.version });
    } else if (
      request.kind === "v2" &&
      request.path === "/0/version" &&
      (request.method === "PUT" || request.method === "POST")
    ) {
      this.#versions.push({ index: entry.index, version: request.value });
    }
  }

  #takeMark(mark: WalSnapshotMark): void {
    this.#hasSnapshotMarks = true;
    if (mark.index !== this.#snapshot.index || mark.index === 0) return;
    if (mark.term !== this.#snapshot.term) {
      throw new FormatError(
        `the log knows the snapshot at ${mark.index} with term ${mark.term}, ` +
          `the file has ${this.#snapshot.term}`,
      );
    }
    this.#hasMarkOfSnapshot = true;
  }

  /** Checks that need the whole log. */
  checkEnd(segments: readonly Segment[]): void {
    const file = segments.at(-1)?.path ?? "";
    if (this.#metadata === undefined) {
      throw new MigrateError("corrupt", "the log holds no metadata", { file });
    }
    const commit = this.#state?.commit ?? 0;
    if (commit > this.#lastIndex) {
      throw new MigrateError(
        "missing",
        `the log ends at entry ${this.#lastIndex}, but ${commit} was committed`,
        { file, remedy: "take another member's directory, or --skip-corrupt for what is here" },
      );
    }
  }

  result(
    segments: readonly Segment[],
    tail: TailDamage | undefined,
    damage: MigrateError | undefined,
  ): WalScan {
    if (this.#metadata === undefined) {
      throw damage ?? new MigrateError("corrupt", "the log holds no metadata");
    }
    return {
      segments,
      metadata: this.#metadata,
      state: this.#state,
      lastIndex: this.#lastIndex,
      lastTerm: this.#lastTerm,
      recordCount: this.recordCount,
      entryCount: this.#entryCount,
      overwrites: this.#overwrites,
      clusterVersion: this.#versions.at(-1)?.version,
      firstSyncNs: this.#firstSyncNs,
      hasSnapshotMarks: this.#hasSnapshotMarks,
      hasMarkOfSnapshot: this.#hasMarkOfSnapshot,
      tail,
      damage,
    };
  }
}
