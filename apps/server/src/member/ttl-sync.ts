/**
 * Expiry: the leader looks for nodes whose life is over by its own monotonic clock and proposes
 * their removal, so that every member expires the same nodes at the same index. A node is never
 * removed early: deadlines count from when this member learned of the node. Lateness is bounded by
 * the interval plus one commit, and after a change of leader by the time the new one lagged, which
 * lives-sync.ts keeps short.
 *
 * Every member, leader or not, also saves its steady time while it holds nodes with a deadline, so
 * that a reboot makes them late by little more than the time the machine was away.
 */
import { EtcdError, type StateMachine, StoreError } from "@etcd2/store";
import { LivesSync, type LivesSyncOptions } from "./lives-sync.ts";

/** How often the leader looks; one peek at the next deadline. */
const TTL_SYNC_INTERVAL_MS = 100;

/** Nodes expired by one log entry, which is applied in one turn; with more due the next follows at once. */
const EXPIRE_BATCH_MAX = 128;

/** How often the steady time is saved against the loss of the process. */
const SAVE_INTERVAL_MS = 1000;

/** How often it is saved against the loss of power: that costs a sync of the disk. */
const DURABLE_INTERVAL_MS = 10_000;

export interface TtlSyncOptions extends LivesSyncOptions {
  /** The steady time could not be saved: the disk fails. */
  readonly onFatal: (error: Error) => void;
}

export class TtlSync {
  readonly #options: TtlSyncOptions;
  readonly #lives: LivesSync;
  readonly #timer: NodeJS.Timeout;
  #inFlight = false;
  /** Steady time as of the last durable save; undefined before. */
  #durableMs: number | undefined;
  #isSyncing = false;
  #isClosed = false;

  constructor(options: TtlSyncOptions) {
    this.#options = options;
    this.#lives = new LivesSync(options);
    this.#timer = setInterval(() => {
      this.check();
      this.#lives.check();
      this.saveTime();
    }, TTL_SYNC_INTERVAL_MS);
  }

  /** Proposes what is due, unless a proposal is under way. */
  check(): void {
    const { consensus, storage } = this.#options;
    if (this.#inFlight || !consensus.node.isLeader) return;
    const { machine } = storage;
    const now = machine.clock.steadyMs();
    const next = machine.nextDeadline();
    if (next === undefined || next > now) return;
    // Nodes of one expiration go in the order they were written.
    const expired = machine
      .dueNodes(now, EXPIRE_BATCH_MAX)
      .toSorted((a, b) => a.expirationMs - b.expirationMs || a.modifiedIndex - b.modifiedIndex);
    if (expired.length === 0) {
      // Rows of nodes that went away otherwise are looked at so many at a time.
      this.#checkLater(machine.nextDeadline(), now);
      return;
    }
    this.#inFlight = true;
    consensus.requests.propose({ action: "expire", expired }, (result) => {
      this.#inFlight = false;
      // More may be due than one entry holds; after a refusal the next look comes in its time.
      if (!(result instanceof EtcdError)) this.#checkLater(machine.nextDeadline(), now);
    });
  }

  /** Goes on in another turn of the loop when something is still due as of `now`. */
  #checkLater(next: number | undefined, now: number): void {
    if (next === undefined || next > now) return;
    setImmediate(() => {
      if (!this.#isClosed) this.check();
    });
  }

  /** Saves the steady time when a save is due and some node has a deadline. */
  saveTime(): void {
    const { machine } = this.#options.storage;
    const now = machine.clock.steadyMs();
    if (now - machine.savedTimeMs < SAVE_INTERVAL_MS) return;
    try {
      // The earliest deadline is looked up anew where no leader's look has done so.
      const next = machine.nextDeadline();
      if (next !== undefined && next < now) machine.dueNodes(now, 1);
      if (machine.nextDeadline() === undefined) return;
      machine.saveTime();
    } catch (error) {
      this.#fail(machine, error);
      return;
    }
    if (this.#isSyncing || now - (this.#durableMs ?? -Infinity) < DURABLE_INTERVAL_MS) return;
    this.#isSyncing = true;
    void this.#makeDurable(machine).finally(() => {
      this.#isSyncing = false;
    });
  }

  /** Most of the sync happens off this thread. */
  async #makeDurable(machine: StateMachine): Promise<void> {
    try {
      await machine.prepareFlush();
      if (this.#isClosed || machine !== this.#options.storage.machine) return;
      machine.flushDurable();
      this.#durableMs = machine.savedTimeMs;
    } catch (error) {
      this.#fail(machine, error);
    }
  }

  #fail(machine: StateMachine, error: unknown): void {
    // One that a snapshot replaces is closed, and then its folder is gone.
    if (this.#isClosed || machine !== this.#options.storage.machine) return;
    if (error instanceof StoreError && error.code === "closed") return;
    this.#options.onFatal(error instanceof Error ? error : new Error(String(error)));
  }

  close(): void {
    this.#isClosed = true;
    this.#lives.close();
    clearInterval(this.#timer);
  }
}
