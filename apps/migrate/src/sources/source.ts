/**
 * What the commands see of an old data directory, whatever its version: facts known before, one
 * method that replays it onto a store, and what came out of it.
 */
import type { NoticeSink } from "../notices.ts";
import type { Pacer } from "../pacer.ts";
import type { ReplayStore } from "../replay/replay-store.ts";

export interface SourceOptions {
  /** Name of the member the directory belongs to; needed only where the files do not tell. */
  readonly name?: string | undefined;
  /** Take what precedes damage instead of refusing. */
  readonly skipCorrupt: boolean;
  readonly notice: NoticeSink;
  readonly progress: ProgressSink;
}

/** Told now and then how far the work is; `phase` changes begin a new bar. */
export type ProgressSink = (phase: "check" | "replay", done: number, total: number) => void;

export interface SourceMember {
  /** 16 hexadecimal digits. */
  readonly id: string;
  /** "" for a member that never started. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface ReplayResult {
  /** The member the directory belongs to; may be no member any more (after a backup). */
  readonly memberId: string;
  readonly clusterId: string;
  readonly members: readonly SourceMember[];
  readonly removedIds: readonly string[];
  /** Last applied log entry. */
  readonly raftIndex: number;
  readonly raftTerm: number;
  /** Newest term and vote known to the source. */
  readonly hardTerm: number;
  readonly vote: string;
  readonly clusterVersion: string | undefined;
  /** Entries of the log applied on top of the snapshot. */
  readonly entriesApplied: number;
  /** Entries left out because nothing says that they were committed. */
  readonly entriesUncommitted: number;
  /** Changes of the v3 store in the log, left out. */
  readonly v3Entries: number;
}

export interface OpenedSource {
  /** "etcd 0.4", "etcd 2.3" and so on, as far as the files tell. */
  readonly format: string;
  /** Index of the snapshot used, 0 for none. */
  readonly snapshotIndex: number;
  /** Bytes the replay will read. */
  readonly totalBytes: number;
  replay(store: ReplayStore, pacer: Pacer): Promise<ReplayResult>;
}
