/**
 * The replicated state machine: applies committed entries to the tree and keeps tree, history,
 * applied index and counters together, one atomic batch of the kv for many entries. Knows the
 * order of things; what an operation means is in tree/, where rows lie in keyspace.ts.
 */
import { ByteWriter } from "./encoding/bytes.ts";
import type { Command, ExpiredNode } from "./model/command.ts";
import { EtcdError } from "./model/errors.ts";
import { EventLog } from "./events/event-log.ts";
import { invariant } from "./model/invariant.ts";
import { hostKey } from "./encoding/keyspace.ts";
import type { Kv, KvBatch } from "./kv/kv.ts";
import { type LivesCursor, type LivesPage, NodeTable } from "./nodes/node-table.ts";
import type { AppliedEntry, Outcome, StoreReader } from "./model/ports.ts";
import { SnapshotExport } from "./snapshot/snapshot.ts";
import { type StateHash, hashState } from "./snapshot/state-hash.ts";
import { type Schedule, defaultSchedule } from "./clock/schedule.ts";
import {
  EMPTY_STATE,
  type LiveSize,
  type StoreState,
  readState,
  writeFormat,
  writeState,
} from "./encoding/state-row.ts";
import { writeSteadyTime } from "./clock/steady-clock.ts";
import type { StoreClock } from "./clock/store-clock.ts";
import type { SharedState } from "./shared/shared-state.ts";
import { TreeReader } from "./nodes/tree-reader.ts";
import { type Instant, Tree } from "./tree/tree.ts";
import type { RecordedEvent } from "./tree/recorded-event.ts";

/** Where the state lies, and the bounds of what is kept. */
export interface StateMachineOptions {
  readonly kv: Kv;
  readonly clock: StoreClock;
  /** Events kept for watches from the past. Default 100,000. */
  readonly historyMax?: number;
  /** Bytes of events kept. Default 512 MiB. */
  readonly historyBytesMax?: number;
  /** Memory for decoded nodes. Default 16 MiB. */
  readonly cacheBytes?: number;
  /**
   * A directory with at most this many rows below, and 256 KiB of them, is removed at once; the rows of
   * a larger one go in slices after the write. Local. Default 256.
   */
  readonly directRemovalMax?: number;
  /**
   * Names of removed nodes kept with the event of their directory. With more, watchers from a past
   * index are told of any name below; live ones never are. The same on all members. Default 20,000.
   */
  readonly removedNamesMax?: number;
  /** Runs a slice of background work in a later turn. Default setImmediate. */
  readonly schedule?: Schedule;
}

const HISTORY_MAX = 100_000;
const HISTORY_BYTES_MAX = 512 << 20;
const CACHE_BYTES = 16 << 20;
const DIRECT_REMOVAL_MAX = 256;
const REMOVED_NAMES_MAX = 20_000;

/** Changed rows after which a long run of entries is written in parts. */
const FLUSH_ROWS = 4096;

/** Rows looked at in one background slice of removing a large subtree. */
const SWEEP_ROWS = 256;

/** Takes the events of one apply(), in order. */
export type EventsListener = (events: readonly RecordedEvent[]) => void;

/** The state machine over one kv; one process has one for it. */
export class StateMachine {
  readonly reader: StoreReader;
  readonly history: EventLog;
  readonly clock: StoreClock;
  readonly kv: Kv;
  readonly #tree: Tree;
  readonly #table: NodeTable;
  readonly #schedule: Schedule;
  readonly #writer = new ByteWriter(512);
  readonly #listeners = new Set<EventsListener>();
  #raftIndex: number;
  #raftTerm: number;
  /** Events of the entries applied since the last flush. */
  #events: RecordedEvent[] = [];
  /** Steady time as it was saved last by this process. */
  #savedMs = Number.NEGATIVE_INFINITY;
  #sweepScheduled = false;
  #shared: SharedState | undefined;
  #closed = false;

  private constructor(options: StateMachineOptions, state: StoreState) {
    const { kv, clock } = options;
    this.kv = kv;
    this.clock = clock;
    this.#schedule = options.schedule ?? defaultSchedule;
    this.#raftIndex = state.raftIndex;
    this.#raftTerm = state.raftTerm;
    this.#table = new NodeTable(
      {
        kv,
        cacheBytes: options.cacheBytes ?? CACHE_BYTES,
        directRemovalMax: options.directRemovalMax ?? DIRECT_REMOVAL_MAX,
        removedNamesMax: options.removedNamesMax ?? REMOVED_NAMES_MAX,
      },
      state,
    );
    this.#tree = new Tree(this.#table, state.etcdIndex, { ...state.stats });
    this.history = new EventLog(
      {
        kv,
        countMax: options.historyMax ?? HISTORY_MAX,
        bytesMax: options.historyBytesMax ?? HISTORY_BYTES_MAX,
        unlisted: (etcdIndex) => this.#table.sweeps.removedBy(etcdIndex),
      },
      state.history,
    );
    const applied = this.#appliedView();
    this.reader = new TreeReader({ kv, clock, tree: this.#tree, table: this.#table, applied });
    this.#continueSweep();
  }

  /**
   * Opens the state in a kv, which an empty one becomes.
   * @throws StoreError version, corrupt, storage.
   */
  static open(options: StateMachineOptions): Promise<StateMachine> {
    return new Promise((resolve) => {
      const state = readState(options.kv);
      if (state === undefined) {
        const batch = options.kv.batch();
        writeFormat(batch);
        writeState(new ByteWriter(), batch, EMPTY_STATE);
        batch.write({ sync: true });
      }
      resolve(new StateMachine(options, state ?? EMPTY_STATE));
    });
  }

  /** Last applied log entry. */
  get appliedIndex(): number {
    return this.#raftIndex;
  }

  get appliedTerm(): number {
    return this.#raftTerm;
  }

  /** Number of nodes, a little more while a large removal is being completed. */
  get nodeCount(): number {
    return this.#table.nodeCount;
  }

  /** Rough number of bytes the store takes. */
  get approximateSizeBytes(): number {
    return this.kv.approximateSizeBytes();
  }

  /**
   * Bytes of keys and values that exist: what is left when history, deleted rows and the engine's
   * own bytes are taken off. Exact, but for a store of an earlier version until countLiveBytes().
   */
  get liveSize(): LiveSize {
    return this.#table.live.size;
  }

  /** Makes the live size exact by reading all nodes, in slices between other work. */
  countLiveBytes(): Promise<void> {
    return this.#table.live.count(this.kv, this.#schedule);
  }

  /**
   * Applies entries in order, as one atomic batch (a few for very large ones). Entries at or below
   * the applied index are skipped. `meta` holds small values of the host, written with them; it
   * is skipped too when all entries were.
   * @returns One outcome per entry.
   * @throws StoreError storage: the process must not go on.
   */
  apply(entries: readonly AppliedEntry[], meta?: ReadonlyMap<string, Uint8Array>): Outcome[] {
    const now = this.#now();
    const outcomes: Outcome[] = [];
    const told: RecordedEvent[] = [];
    let applied = 0;
    if (entries.length > 1) this.#preload(entries);
    for (const entry of entries) {
      if (entry.index <= this.#raftIndex) {
        outcomes.push(undefined);
        continue;
      }
      if (this.#table.changeCount >= FLUSH_ROWS) this.#flush(told, undefined, now);
      invariant(entry.term >= this.#raftTerm, "terms of applied entries do not go backwards");
      outcomes.push(this.#execute(entry.command, now));
      this.#raftIndex = entry.index;
      this.#raftTerm = entry.term;
      applied += 1;
    }
    if (applied > 0 || (entries.length === 0 && meta !== undefined)) this.#flush(told, meta, now);
    if (told.length > 0) for (const listener of this.#listeners) listener(told);
    return outcomes;
  }

  /** Called once per apply() with its events, after they were written. @returns Ends it. */
  onEvents(listener: EventsListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** From now on other threads are told how far the store has come; nobody is with undefined. */
  share(shared: SharedState | undefined): void {
    this.#shared = shared;
    if (shared !== undefined) this.#publish(shared);
  }

  /** Adds reads that another thread answered to the counters. */
  countReads(succeeded: number, failed: number): void {
    this.#tree.stats.getsSuccess += succeeded;
    this.#tree.stats.getsFail += failed;
  }

  /** A value that the host stored with apply(). */
  readMeta(key: string): Uint8Array | undefined {
    return this.kv.get(hostKey(key));
  }

  /** Call some time before flushDurable(), so that it blocks the event loop only briefly. */
  prepareFlush(): Promise<void> {
    return this.kv.prepareSync();
  }

  /** One synced write: everything applied so far is then durable. */
  flushDurable(): void {
    const batch = this.kv.batch();
    writeState(this.#writer, batch, this.#state());
    this.#saveTime(batch, Math.floor(this.clock.steadyMs()));
    batch.write({ sync: true });
  }

  /** Saves the steady time, unsynced: what the clock goes on from after another boot. */
  saveTime(): void {
    const batch = this.kv.batch();
    this.#saveTime(batch, Math.floor(this.clock.steadyMs()));
    batch.write({ sync: false });
  }

  /** Steady time as it was saved last by this process; -Infinity before. */
  get savedTimeMs(): number {
    return this.#savedMs;
  }

  /** Nodes whose life is over by `steadyMs`, in the order of their deadlines. */
  dueNodes(steadyMs: number, max: number): readonly ExpiredNode[] {
    return this.#table.dueNodes(Math.floor(steadyMs), max);
  }

  /**
   * The lives left of up to `max` nodes with a deadline, in the order of deadlines, from where a call
   * before ended.
   */
  livesLeft(max: number, from?: LivesCursor): LivesPage {
    return this.#table.livesLeft(Math.floor(this.clock.steadyMs()), max, from);
  }

  /** Nodes are due after this moment; undefined when no node has a deadline. */
  nextDeadline(): number | undefined {
    return this.#table.nextDeadline();
  }

  /** The replicated state as of now, as a stream; the store goes on meanwhile. */
  exportSnapshot(): SnapshotExport {
    return new SnapshotExport({
      kv: this.kv,
      state: this.#state(),
      historyFirst: this.history.firstStoredIndex,
      sweeps: this.#table.sweeps.filter(),
      steadyMs: Math.floor(this.clock.steadyMs()),
      schedule: this.#schedule,
    });
  }

  /** A digest of the replicated state as of now, equal on members at the same applied index. */
  hash(): Promise<StateHash> {
    return hashState(this.kv, this.#state(), this.#table.sweeps.filter(), this.#schedule);
  }

  /** Closes the kv too. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#listeners.clear();
    await this.kv.close();
  }

  #appliedView(): { readonly raftIndex: number; readonly raftTerm: number } {
    const index = (): number => this.#raftIndex;
    const term = (): number => this.#raftTerm;
    return {
      get raftIndex() {
        return index();
      },
      get raftTerm() {
        return term();
      },
    };
  }

  #now(): Instant {
    return {
      wallMs: Math.floor(this.clock.wallMs()),
      steadyMs: Math.floor(this.clock.steadyMs()),
    };
  }

  #preload(entries: readonly AppliedEntry[]): void {
    const paths: string[] = [];
    for (const { index, command } of entries) {
      if (index > this.#raftIndex && command !== undefined && "path" in command) {
        paths.push(command.path);
      }
    }
    this.#table.preload(paths);
  }

  #execute(command: Command | undefined, now: Instant): Outcome {
    if (command === undefined) return undefined;
    switch (command.action) {
      case "expire":
        for (const node of command.expired) {
          const event = this.#tree.expire(node, now);
          if (event !== undefined) this.#events.push(event);
        }
        for (const life of command.lives ?? []) this.#tree.shorten(life, now);
        return undefined;
      case "clusterVersion":
        this.#tree.setClusterVersion(command.value);
        return undefined;
      case "group":
        for (const write of command.writes) this.#write(write, now);
        return undefined;
      case "set":
      case "create":
      case "createInOrder":
      case "update":
      case "compareAndSwap":
      case "delete":
      case "compareAndDelete":
        return this.#write(command, now);
    }
  }

  #write(command: Parameters<Tree["write"]>[0], now: Instant): RecordedEvent | EtcdError {
    const outcome = this.#tree.write(command, now);
    if (!(outcome instanceof EtcdError)) this.#events.push(outcome);
    return outcome;
  }

  #saveTime(batch: KvBatch, steadyMs: number): void {
    writeSteadyTime(this.#writer, batch, steadyMs);
    this.#savedMs = steadyMs;
  }

  #flush(
    told: RecordedEvent[],
    meta: ReadonlyMap<string, Uint8Array> | undefined,
    { steadyMs }: Instant,
  ): void {
    const batch = this.kv.batch();
    // A deadline never stands beside a time before it was set.
    if (this.#table.changesDeadlines && steadyMs > this.#savedMs) this.#saveTime(batch, steadyMs);
    const sweeps = this.#table.sweeps.hasUnwritten;
    this.#table.flush(batch);
    if (this.#events.length > 0) {
      this.history.append(this.#events, batch);
      for (const event of this.#events) told.push(event);
      this.#events = [];
    }
    if (meta !== undefined) for (const [key, value] of meta) batch.put(hostKey(key), value);
    writeState(this.#writer, batch, this.#state());
    const shared = this.#shared;
    if (shared === undefined) batch.write({ sync: false });
    else this.#writeShared(batch, shared, sweeps);
    if (this.#table.sweeps.pending) this.#continueSweep();
  }

  /** Writes a batch so that other threads never see half of what it means. */
  #writeShared(batch: KvBatch, shared: SharedState, sweeps: boolean): void {
    // Rows that this batch takes from the history are out of bounds before they are gone.
    shared.historyFirst = this.history.firstIndex;
    if (sweeps) shared.beginChange();
    batch.write({ sync: false });
    this.#publish(shared);
    if (sweeps) shared.endChange();
  }

  #publish(shared: SharedState): void {
    shared.publish({
      etcdIndex: this.#tree.etcdIndex,
      raftIndex: this.#raftIndex,
      raftTerm: this.#raftTerm,
      historyFirst: this.history.firstIndex,
      historyLast: this.history.lastIndex,
      unlistedFrom: this.#table.sweeps.firstUnlisted ?? Number.MAX_SAFE_INTEGER,
    });
  }

  #state(): StoreState {
    return {
      raftIndex: this.#raftIndex,
      raftTerm: this.#raftTerm,
      etcdIndex: this.#tree.etcdIndex,
      history: this.history.state,
      nodeCount: this.#table.nodeCount,
      stats: { ...this.#tree.stats },
      live: this.#table.live.size,
    };
  }

  /** Completes large removals in slices, between other work. */
  #continueSweep(): void {
    if (this.#sweepScheduled || !this.#table.sweeps.pending) return;
    this.#sweepScheduled = true;
    this.#schedule(() => {
      this.#sweepScheduled = false;
      if (this.#closed) return;
      const batch = this.kv.batch();
      for (const sweep of this.#table.sweep(batch, SWEEP_ROWS)) this.history.listed(sweep, batch);
      writeState(this.#writer, batch, this.#state());
      batch.write({ sync: false });
      if (this.#shared !== undefined) this.#publish(this.#shared);
      this.#continueSweep();
    });
  }
}
