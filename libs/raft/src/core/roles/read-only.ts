/**
 * ReadIndex bookkeeping of a leader (thesis §6.4): reads wait until a quorum has confirmed, after
 * the read arrived, that this leader still leads.
 *
 * Reads that arrive between two Ready records share a round. A round is a number that travels in
 * heartbeats; whoever answers it confirms it and all before it, so a quorum's confirmed round is
 * quorum arithmetic over numbers, like the commit index. Refuses to know who asked, and messages.
 */
import type { Index, NodeId } from "../model/types.ts";

/** A linearizable read under way; `from` is where the answer goes. */
export interface ReadRequest {
  readonly from: NodeId;
  readonly context: string;
}

interface WaitingRead extends ReadRequest {
  /** The commit index when the read arrived: what must be applied before it is served. */
  readonly index: Index;
  readonly round: number;
}

/** When a round was sent, in ticks of the leader. */
interface SentRound {
  readonly round: number;
  readonly ticks: number;
}

/** The reads a leader has been asked for and has not confirmed. */
export class ReadOnly {
  #waiting: WaitingRead[] = [];
  /** The newest round started; never falls, not even from one leadership to the next. */
  #round = 0;
  /** Reads wait for a round that has not been sent. */
  #isRoundDue = false;
  /** Reads that arrived before the leader knew its commit index. */
  #early: ReadRequest[] = [];
  /** Lease mode: rounds sent and not confirmed yet, and when the newest confirmed one was sent. */
  #sent: SentRound[] = [];
  #confirmedSince = -1;

  /** The newest round started: nobody can have confirmed a later one. */
  get round(): number {
    return this.#round;
  }

  /** True when a heartbeat round must be sent for reads that wait. */
  get isRoundDue(): boolean {
    return this.#isRoundDue;
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Lease mode: the leader's tick at which a quorum is known to have followed it; -1 if none. */
  get confirmedSince(): number {
    return this.#confirmedSince;
  }

  /** Queues a read behind the next round. */
  add(request: ReadRequest, index: Index): void {
    if (!this.#isRoundDue) {
      this.#isRoundDue = true;
      this.#round += 1;
    }
    this.#waiting.push({ ...request, index, round: this.#round });
  }

  /** Holds a read back until the leader has committed an entry of its term. */
  addEarly(request: ReadRequest): void {
    this.#early.push(request);
  }

  takeEarly(): readonly ReadRequest[] {
    const early = this.#early;
    if (early.length > 0) this.#early = [];
    return early;
  }

  /**
   * The round the next heartbeats must carry: the newest that reads wait for, or 0. They are being
   * sent, so a read that arrives from now on needs another round. With `forLease` every heartbeat
   * is a round, and `ticks` is remembered as its time.
   */
  takeRound(ticks: number, forLease: boolean): number {
    if (forLease) {
      if (!this.#isRoundDue) this.#round += 1;
      this.#sent.push({ round: this.#round, ticks });
    }
    this.#isRoundDue = false;
    return forLease || this.#waiting.length > 0 ? this.#round : 0;
  }

  /** A quorum confirmed `round`: takes out the reads that may go. */
  confirm(round: number): readonly WaitingRead[] {
    this.#renewLease(round);
    const waiting = this.#waiting;
    let count = 0;
    while (count < waiting.length && (waiting[count]?.round ?? 0) <= round) count += 1;
    if (count === 0) return [];
    this.#waiting = waiting.slice(count);
    return waiting.slice(0, count);
  }

  #renewLease(round: number): void {
    const sent = this.#sent;
    let count = 0;
    while (count < sent.length && (sent[count]?.round ?? 0) <= round) count += 1;
    if (count === 0) return;
    this.#confirmedSince = sent[count - 1]?.ticks ?? -1;
    this.#sent = sent.slice(count);
  }

  /** Drops all reads: leadership ended, the askers try again. */
  reset(): void {
    this.#waiting = [];
    this.#early = [];
    this.#isRoundDue = false;
    this.#sent = [];
    this.#confirmedSince = -1;
  }
}
