/**
 * Linearizable reads of one member, in rounds (thesis §6.4): all reads that arrive while a round is
 * under way share the next one, so a member costs its leader one round at a time however many clients
 * ask. A confirmed round waits until the state machine has applied its index.
 *
 * Owns who waits for what. Messages are the core's business, and the leader's count of answers is in
 * core/roles/read-only.ts.
 */
import type { Index, ReadState } from "../core/model/types.ts";
import type { RaftError } from "../core/model/errors.ts";
import type { ReadCallback } from "./ports.ts";

/** Ticks after which an unanswered round is asked for again. */
const RETRY_TICKS = 5;

interface Round {
  readonly context: string;
  readonly callbacks: ReadCallback[];
  readonly startedAt: number;
  /** Tick at which the round is given up, and its reads go into another. */
  readonly retryAt: number;
}

interface ConfirmedRound {
  readonly index: Index;
  readonly callbacks: ReadCallback[];
  readonly startedAt: number;
}

/** Takes a callback out of a list; rare, so that the lists can be plain. @returns Whether it was there. */
function remove(callbacks: ReadCallback[], callback: ReadCallback): boolean {
  const at = callbacks.indexOf(callback);
  if (at >= 0) callbacks.splice(at, 1);
  return at >= 0;
}

/** The reads that have not been answered. */
export class ReadRounds {
  /** Names this member and this process: a late answer must not confirm a successor's read. */
  readonly #prefix: string;
  readonly #now: () => number;
  readonly #onRound: (seconds: number, isConfirmed: boolean) => void;
  #sequence = 0;
  #waiting: ReadCallback[] = [];
  /** Since when a round has been wanted and none was under way; undefined when that is not so. */
  #wantedSince: number | undefined;
  #round: Round | undefined;
  /** By index ascending. */
  #confirmed: ConfirmedRound[] = [];

  /**
   * @param now milliseconds on the monotonic clock.
   * @param onRound a round was answered, so many seconds after it was wanted; or ended with an error.
   */
  constructor(
    prefix: string,
    now: () => number,
    onRound: (seconds: number, isConfirmed: boolean) => void,
  ) {
    this.#prefix = prefix;
    this.#now = now;
    this.#onRound = onRound;
  }

  /** Queues a read for the next round. */
  add(callback: ReadCallback): void {
    this.#waiting.push(callback);
    if (this.#round === undefined) this.#wantedSince ??= this.#now();
  }

  /** Forgets a read: it will not be called back. */
  abandon(callback: ReadCallback): void {
    if (remove(this.#waiting, callback)) return;
    if (this.#round !== undefined && remove(this.#round.callbacks, callback)) return;
    for (const { callbacks } of this.#confirmed) if (remove(callbacks, callback)) return;
  }

  /** Starts a round when reads wait and none is under way. @returns what to ask the leader for. */
  begin(tick: number): string | undefined {
    if (this.#round !== undefined || this.#waiting.length === 0) return undefined;
    this.#sequence += 1;
    const context = this.#prefix + this.#sequence.toString(36);
    const startedAt = this.#wantedSince ?? this.#now();
    this.#wantedSince = undefined;
    this.#round = { context, callbacks: this.#waiting, startedAt, retryAt: tick + RETRY_TICKS };
    this.#waiting = [];
    return context;
  }

  /** Requests and answers can be lost with a leader or a link; asking again is harmless. */
  retry(tick: number): void {
    if (this.#round !== undefined && this.#round.retryAt <= tick) this.giveUpRound();
  }

  /** The round under way will not be answered: its reads go into the next one. */
  giveUpRound(): void {
    if (this.#round === undefined) return;
    const { callbacks, startedAt } = this.#round;
    this.#round = undefined;
    this.#wantedSince = startedAt;
    for (const callback of this.#waiting) callbacks.push(callback);
    this.#waiting = callbacks;
  }

  /** The leader still led when it was asked. */
  confirm(readStates: readonly ReadState[]): void {
    for (const { context, index } of readStates) {
      if (this.#round?.context !== context) continue;
      const { callbacks, startedAt } = this.#round;
      this.#confirmed.push({ index, callbacks, startedAt });
      this.#round = undefined;
    }
  }

  /** Answers what is confirmed up to an applied index. */
  answer(applied: Index): void {
    while (this.#confirmed.length > 0) {
      const [first] = this.#confirmed;
      if (first === undefined || first.index > applied) return;
      this.#confirmed.shift();
      this.#report(first.startedAt, true);
      for (const done of first.callbacks) done(undefined);
    }
  }

  /** Ends all reads with an error. */
  end(error: RaftError): void {
    const rounds = [...this.#confirmed, ...(this.#round === undefined ? [] : [this.#round])];
    const sets = [...rounds.map(({ callbacks }) => callbacks), this.#waiting];
    for (const { startedAt } of rounds) this.#report(startedAt, false);
    if (rounds.length === 0 && this.#wantedSince !== undefined) {
      this.#report(this.#wantedSince, false);
    }
    this.#confirmed = [];
    this.#round = undefined;
    this.#wantedSince = undefined;
    this.#waiting = [];
    for (const callbacks of sets) for (const done of callbacks) done(error);
  }

  #report(startedAt: number, isConfirmed: boolean): void {
    this.#onRound((this.#now() - startedAt) / 1000, isConfirmed);
  }
}
