/**
 * The contract between the core and its host: one Ready record at a time.
 *
 * The host calls tick / step / propose / readIndex as often as it likes, then, while hasReady():
 *
 *   1. `const rd = raw.ready()`
 *   2. send `rd.messages` at once: they promise nothing about this member's disk (a Ready that
 *      commits a conf change has none: its commit is told when it is durable)
 *   3. if `rd.snapshot`: it has been installed by the host already (the data travels beside the
 *      core); persist its metadata as the new compaction point. Before it replaces its state
 *      machine the host asks `raw.wantsSnapshot(message)`, and steps the message right after: if
 *      the log reaches the snapshot anyway, no Ready follows but the entries up to there count
 *      as applied
 *   4. append `rd.entries` and `rd.hardState` to the log; sync if `rd.mustSync`
 *   5. send `rd.messagesAfterPersist`: append and vote responses promise what step 4 made durable
 *   6. apply `rd.committedEntries` to the state machine, in order; for each confChange entry call
 *      `raw.applyConfChange` (also for a change the host rejects: then with no changes applied,
 *      by `raw.rejectConfChange()`). A conf change entry without data
 *      means LEAVE_JOINT of confchange.ts: the leader appends it by itself
 *   7. resolve reads in `rd.readStates` once the state machine has applied their index
 *   8. `raw.advance(rd)`
 *
 * ready() must not be called again before advance(). Entries a leader appends to its own log count
 * towards its quorum only at advance(), that is once durable, so a lone voter commits in the Ready
 * that follows. committedEntries never holds an entry that is not durable on this member.
 */
import type {
  Entry,
  HardState,
  Message,
  ReadState,
  SnapshotMetadata,
  SoftState,
} from "./model/types.ts";

/** What the host has to do now. Nothing in it may be left out. */
export interface Ready {
  /** Present when the leader or the role changed. */
  readonly softState: SoftState | undefined;
  /** Present when term, vote or commit changed. */
  readonly hardState: HardState | undefined;
  /** Entries to append to the log; the first may overwrite a conflicting suffix. */
  readonly entries: readonly Entry[];
  readonly snapshot: SnapshotMetadata | undefined;
  readonly messages: readonly Message[];
  readonly messagesAfterPersist: readonly Message[];
  readonly committedEntries: readonly Entry[];
  readonly readStates: readonly ReadState[];
  /**
   * True when there are entries or a snapshot, or when term or vote changed, or when a conf change
   * became committed; any other change of commit alone needs no sync.
   */
  readonly mustSync: boolean;
}
