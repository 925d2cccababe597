/**
 * The names that went away with a directory whose rows are still being swept. While a row is there it
 * answers for itself; what was swept, replaced or never written is remembered here, up to a bound.
 */
import { ByteReader } from "../encoding/bytes.ts";
import type { ByteString } from "../model/byte-string.ts";
import { nodeKeyView } from "../encoding/keyspace.ts";
import type { Kv } from "../kv/kv.ts";
import { readCreatedIndex } from "../encoding/node-record.ts";
import type { SweepFilter } from "./sweep-filter.ts";
import type { NameLookup } from "../tree/recorded-event.ts";

/** What is needed to tell whether a name went away with the directory. */
export interface SweptNamesOptions {
  readonly kv: Kv;
  /** Index of the removal: newer nodes are not meant. */
  readonly etcdIndex: number;
  /** Removals that were pending before: what they cover was gone already. */
  readonly earlier: SweepFilter;
  /** Names remembered; with more, every name counts once its row may be gone. */
  readonly namesMax: number;
}

/** The names of one removal. */
export class SweptNames implements NameLookup {
  readonly #options: SweptNamesOptions;
  readonly #reader = new ByteReader();
  #names: Set<ByteString> | undefined = new Set();

  constructor(options: SweptNamesOptions) {
    this.#options = options;
  }

  /** A name whose row does not stand for it any longer. */
  add(path: ByteString): void {
    const names = this.#names?.add(path);
    if (names !== undefined && names.size > this.#options.namesMax) this.#names = undefined;
  }

  /** What was remembered; undefined when it was too much. */
  get paths(): readonly ByteString[] | undefined {
    return this.#names === undefined ? undefined : [...this.#names];
  }

  has(path: ByteString): boolean {
    if (this.#names === undefined || this.#names.has(path)) return true;
    const { kv, etcdIndex, earlier } = this.#options;
    const row = kv.get(nodeKeyView(path));
    if (row === undefined) return false;
    this.#reader.reset(row);
    const createdIndex = readCreatedIndex(this.#reader);
    return createdIndex <= etcdIndex && !earlier.isSwept(path, createdIndex);
  }
}
