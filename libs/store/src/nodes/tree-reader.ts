/** Reads of the store as the layers above see them. Counts client reads; changes nothing else. */
import type { ByteString } from "../model/byte-string.ts";
import { EtcdError } from "../model/errors.ts";
import type { NodeExtern } from "../model/event.ts";
import type { Kv } from "../kv/kv.ts";
import { NodeListing } from "./node-listing.ts";
import type { SweepFilter } from "./sweep-filter.ts";
import type { ReadResult, StoreReader, StoreStats } from "../model/ports.ts";
import { type Tree, nodeExtern } from "../tree/tree.ts";

/** What a reader stands on. */
export interface ReaderParts {
  readonly kv: Kv;
  readonly tree: Tree;
  /** What is pending of large removals. */
  readonly table: { readonly sweeps: { filter(): SweepFilter } };
  readonly clock: { steadyMs(): number };
  readonly applied: { readonly raftIndex: number; readonly raftTerm: number };
}

const LISTING_ROWS = 512;

/** The reader of a state machine. */
export class TreeReader implements StoreReader {
  readonly #parts: ReaderParts;
  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  get etcdIndex(): number {
    return this.#parts.tree.etcdIndex;
  }

  get raftIndex(): number {
    return this.#parts.applied.raftIndex;
  }

  get raftTerm(): number {
    return this.#parts.applied.raftTerm;
  }

  get stats(): StoreStats {
    return this.#parts.tree.stats;
  }

  get(path: ByteString, options: { readonly recursive: boolean }): ReadResult {
    const { tree, applied } = this.#parts;
    const node = tree.read(path);
    if (node instanceof EtcdError) {
      tree.stats.getsFail += 1;
      throw node;
    }
    tree.stats.getsSuccess += 1;
    const steadyMs = node.deadlineMs === undefined && !node.dir ? 0 : this.#steadyMs();
    return {
      etcdIndex: tree.etcdIndex,
      raftIndex: applied.raftIndex,
      raftTerm: applied.raftTerm,
      node: nodeExtern(path, node, steadyMs),
      children: node.dir ? this.#list(path, options.recursive, false, steadyMs) : undefined,
    };
  }

  peek(path: ByteString): NodeExtern | undefined {
    const node = this.#parts.tree.get(path);
    if (node === undefined) return undefined;
    return nodeExtern(path, node, node.deadlineMs === undefined ? 0 : this.#steadyMs());
  }

  peekChildren(path: ByteString): readonly NodeExtern[] {
    const listing = this.#list(path, false, true, this.#steadyMs());
    const children: NodeExtern[] = [];
    for (;;) {
      const rows = listing.next(LISTING_ROWS);
      if (rows.length === 0) return children;
      for (const row of rows) children.push(row.node);
    }
  }

  #list(path: ByteString, recursive: boolean, hidden: boolean, steadyMs: number): NodeListing {
    const { kv, table } = this.#parts;
    return new NodeListing(kv, path, {
      recursive,
      hidden,
      steadyMs,
      sweeps: table.sweeps.filter(),
    });
  }

  #steadyMs(): number {
    return Math.floor(this.#parts.clock.steadyMs());
  }
}
