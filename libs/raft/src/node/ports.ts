/**
 * What the loop of node/raft-node.ts is given: the log, the transport, the state machine, and who is told of
 * what happens. Types only.
 */
import type { RaftOptions } from "../core/model/config.ts";
import type { CommittedEntry } from "../core/roles/validate-message.ts";
import type {
  ConfChange,
  ConfState,
  Entry,
  HardState,
  Message,
  SnapshotMetadata,
  SoftState,
  Term,
} from "../core/model/types.ts";
import type { RaftError } from "../core/model/errors.ts";
import type { Transport } from "../transport/transport.ts";

/** The durable log as the loop uses it; wal/wal.ts implements it. */
export interface DurableLog {
  /** Appends and, if asked, syncs. A promise only when the sync left the event loop. */
  save(
    entries: readonly Entry[],
    hardState: HardState | undefined,
    mustSync: boolean,
  ): void | Promise<void>;
  /** Restarts the log at an installed snapshot. */
  installSnapshot(snapshot: SnapshotMetadata): void | Promise<void>;
}

/** Decides conf changes while entries are applied: exactly one call per conf change entry. */
export interface ConfChangeDecider {
  /** The change holds; returns the membership that follows from it. */
  accept(change: ConfChange): ConfState;
  /** The change is refused by the layer above; nothing changes. */
  reject(): void;
}

/** The replicated state machine as the loop sees it. */
export interface StateMachinePort {
  /** Applies committed entries, in order, before it returns. Must not throw but FatalError. */
  apply(entries: readonly Entry[], confChanges: ConfChangeDecider): void;
  /** Metadata of a snapshot taken now. */
  snapshot(): SnapshotMetadata;
}

/** What the loop reports to its owner. Called on the event loop, never from propose(). */
export interface RaftNodeListener {
  onSoftState(state: SoftState): void;
  /** The node cannot go on: disk failure or a broken invariant. Called once. */
  onFatal(error: Error): void;
  /** A proposal the core refused and that will never be applied. */
  onDropped(data: Uint8Array, reason: RaftError): void;
  /**
   * From now on proposals go to the leader of `term`; `queued` are those not handed over yet. What
   * was handed over in an earlier term and is not among the entries applied when the first entry
   * of this term is, never will be: it may be proposed again.
   */
  onProposalTerm?(term: Term, queued: readonly Uint8Array[]): void;
  /**
   * A message from another member that contradicts what is known for certain was dropped.
   * @param entry the committed entry that the leader's log contradicts, if that is what it does.
   */
  onRefused?(message: Message, reason: string, entry?: CommittedEntry): void;
  /**
   * The reads of one round were answered, so many seconds after the first of them could have been
   * asked for; false when the node closed instead.
   */
  onReadRound?(seconds: number, isConfirmed: boolean): void;
  /** Heartbeats of this leader went out so many milliseconds after those before, far too late. */
  onLateHeartbeat?(intervalMs: number): void;
}

/** What a RaftNode is made of. */
export interface RaftNodeOptions {
  readonly raft: RaftOptions;
  readonly log: DurableLog;
  readonly transport: Transport;
  readonly stateMachine: StateMachinePort;
  readonly listener: RaftNodeListener;
  /** Milliseconds of one tick; 0 leaves ticking to the caller (tests). */
  readonly tickMs: number;
  /**
   * Whether this member may hear or say this about an election: one that may have forgotten what it
   * promised must not. It follows whoever leads. By default always.
   */
  readonly mayVote?: (message: Message) => boolean;
}

/** Called once: when a read of the local state is linearizable, or with the reason why it never is. */
export type ReadCallback = (error: RaftError | undefined) => void;
