/** Results of store operations: what the HTTP layer shows and what watchers are told. */
import type { ByteString } from "./byte-string.ts";

/** What happened, or for answers of reads "get". */
export type EventAction =
  "get" | "set" | "create" | "update" | "compareAndSwap" | "delete" | "compareAndDelete" | "expire";

/** A node as shown to clients, without the `nodes` list (listings are streamed separately). */
export interface NodeExtern {
  /** Store path with namespace. The API strips the first two bytes ("/1"). */
  readonly key: ByteString;
  /** undefined where the API shows no value (directories, removed nodes). */
  readonly value: ByteString | undefined;
  readonly dir: boolean;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
  /** Unix milliseconds, undefined for permanent. */
  readonly expirationMs: number | undefined;
  /** Seconds left when the event happened, rounded up, 0 where not shown. */
  readonly ttl: number;
}

/** One change of the store. Frozen when it happens. */
export interface StoreEvent {
  readonly action: EventAction;
  readonly node: NodeExtern;
  readonly prevNode: NodeExtern | undefined;
  /** The store index of this change; equals node.modifiedIndex. */
  readonly etcdIndex: number;
  /** Takes an index and a place in the history but is shown to no watcher. */
  readonly refresh: boolean;
}
