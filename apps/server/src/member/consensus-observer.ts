/**
 * Counts what happens on the way from proposal to outcome, and warns, with figures, of what took
 * long: requests, confirmations of reads, applied batches, syncs of the log; and of messages that
 * were refused. At most one line per kind and second. What is measured, and when, is the callers'.
 */
import type { ProposalCounters } from "../consensus/consensus-options.ts";
import type { ServerCounters } from "../metrics/counters.ts";

const SLOW_REQUEST_SECONDS = 1;
const SLOW_READ_SECONDS = 0.5;
const SLOW_APPLY_SECONDS = 0.1;
const LINE_INTERVAL_MS = 1000;

type Kind = "request" | "read" | "apply" | "sync" | "refusal" | "heartbeat";

/** Lines of one kind. */
interface Said {
  atMs: number;
  /** Not said since. */
  silenced: number;
}

export interface ConsensusObserverOptions {
  readonly counters: ServerCounters;
  readonly warn: (message: string) => void;
  /** The interval heartbeats are meant to have. */
  readonly heartbeatSeconds: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class ConsensusObserver implements ProposalCounters {
  readonly #options: ConsensusObserverOptions;
  readonly #counters: ServerCounters;
  readonly #said: Readonly<Record<Kind, Said>> = {
    request: { atMs: Number.NEGATIVE_INFINITY, silenced: 0 },
    read: { atMs: Number.NEGATIVE_INFINITY, silenced: 0 },
    apply: { atMs: Number.NEGATIVE_INFINITY, silenced: 0 },
    sync: { atMs: Number.NEGATIVE_INFINITY, silenced: 0 },
    heartbeat: { atMs: Number.NEGATIVE_INFINITY, silenced: 0 },
    refusal: { atMs: Number.NEGATIVE_INFINITY, silenced: 0 },
  };

  constructor(options: ConsensusObserverOptions) {
    this.#options = options;
    this.#counters = options.counters;
  }

  proposalFailed(): void {
    this.#counters.proposalFailed();
  }

  proposalApplied(seconds: number): void {
    this.#counters.proposalApplied(seconds);
    if (seconds < SLOW_REQUEST_SECONDS) return;
    this.#warn("request", `a write took ${shown(seconds)} from proposal to outcome`, [
      SLOW_REQUEST_SECONDS,
      "the disk, the network to the other members or this machine is slow, or there was no leader",
    ]);
  }

  readConfirmed(seconds: number, ok: boolean): void {
    if (!ok) this.#counters.failedReadIndexes += 1;
    if (seconds < SLOW_READ_SECONDS) return;
    this.#counters.slowReadIndexes += 1;
    this.#warn("read", `confirming a read with the leader took ${shown(seconds)}`, [
      SLOW_READ_SECONDS,
      "the network to the other members is slow, or there was no leader",
    ]);
  }

  readsExpired(count: number): void {
    this.#counters.failedReadIndexes += count;
  }

  batchApplied(seconds: number, entries: number): void {
    this.#counters.backendCommitted(seconds);
    if (seconds < SLOW_APPLY_SECONDS) return;
    this.#counters.slowApplies += 1;
    this.#warn("apply", `applying ${entries} entries took ${shown(seconds)}`, [
      SLOW_APPLY_SECONDS,
      "requests are very large, or this machine is overloaded",
    ]);
  }

  heartbeatLate(seconds: number): void {
    this.#counters.heartbeatSendFailures += 1;
    this.#warn("heartbeat", `heartbeats to the other members are ${shown(seconds)} apart`, [
      this.#options.heartbeatSeconds,
      "the disk is slow, or this machine is overloaded",
    ]);
  }

  learnerPromoted(): void {
    this.#counters.learnersPromoted += 1;
  }

  healthJudged(healthy: boolean): void {
    if (healthy) this.#counters.healthSuccesses += 1;
    else this.#counters.healthFailures += 1;
  }

  diverged(): void {
    this.#counters.hasDiverged = true;
  }

  compacted(flushSeconds: number, totalSeconds: number): void {
    this.#counters.backendSnapshotSeconds.observe(flushSeconds);
    this.#counters.snapshotSyncSeconds.observe(flushSeconds);
    this.#counters.snapshotSaveSeconds.observe(totalSeconds);
  }

  messageRefused(what: string, reason: string): void {
    this.#counters.messagesRefused += 1;
    this.#say("refusal", `refused a message, ${what}: ${reason}`);
  }

  /** A sync of the log that the log itself calls slow. */
  slowSync(seconds: number): void {
    this.#warn("sync", `sync of the write-ahead log took ${shown(seconds)}`, [
      1,
      "the disk is slow, writes wait for it",
    ]);
  }

  #warn(kind: Kind, what: string, [expected, why]: readonly [number, string]): void {
    this.#say(kind, `${what}, expected less than ${shown(expected)}: ${why}`);
  }

  #say(kind: Kind, line: string): void {
    const said = this.#said[kind];
    const now = this.#options.now();
    if (now - said.atMs < LINE_INTERVAL_MS) {
      said.silenced += 1;
      return;
    }
    const more = said.silenced === 0 ? "" : ` (and ${said.silenced} more before)`;
    said.atMs = now;
    said.silenced = 0;
    this.#options.warn(`${line}${more}`);
  }
}

function shown(seconds: number): string {
  return `${Math.round(seconds * 1000)}ms`;
}
