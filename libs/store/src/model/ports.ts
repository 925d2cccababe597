/**
 * What the layers above hand to the store and get from it. state-machine.ts takes the entries and
 * offers the reader, over a Kv; watcher-hub.ts implements WatcherHub over the event feed. Writes
 * come only through apply().
 */
import type { ByteString } from "./byte-string.ts";
import type { Command } from "./command.ts";
import type { EtcdError } from "./errors.ts";
import type { NodeExtern, StoreEvent } from "./event.ts";

/** One committed log entry, decoded. `command` is undefined for no-ops and conf changes. */
export interface AppliedEntry {
  readonly index: number;
  readonly term: number;
  readonly command: Command | undefined;
}

/**
 * Outcome of one entry: the event, a refusal, or undefined where there is nothing to tell
 * (no-ops, expire, clusterVersion and group commands).
 */
export type Outcome = StoreEvent | EtcdError | undefined;

/** A read of one node: the node itself and, for directories, a lazy listing below it. */
export interface ReadResult {
  /** Store index taken before the node was read. */
  readonly etcdIndex: number;
  /** Raft index and term applied at that moment. */
  readonly raftIndex: number;
  readonly raftTerm: number;
  readonly node: NodeExtern;
  /**
   * Children of a directory (hidden ones left out), in byte order, all from one snapshot;
   * undefined for files. Must be drained or closed.
   */
  readonly children: Listing | undefined;
}

/** One row of a listing, in depth-first order: a directory comes before its children. */
export interface ListingRow {
  readonly node: NodeExtern;
  /** 1 for a direct child of the node read. */
  readonly depth: number;
}

/** A cursor over one consistent snapshot. Bounded memory. */
export interface Listing {
  /**
   * Next rows, at most `rowsMax`, from a few times as many that are looked at: where much is hidden
   * there may be none before the end, which is undefined (the cursor is then closed).
   */
  take(rowsMax: number): readonly ListingRow[] | undefined;
  /** Next rows, at most `rowsMax`; an empty array means the end (the cursor is then closed). */
  next(rowsMax: number): readonly ListingRow[];
  close(): void;
}

/** Counters of /v2/stats/store that live in the replicated state. */
export interface StoreStats {
  getsSuccess: number;
  getsFail: number;
  setsSuccess: number;
  setsFail: number;
  deleteSuccess: number;
  deleteFail: number;
  updateSuccess: number;
  updateFail: number;
  createSuccess: number;
  createFail: number;
  compareAndSwapSuccess: number;
  compareAndSwapFail: number;
  compareAndDeleteSuccess: number;
  compareAndDeleteFail: number;
  expireCount: number;
}

/** Reads of the applied state. */
export interface StoreReader {
  readonly etcdIndex: number;
  readonly raftIndex: number;
  readonly raftTerm: number;
  /**
   * Reads a node; counts getsSuccess or getsFail.
   * @throws EtcdError 100, 104.
   */
  get(path: ByteString, options: { readonly recursive: boolean }): ReadResult;
  /** A node without counting, undefined when absent: for internal reads (auth, members). */
  peek(path: ByteString): NodeExtern | undefined;
  /** Direct children of a directory without counting, hidden ones included. */
  peekChildren(path: ByteString): readonly NodeExtern[];
  readonly stats: StoreStats;
}

/** What a watch is about. */
export interface WatchKey {
  readonly path: ByteString;
  readonly recursive: boolean;
}

/**
 * What became of an event that a watch was handed: "taken"; "later", when there is no room for it
 * now, and the hub hands it over again after resume() on the handle; or "refused", when the
 * receiver is gone.
 */
export type Delivery = "taken" | "later" | "refused";

/** One wait. The hub calls `deliver` for each event in order, without gaps or repeats. */
export interface Watch extends WatchKey {
  /** Index to start from; 0 means from now. */
  readonly sinceIndex: number;
  readonly stream: boolean;
  /** Takes one event, which all watches of it share. A watch that refuses it is dropped. */
  deliver(event: StoreEvent): Delivery;
  /**
   * Whether the receiver wants a pause (optional): the hub asks after each event that it feeds from
   * the history, where it could otherwise outrun any socket, and then waits for resume() on the
   * handle. Live events do not wait.
   */
  congested?(): boolean;
  /**
   * The watch ended for this reason: after a non-stream delivery; because it refused an event, or was
   * so late that the history no longer has what it lacks; or at shutdown.
   */
  ended(reason: "delivered" | "slow" | "closed"): void;
}

/** What whoever started a watch holds of it. */
export interface WatchHandle {
  /** Ends the watch without a further call to it. */
  cancel(): void;
  /** There is room after congestion or a "later", which lie in earlier turns. */
  resume(): void;
}

/** Watches on the store. */
export interface WatcherHub {
  /** Live watchers, as /v2/stats/store counts them. */
  readonly watchers: number;
  /**
   * Starts a watch; its methods are called in later turns only.
   * @throws EtcdError 401 when sinceIndex lies before the history.
   */
  watch(watch: Watch): WatchHandle;
  /** Ends all watches. */
  close(): void;
}
