/**
 * The port by which the core reads the durable part of the log. The write-ahead log implements it
 * for real (wal/wal.ts), memory-storage.ts for tests and the simulator. All calls are synchronous:
 * the entries since the last compaction are held in memory, bounded by the host's compaction.
 */
import type { ConfState, Entry, HardState, Index, SnapshotMetadata, Term } from "./types.ts";

/** The durable log as the core reads it. */
export interface LogStorage {
  /** What was durable at start: hard state and the membership as of the applied index. */
  initialState(): { readonly hardState: HardState; readonly confState: ConfState };
  /** First index still readable; one past the compacted index. 1 for a log never compacted. */
  firstIndex(): Index;
  /** Last index held; firstIndex() - 1 when the log is empty. */
  lastIndex(): Index;
  /**
   * Term of the entry at `index`; also answers for firstIndex() - 1 (the compaction point).
   * @throws RaftError "compacted" below that, "unavailable" above lastIndex().
   */
  term(index: Index): Term;
  /**
   * Entries in [lo, hi), at least one, then as many as fit in `bytesMax` of data.
   * @throws RaftError "compacted" or "unavailable" as for term().
   */
  entries(lo: Index, hi: Index, bytesMax: number): readonly Entry[];
  /** Where a snapshot taken now would stand: the applied state of the host's state machine. */
  snapshot(): SnapshotMetadata;
}
