/**
 * Counts what happens on the way from proposal to outcome, and warns, with figures, of what took
 * long: requests, confirmations of reads, applied batches, syncs of the log; and of messages that
 * were refused. At most one line per kind and second. What is measured, and when, is the callers'.
 */
import type { Counter, Histogram, Logger, Meter } from "@etcd2/observability";

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

interface Instruments {
  readonly proposal: Histogram<readonly []>;
  readonly commit: Histogram<readonly []>;
  readonly slowApplies: Counter<readonly []>;
  readonly slowReads: Counter<readonly []>;
  readonly failedReads: Counter<readonly []>;
  readonly lateHeartbeats: Counter<readonly []>;
  readonly refused: Counter<readonly []>;
}

function instrumentsOf(meter: Meter): Instruments {
  return {
    proposal: meter.histogram("etcd2_proposal_duration_seconds"),
    commit: meter.histogram("etcd_disk_backend_commit_duration_seconds"),
    slowApplies: meter.counter("etcd_server_slow_apply_total"),
    slowReads: meter.counter("etcd_server_slow_read_indexes_total"),
    failedReads: meter.counter("etcd_server_read_indexes_failed_total"),
    lateHeartbeats: meter.counter("etcd_server_heartbeat_send_failures_total"),
    refused: meter.counter("etcd2_raft_messages_refused_total"),
  };
}

export interface ConsensusObserverOptions {
  readonly meter: Meter;
  readonly log: Logger;
  /** The interval heartbeats are meant to have. */
  readonly heartbeatSeconds: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Hears how long each step took. */
export class ConsensusObserver {
  readonly #options: ConsensusObserverOptions;
  readonly #counts: Instruments;
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
    this.#counts = instrumentsOf(options.meter);
  }

  proposalApplied(seconds: number): void {
    this.#counts.proposal.observe(seconds);
    if (seconds < SLOW_REQUEST_SECONDS) return;
    this.#warn("request", `a write took ${shown(seconds)} from proposal to outcome`, [
      SLOW_REQUEST_SECONDS,
      "the disk, the network to the other members or this machine is slow, or there was no leader",
    ]);
  }

  readConfirmed(seconds: number, ok: boolean): void {
    if (!ok) this.#counts.failedReads.add(1);
    if (seconds < SLOW_READ_SECONDS) return;
    this.#counts.slowReads.add(1);
    this.#warn("read", `confirming a read with the leader took ${shown(seconds)}`, [
      SLOW_READ_SECONDS,
      "the network to the other members is slow, or there was no leader",
    ]);
  }

  batchApplied(seconds: number, entries: number): void {
    this.#counts.commit.observe(seconds);
    if (seconds < SLOW_APPLY_SECONDS) return;
    this.#counts.slowApplies.add(1);
    this.#warn("apply", `applying ${entries} entries took ${shown(seconds)}`, [
      SLOW_APPLY_SECONDS,
      "requests are very large, or this machine is overloaded",
    ]);
  }

  heartbeatLate(seconds: number): void {
    this.#counts.lateHeartbeats.add(1);
    this.#warn("heartbeat", `heartbeats to the other members are ${shown(seconds)} apart`, [
      this.#options.heartbeatSeconds,
      "the disk is slow, or this machine is overloaded",
    ]);
  }

  messageRefused(what: string, reason: string): void {
    this.#counts.refused.add(1);
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
    this.#options.log.warning(`${line}${more}`);
  }
}

function shown(seconds: number): string {
  return `${Math.round(seconds * 1000)}ms`;
}
