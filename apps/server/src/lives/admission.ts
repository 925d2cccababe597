/**
 * Decides when a member whose memory is in doubt may take part in elections. Until then it follows
 * whoever leads, and neither votes nor stands.
 *
 *   - A founder with an empty directory cannot tell a first start from the loss of its data. It
 *     waits until a majority of the founders, itself included, have let it in, each of whom would
 *     have refused one that it knows with other data. If all of those are founding too, somebody who
 *     knows better may be among the silent: for those it waits a few seconds more.
 *   - A copy of a data directory may be older than what its member has answered for. It waits for
 *     so many of the others that one of them took part in every write that it can have acknowledged.
 *     From then on it votes for, and stands as, nobody whose log ends before theirs did; when its own
 *     log has come that far, the doubt is over. It votes in no term that had begun when it met them:
 *     its vote of that term may be on its way to somebody already.
 *
 * docs/decisions/0010-incarnations.md says what this cannot tell.
 */
import type { Logger } from "@etcd2/observability";
import { isUpToDate } from "@etcd2/raft";
import type { Life, LogEnd, Message, NodeId, Term } from "@etcd2/raft";
import type { Doubt } from "./life-file.ts";

/** Founders that are silent when a majority has met get this long. */
const PATIENCE_MS = 5000;
/** A start is that long normal; then what it waits for is said, and again after each such time. */
const FIRST_WORD_MS = 2000;
const REPEAT_MS = 30_000;

export interface AdmissionOptions {
  readonly doubt: Doubt;
  readonly self: NodeId;
  /** The members that vote. */
  readonly voters: () => readonly NodeId[];
  /** Where this member's log ends. */
  readonly logEnd: () => LogEnd;
  /** The term this member was in when it started. */
  readonly term: Term;
  /** Uses up this member's votes of a term and those before it; see RaftNode. */
  readonly renounceVotes: (term: Term) => void;
  /** Whether that is durable. */
  readonly hasRenouncedVotes: (term: Term) => boolean;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Called once, before the first vote: to be durable when it returns. */
  readonly onAdmitted: () => void;
  readonly log: Logger;
  readonly shownId: (id: NodeId) => string;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #startedAt: number;
  /** Members that let this one in, and whether they are known to be beyond their founding. */
  readonly #met = new Map<NodeId, boolean>();
  /** The furthest that the log of a member that let this one in was seen to reach. */
  #furthest: LogEnd = { term: 0, index: 0 };
  /** The latest term that is known to have begun. */
  #begunTerm: Term;
  readonly #admitted = Promise.withResolvers<undefined>();
  #isAdmitted = false;
  #majorityAt: number | undefined;
  #saidAt: number;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#begunTerm = options.term;
    this.#startedAt = options.now();
    this.#saidAt = this.#startedAt + FIRST_WORD_MS - REPEAT_MS;
    // Where the log of this member ends is known only later.
    if (options.doubt !== "copy") this.look();
  }

  get isAdmitted(): boolean {
    return this.#isAdmitted;
  }

  /** Resolves when the member is admitted, never otherwise. */
  get admitted(): Promise<unknown> {
    return this.#admitted.promise;
  }

  /** Whether this member may hear or say this about an election. */
  permits(message: Message): boolean {
    if (this.#isAdmitted) return true;
    if (this.#options.doubt !== "copy" || !this.#hasMetEnough()) return false;
    if (!this.#hasRenounced()) return false;
    // What says how far a log reaches must reach far enough; answers follow from such questions.
    if (message.type !== "vote" && message.type !== "preVote") return true;
    return isUpToDate({ term: message.lastTerm, index: message.lastIndex }, this.#furthest);
  }

  /** A member that was dialled let this one in. */
  greeted(id: NodeId, life: Life | undefined): void {
    if (this.#isAdmitted) return;
    if (life !== undefined) {
      if (isUpToDate(life.end, this.#furthest)) this.#furthest = life.end;
      this.#begunTerm = Math.max(this.#begunTerm, life.currentTerm);
    }
    // Earlier versions do not say that they are founding.
    this.#met.set(id, life?.isFounding === false);
    this.look();
  }

  /** To be called now and then. */
  look(): void {
    if (this.#isAdmitted) return;
    if (!this.#isSettled()) {
      this.#explain();
      return;
    }
    this.#options.onAdmitted();
    this.#isAdmitted = true;
    this.#admitted.resolve(undefined);
  }

  #isSettled(): boolean {
    const { doubt, logEnd } = this.#options;
    if (doubt === "none") return true;
    if (!this.#hasMetEnough()) return false;
    return doubt !== "copy" || (this.#hasRenounced() && isUpToDate(logEnd(), this.#furthest));
  }

  /** Sees to it that no vote is given twice. @returns whether that is so already. */
  #hasRenounced(): boolean {
    const { renounceVotes, hasRenouncedVotes } = this.#options;
    if (!hasRenouncedVotes(this.#begunTerm)) renounceVotes(this.#begunTerm);
    return hasRenouncedVotes(this.#begunTerm);
  }

  #hasMetEnough(): boolean {
    const { doubt, self, voters, now } = this.#options;
    const all = voters();
    const others = all.filter((id) => id !== self);
    // Who does not vote has nothing to be kept from.
    if (others.length === all.length && all.length > 0) return true;
    const met = others.filter((id) => this.#met.has(id));
    const majority = Math.floor(all.length / 2) + 1;
    if (met.length === others.length) return true;
    if (doubt === "copy") return met.length >= all.length - majority + 1;
    if (met.length + 1 < majority) {
      this.#majorityAt = undefined;
      return false;
    }
    if (met.some((id) => this.#met.get(id) === true)) return true;
    this.#majorityAt ??= now();
    return now() - this.#majorityAt >= PATIENCE_MS;
  }

  #explain(): void {
    const { doubt, self, voters, now, log, shownId } = this.#options;
    if (now() - this.#saidAt < REPEAT_MS) return;
    this.#saidAt = now();
    const silent = voters().filter((id) => id !== self && !this.#met.has(id));
    const names = silent.map(shownId).join(", ");
    if (doubt === "copy") {
      log.warning(
        `this data directory is a copy, perhaps of an earlier state: this member takes part in no election until the others ` +
          `have said that they know of none later (no answer from ${names}); if the directory it was copied from still exists, start with that one`,
      );
    } else if (this.#majorityAt === undefined) {
      log.warning(
        `founding with an empty data directory: this member takes part in no election until a majority of the founding members ` +
          `answers (no answer from ${names}); if it has run before and its data is lost, replace it`,
      );
    } else {
      log.warning(`founding without ${names}: waiting a moment for an answer, they may know more`);
    }
  }
}
