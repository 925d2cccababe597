/**
 * A data directory of etcd 2.x or 3.x as one thing: checks the whole log first, then replays
 * snapshot and entries onto a store.
 */
import { formatId, MEMBERS_PATH } from "@etcd2/member-dir";
import { isDamage, MigrateError } from "../errors.ts";
import type { Source2 } from "../detect.ts";
import { chooseSegments, listSegments } from "../etcd2/segments.ts";
import type { Snapshot2 } from "../etcd2/snapshot.ts";
import { chooseSnapshot } from "../etcd2/snapshot.ts";
import { effectiveEntries } from "../etcd2/wal-entries.ts";
import type { WalScan } from "../etcd2/wal-scan.ts";
import { scanWal } from "../etcd2/wal-scan.ts";
import { fileChunks } from "../io/file-chunks.ts";
import { FileCursor } from "../io/file-cursor.ts";
import { decodeAt, FormatError, placed } from "../io/format-error.ts";
import { JsonObject } from "../io/json-object.ts";
import { fromByteString } from "@etcd2/store";
import type { Pacer } from "../pacer.ts";
import { loadNode2 } from "../replay/load.ts";
import { Replay2 } from "../replay/replay2.ts";
import type { ReplayStore } from "../replay/replay-store.ts";
import { EMPTY_LOAD } from "../replay/replay-store.ts";
import { parseVersion, rulesFor } from "../replay/rules.ts";
import { readStoreJson } from "../store-json.ts";
import { describeTail } from "../tail.ts";
import type { OpenedSource, ReplayResult, SourceMember, SourceOptions } from "./source.ts";

/** Checks the directory from end to end. @throws MigrateError when it must be refused. */
export function openSource2(source: Source2, options: SourceOptions): OpenedSource {
  const { notice } = options;
  const choice =
    source.snapDir === undefined
      ? { snapshot: undefined, damaged: [] }
      : chooseSnapshot(source.snapDir, notice);
  const { snapshot } = choice;
  const listed = listSegments(source.walDir, notice);
  const newestDamage = choice.damaged[0];
  let segments;
  try {
    segments = chooseSegments(listed, snapshot?.index ?? 0, source.walDir);
  } catch (error) {
    // A gap behind an older snapshot is no news: the damaged newer one is.
    if (newestDamage !== undefined && isDamage(error)) throw newestDamage;
    throw error;
  }
  const totalBytes = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
  const scan = scanWal(segments, {
    snapshot: { index: snapshot?.index ?? 0, term: snapshot?.term ?? 0 },
    skipCorrupt: options.skipCorrupt,
    progress: (bytes) => {
      options.progress("check", bytes, totalBytes);
    },
  });
  reportScan(scan, options);
  return new OpenedSource2(source, options, snapshot, scan, totalBytes);
}

function reportScan(scan: WalScan, { notice }: SourceOptions): void {
  if (scan.tail !== undefined) {
    const code = scan.tail.kind === "cutShort" ? "tornTail" : "zeroTail";
    const { file, offset } = scan.tail;
    notice({ code, text: describeTail(scan.tail), file, offset });
  }
  if (scan.damage !== undefined) {
    notice({
      code: "dropped",
      text: `${scan.damage.describe()}; everything from there on is left out`,
    });
  }
}

class OpenedSource2 implements OpenedSource {
  readonly #source: Source2;
  readonly #options: SourceOptions;
  readonly #snapshot: Snapshot2 | undefined;
  readonly #scan: WalScan;
  readonly totalBytes: number;

  constructor(
    source: Source2,
    options: SourceOptions,
    snapshot: Snapshot2 | undefined,
    scan: WalScan,
    totalBytes: number,
  ) {
    this.#source = source;
    this.#options = options;
    this.#snapshot = snapshot;
    this.#scan = scan;
    this.totalBytes = totalBytes;
  }

  get snapshotIndex(): number {
    return this.#snapshot?.index ?? 0;
  }

  get format(): string {
    const version = parseVersion(this.#scan.clusterVersion);
    if (version !== undefined) return `etcd ${version.major}.${version.minor}`;
    if (this.#snapshot !== undefined) return "etcd 2.x or 3.x";
    return this.#source.isFlatLayout ? "etcd 2.0.0 or earlier" : "etcd 2.0";
  }

  async replay(store: ReplayStore, pacer: Pacer): Promise<ReplayResult> {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) await store.endLoad(EMPTY_LOAD);
    else await loadSnapshot(snapshot, store);
    if (this.#scan.firstSyncNs !== undefined) store.setTime(this.#scan.firstSyncNs);
    const clusterVersion = this.#scan.clusterVersion ?? store.peek("/0/version")?.value;
    const { isFlatLayout } = this.#source;
    const { hasSnapshotMarks } = this.#scan;
    const rules = rulesFor({ clusterVersion, isFlatLayout, hasSnapshotMarks });
    const replay = new Replay2(store, rules);
    replay.members.load();
    const position = await this.#replayEntries(replay, pacer);
    this.#reportReplay(replay, position.uncommitted);
    const { metadata, state } = this.#scan;
    return {
      memberId: metadata.memberId,
      clusterId: metadata.clusterId,
      members: replay.members.members.map((member) => ({
        ...member,
        ...attributesOf(store, member.id),
      })),
      removedIds: replay.members.removedIds,
      raftIndex: position.index,
      raftTerm: position.term,
      hardTerm: Math.max(state?.term ?? 0, position.term),
      vote: state?.vote ?? "0".repeat(16),
      clusterVersion: store.peek("/0/version")?.value,
      entriesApplied: replay.counts.entries,
      entriesUncommitted: position.uncommitted,
      v3Entries: replay.counts.v3Entries,
    };
  }

  /**
   * Applies the committed entries, and the rest too if the member is alone: it would have
   * committed them itself at its next start.
   */
  async #replayEntries(
    replay: Replay2,
    pacer: Pacer,
  ): Promise<{ index: number; term: number; uncommitted: number }> {
    const scan = this.#scan;
    const commit = Math.max(scan.state?.commit ?? 0, this.snapshotIndex);
    let index = this.snapshotIndex;
    let term = this.#snapshot?.term ?? 0;
    for (const { entry, file, offset, bytesRead } of effectiveEntries(scan, index)) {
      if (entry.index === commit + 1 && !replay.members.isAlone()) {
        return { index, term, uncommitted: scan.lastIndex - commit };
      }
      try {
        if (entry.term < term) throw new FormatError(`term ${entry.term} follows term ${term}`);
        replay.apply(entry);
      } catch (error) {
        const located = this.#locate(error, file, offset);
        if (!this.#options.skipCorrupt || !isDamage(located)) throw located;
        const text = `${located.describe()}; everything from there on is left out`;
        this.#options.notice({ code: "dropped", text });
        break;
      }
      index = entry.index;
      term = entry.term;
      if (pacer.due()) {
        this.#options.progress("replay", bytesRead, this.totalBytes);
        await pacer.pause();
      }
    }
    return { index, term, uncommitted: 0 };
  }

  #locate(error: unknown, file: string, offset: number): unknown {
    if (error instanceof MigrateError && error.file === undefined) {
      return new MigrateError(error.code, error.message, { file, offset, cause: error });
    }
    return placed(error, file, offset);
  }

  #reportReplay(replay: Replay2, uncommitted: number): void {
    const { notice } = this.#options;
    if (uncommitted > 0) {
      notice({
        code: "uncommitted",
        text:
          `${uncommitted} entries at the end of the log are left out: ` +
          "this member of a cluster does not know whether they were committed",
      });
    }
    if (replay.counts.rootDeletes > 0) {
      notice({
        code: "rootDeleted",
        text:
          `${replay.counts.rootDeletes} times everything was deleted, which 2.0.0-rc.1 allowed; ` +
          "indexes of later changes may differ from those the old server showed",
      });
    }
    if (replay.counts.ambiguousUpdates > 0) {
      notice({
        code: "ambiguousUpdate",
        text:
          `${replay.counts.ambiguousUpdates} updates with conditions were taken as ` +
          "compare-and-swap; servers before 2.0.1 ignored the conditions",
      });
    }
  }
}

async function loadSnapshot(snapshot: Snapshot2, store: ReplayStore): Promise<void> {
  const cursor = new FileCursor(snapshot.path);
  try {
    const document = decodeAt(snapshot.path, snapshot.jsonStart, () =>
      readStoreJson(fileChunks(cursor, snapshot.jsonStart, snapshot.jsonEnd), (node) => {
        loadNode2(store, node);
      }),
    );
    const { currentIndex: etcdIndex, events } = document;
    const { index: raftIndex, term: raftTerm } = snapshot;
    await store.endLoad({ etcdIndex, raftIndex, raftTerm, events });
  } finally {
    cursor.close();
  }
}

/** What a member published about itself; empty when it never started. */
function attributesOf(store: ReplayStore, id: string): Pick<SourceMember, "name" | "clientUrls"> {
  const value = store.peek(`${MEMBERS_PATH}/${formatId(id)}/attributes`)?.value;
  if (value === undefined || value === "") return { name: "", clientUrls: [] };
  try {
    const json = JsonObject.parse(fromByteString(value));
    return { name: json.text("name"), clientUrls: json.texts("clientURLs") };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { name: "", clientUrls: [] };
  }
}
