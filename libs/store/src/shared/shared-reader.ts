/**
 * Reads a store that another thread of the process applies to: the same rows, and what that thread has
 * published of its progress. A write that was acknowledged anywhere is seen here, because its rows
 * and its index are there before the acknowledgement is.
 */
import { ByteReader } from "../encoding/bytes.ts";
import { nodeKeyView } from "../encoding/keyspace.ts";
import { readNodeRecord } from "../encoding/node-record.ts";
import type { Kv } from "../kv/kv.ts";
import type { ByteString } from "../model/byte-string.ts";
import type { NodeExtern } from "../model/event.ts";
import type { ReadResult, StoreReader, StoreStats } from "../model/ports.ts";
import { SubtreeSweeps } from "../nodes/subtree-sweeps.ts";
import { TreeReader } from "../nodes/tree-reader.ts";
import type { NodeSpace } from "../tree/node-space.ts";
import { emptyStats } from "../tree/store-stats.ts";
import { Tree } from "../tree/tree.ts";
import type { TreeNode } from "../tree/tree-node.ts";
import type { SharedState } from "./shared-state.ts";

/** What a thread reads. */
export interface SharedStore {
  readonly kv: Kv;
  readonly clock: { steadyMs(): number };
}

/** The rows of nodes, for reading alone. */
class SharedNodes implements NodeSpace {
  readonly sweeps = new SubtreeSweeps();
  readonly #kv: Kv;
  readonly #reader = new ByteReader();
  constructor(kv: Kv) {
    this.#kv = kv;
  }

  get(path: ByteString): TreeNode | undefined {
    const row = this.#kv.get(nodeKeyView(path));
    if (row === undefined) return undefined;
    this.#reader.reset(row);
    const node = readNodeRecord(this.#reader);
    return this.sweeps.isSwept(path, node.createdIndex) ? undefined : node;
  }

  reload(): void {
    this.sweeps.load(this.#kv);
  }

  put(): never {
    throw new Error("this thread does not write");
  }

  remove(): never {
    throw new Error("this thread does not write");
  }

  hasChildren(): never {
    throw new Error("this thread does not write");
  }

  removeBelow(): never {
    throw new Error("this thread does not write");
  }
}

/** Adds what is counted here to the counters that all threads share. */
function sharedStats(shared: SharedState): StoreStats {
  return Object.defineProperties(emptyStats(), {
    getsSuccess: {
      get: () => 0,
      set: (count: number) => {
        shared.countReads(count, 0);
      },
    },
    getsFail: {
      get: () => 0,
      set: (count: number) => {
        shared.countReads(0, count);
      },
    },
  });
}

/** The reader of a thread that does not apply. */
export class SharedReader implements StoreReader {
  readonly stats: StoreStats;
  readonly #shared: SharedState;
  readonly #current: () => SharedStore;
  #store: SharedStore | undefined;
  #epoch = -1;
  #nodes: SharedNodes | undefined;
  #tree: Tree | undefined;
  #reader: TreeReader | undefined;

  /** @param current the store of now; it changes with an epoch only. */
  constructor(shared: SharedState, current: () => SharedStore) {
    this.#shared = shared;
    this.#current = current;
    this.stats = sharedStats(shared);
  }

  get etcdIndex(): number {
    return this.#shared.etcdIndex;
  }

  get raftIndex(): number {
    return this.#shared.raftIndex;
  }

  get raftTerm(): number {
    return this.#shared.raftTerm;
  }

  get(path: ByteString, options: { readonly recursive: boolean }): ReadResult {
    return this.#settled(
      (reader) => reader.get(path, options),
      (result) => result.children?.close(),
    );
  }

  peek(path: ByteString): NodeExtern | undefined {
    return this.#settled((reader) => reader.peek(path));
  }

  peekChildren(path: ByteString): readonly NodeExtern[] {
    return this.#settled((reader) => reader.peekChildren(path));
  }

  /** What a read finds, or throws, while nothing changes its meaning; `discard` lets go of others. */
  #settled<T>(read: (reader: TreeReader) => T, discard?: (result: T) => void): T {
    for (;;) {
      const epoch = this.#shared.settledEpoch();
      const reader = this.#prepare(epoch);
      try {
        const result = read(reader);
        if (this.#shared.isStill(epoch)) return result;
        discard?.(result);
      } catch (error) {
        if (this.#shared.isStill(epoch)) throw error;
      }
    }
  }

  /** A reader at an index that the rows to come are not older than. */
  #prepare(epoch: number): TreeReader {
    if (epoch !== this.#epoch) {
      const store = this.#current();
      if (store !== this.#store) this.#use(store);
      this.#nodes?.reload();
      this.#epoch = epoch;
    }
    const [tree, reader] = [this.#tree, this.#reader];
    if (tree === undefined || reader === undefined) throw new Error("there is no store to read");
    tree.etcdIndex = this.#shared.etcdIndex;
    return reader;
  }

  #use(store: SharedStore): void {
    const { kv, clock } = store;
    const nodes = new SharedNodes(kv);
    const tree = new Tree(nodes, 0, this.stats);
    this.#store = store;
    this.#nodes = nodes;
    this.#tree = tree;
    this.#reader = new TreeReader({ kv, clock, tree, table: nodes, applied: this.#shared });
  }
}
