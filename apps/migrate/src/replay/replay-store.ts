/**
 * What a replay needs of the store it fills: load a snapshot, apply writes with the semantics of
 * 2.3.8, expire by the old cluster's clock, look things up. target-store.ts implements it over the
 * real state machine; the tests add a naive twin.
 */
import type { EtcdError, NodeExtern, StoreEvent, WriteCommand } from "@etcd2/store";

/** A node of a snapshot, with the namespace in its path. */
export interface LoadedNode {
  readonly path: string;
  readonly dir: boolean;
  readonly value: string;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
  readonly expirationNs: bigint | undefined;
}

/** A write whose expiration is known to the nanosecond. */
export interface ReplayWrite extends WriteCommand {
  readonly expirationNs: bigint | undefined;
}

export interface ReplayStore {
  readonly etcdIndex: number;
  /** Adds a node of a snapshot; a directory comes before what is in it. Only on an empty store. */
  load(node: LoadedNode): void;
  /** Ends loading: the store stands at `etcdIndex`, and these events led there. */
  endLoad(etcdIndex: number, events: readonly StoreEvent[]): void;
  /** Says which log entry the following changes belong to. */
  begin(raftIndex: number, raftTerm: number): void;
  write(command: ReplayWrite): StoreEvent | EtcdError;
  /** Expires everything due at `timeNs`, oldest first, an index each; returns how many. */
  expire(timeNs: bigint): number;
  peek(path: string): NodeExtern | undefined;
  /** Direct children, hidden ones included. */
  peekChildren(path: string): readonly NodeExtern[];
}
