/**
 * A leader's view of one member: how much of the log it holds, and how fast it may be sent more.
 *
 *     probe      one append at a time, until the point where the logs agree is found
 *     replicate  optimistic: appends are pipelined up to the window, `next` runs ahead of `match`
 *     snapshot   nothing is sent; the member is receiving the state machine instead
 *
 * Owns those transitions. Refuses to know messages: leader.ts asks, sends, and reports back.
 */
import { Inflights, type InflightsLimits } from "./inflights.ts";
import type { Index, NodeId } from "../model/types.ts";

/**
 * How entries are sent to a member: one message at a time, in a pipeline, or not while a snapshot
 * is under way.
 */
export type ProgressState = "probe" | "replicate" | "snapshot";

/** A leader's view of one member: what it holds, and what may be sent next. */
export class Progress {
  readonly id: NodeId;
  isLearner = false;
  state: ProgressState = "probe";
  /** Highest index known to be durable on the member. */
  match: Index = 0;
  /** Next index to send; always above match. */
  next: Index;
  /** Index of the snapshot under way; 0 when none is. */
  pendingSnapshot: Index = 0;
  /** The member was heard from since the last check of the quorum. */
  recentActive = false;
  /** Newest read-index round the member confirmed (thesis §6.4). */
  readRound = 0;
  /** Highest commit index sent; decides whether an otherwise empty append tells anything. */
  sentCommit: Index = 0;
  readonly inflights: Inflights;
  /** probe: an append is on its way. replicate: the window is full. */
  #waits = false;

  constructor(id: NodeId, next: Index, limits: InflightsLimits) {
    this.id = id;
    this.next = next;
    this.inflights = new Inflights(limits);
  }

  /** True while no append may be sent. */
  get isPaused(): boolean {
    return this.state === "snapshot" || this.#waits;
  }

  /** Falls back to one append at a time, from the last known match or the snapshot's end. */
  becomeProbe(): void {
    const next = Math.max(this.match, this.pendingSnapshot) + 1;
    this.#become("probe", next);
  }

  becomeReplicate(): void {
    this.#become("replicate", this.match + 1);
  }

  becomeSnapshot(index: Index): void {
    this.#become("snapshot", index + 1);
    this.pendingSnapshot = index;
    this.sentCommit = index;
  }

  /** The snapshot did not arrive. */
  snapshotFailed(): void {
    this.pendingSnapshot = 0;
    this.becomeProbe();
  }

  /** Holds the next append back until the member answers something. */
  pause(): void {
    this.#waits = true;
  }

  /** The member answered something: one more append may be tried, even past a full window. */
  resume(): void {
    this.#waits = false;
  }

  /** Notes an append of `count` entries and `bytes`, which started at `next`. */
  sentAppend(count: number, bytes: number): void {
    if (this.state === "probe") {
      this.#waits = true;
      return;
    }
    if (count > 0) {
      this.next += count;
      this.inflights.add(this.next - 1, bytes);
    }
    this.#waits = this.inflights.isFull;
  }

  /** The member acknowledged everything up to `index`. False when that is old news. */
  acknowledge(index: Index): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.#waits = false;
    return true;
  }

  /**
   * The member refused an append after `rejected`; its log may agree up to `hint`. Moves `next`
   * back, never to match or below. False when the refusal answers an append that is not the
   * latest: messages are reordered and repeated.
   */
  decrease(rejected: Index, hint: Index): boolean {
    if (this.state === "replicate") {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
    } else {
      if (this.next - 1 !== rejected) return false;
      this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
      this.#waits = false;
    }
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
    return true;
  }

  /** True when an empty append would tell the member of more committed entries than it knows. */
  canBumpCommit(commit: Index): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1;
  }

  #become(state: ProgressState, next: Index): void {
    this.state = state;
    this.next = next;
    this.pendingSnapshot = 0;
    this.sentCommit = Math.min(this.sentCommit, next - 1);
    this.#waits = false;
    this.inflights.clear();
  }
}
