/**
 * What a replay needs of the store it fills: load a snapshot, apply writes with the semantics of
 * 2.3.8, expire by the old cluster's clock, look things up. target-store.ts implements it over the
 * real state machine.
 */
import type { NodeExtern, StoreEvent, WriteCommand } from "@etcd2/store";

/** A node of a snapshot, with the namespace in its path. */
export interface LoadedNode {
  readonly path: string;
  readonly dir: boolean;
  readonly value: string;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
  readonly expirationNs: bigint | undefined;
}

/** A write whose expiration is known to the nanosecond; the store fills in the life left. */
export interface ReplayWrite extends WriteCommand {
  readonly expirationNs: bigint | undefined;
}

/** Where a loaded snapshot stands. */
export interface LoadEnd {
  readonly etcdIndex: number;
  readonly raftIndex: number;
  readonly raftTerm: number;
  /** Recent events without a gap, the last one at `etcdIndex`; or none. */
  readonly events: readonly StoreEvent[];
}

/** For a replay that begins with an empty store. */
export const EMPTY_LOAD: LoadEnd = { etcdIndex: 0, raftIndex: 0, raftTerm: 0, events: [] };

/**
 * Changes may be put off and applied many at once; every method that looks at the store sees them
 * applied. What a write comes to is not told: a refused one simply changes nothing.
 */
export interface ReplayStore {
  readonly etcdIndex: number;
  /** Adds a node of a snapshot; a directory comes before what is in it. Only on an empty store. */
  load(node: LoadedNode): void;
  /** Ends loading. Comes before everything but load(), also where there is no snapshot. */
  endLoad(end: LoadEnd): Promise<void>;
  /** Says which log entry the next change belongs to; each entry makes at most one. */
  begin(raftIndex: number, raftTerm: number): void;
  write(command: ReplayWrite): void;
  /** Several writes that belong to one log entry. */
  group(commands: readonly ReplayWrite[]): void;
  /** Tells the time of the old cluster where no time signal has done so yet. */
  setTime(timeNs: bigint): void;
  /** Expires everything due at `timeNs`, oldest first, an index each; it is that time now. */
  expire(timeNs: bigint): void;
  peek(path: string): NodeExtern | undefined;
  /** Direct children, hidden ones included. */
  peekChildren(path: string): readonly NodeExtern[];
}
