/**
 * Says why a member does not serve when it has known no leader for a while, and what helps: which of
 * the others it does not reach, how many a majority takes, and the way out when they are gone for
 * good. Knows neither consensus nor connections: both are handed in at each look.
 */
import type { Logger } from "@etcd2/observability";

/** The first line comes after this time without a leader; far beyond any election. */
const FIRST_AFTER_MS = 10_000;

/** While it lasts, the line is said again so often. */
const REPEAT_MS = 60_000;

/** What one look sees. */
export interface LeaderlessView {
  /** The members with a vote, this one among them. */
  readonly voters: number;
  /** Voters other than this one without a connection: their names, or peer URLs where unnamed. */
  readonly unreachable: readonly string[];
}

/** Counts the time without a leader; `now` is in monotonic milliseconds. */
export class Leaderless {
  readonly #now: () => number;
  readonly #log: Logger;
  #sinceMs: number;
  #sayAtMs: number;

  constructor(options: { readonly now: () => number; readonly log: Logger }) {
    this.#now = options.now;
    this.#log = options.log;
    this.#sinceMs = this.#now();
    this.#sayAtMs = this.#sinceMs + FIRST_AFTER_MS;
  }

  /** To be called now and then; `view` is asked for only when there may be something to say. */
  look(hasLeader: boolean, view: () => LeaderlessView): void {
    const now = this.#now();
    if (hasLeader) {
      this.#sinceMs = now;
      this.#sayAtMs = now + FIRST_AFTER_MS;
      return;
    }
    if (now < this.#sayAtMs) return;
    this.#sayAtMs = now + REPEAT_MS;
    const seconds = Math.round((now - this.#sinceMs) / 1000);
    this.#log.warning(`no leader for ${seconds} s: ${reason(view())}`);
  }
}

function reason({ voters, unreachable }: LeaderlessView): string {
  const majority = Math.floor(voters / 2) + 1;
  const reached = voters - unreachable.length;
  if (reached >= majority) {
    return (
      `${reached} of ${voters} members are connected, which is a majority, but no election ` +
      "succeeds; look at their logs"
    );
  }
  return (
    `${majority} of the ${voters} members must run to elect one, and this one does not reach ` +
    `${unreachable.join(", ")}. Start them or mend the network to them; only if they are gone for ` +
    "good, start this one once with --force-new-cluster"
  );
}
