/**
 * An event as the history keeps it: with the names that went away below a removed directory, which
 * decide whether a watcher of such a name is told.
 */
import type { ByteString } from "../model/byte-string.ts";
import type { StoreEvent } from "../model/event.ts";

/** Below this many, looking through a list beats a set. */
const SHORT_LIST = 8;

/** Knows names that nobody has listed yet. */
export interface NameLookup {
  has(path: ByteString): boolean;
}

/** The nodes that were removed with a directory. */
export class RemovedNames {
  /** Names that were listed when this was made; it stays as it is, for accounts of memory. */
  readonly heldCount: number;
  #load: (() => readonly ByteString[] | undefined) | undefined;
  #lookup: NameLookup | undefined;
  #paths: readonly ByteString[] | undefined;
  #set: Set<ByteString> | undefined;
  constructor(paths: readonly ByteString[] | undefined) {
    this.#paths = paths;
    this.heldCount = paths?.length ?? 0;
  }

  /** Names that are fetched when first asked for. */
  static lazy(load: () => readonly ByteString[] | undefined): RemovedNames {
    const names = new RemovedNames(undefined);
    names.#load = load;
    return names;
  }

  /** Names that are looked up one by one, until settle() says where all of them are. */
  static unlisted(lookup: NameLookup): RemovedNames {
    const names = new RemovedNames(undefined);
    names.#lookup = lookup;
    return names;
  }

  /** All names are known now: they are fetched when next asked for. */
  settle(load: () => readonly ByteString[] | undefined): void {
    this.#lookup = undefined;
    this.#load = load;
  }

  /** Whether the names are looked up one by one. */
  get isUnlisted(): boolean {
    return this.#lookup !== undefined;
  }

  /** Store paths of all descendants; undefined when they are not listed, or were too many to keep. */
  get paths(): readonly ByteString[] | undefined {
    if (this.#load !== undefined) {
      this.#paths = this.#load();
      this.#load = undefined;
    }
    return this.#paths;
  }

  /** Whether a node existed at a path below the directory; true when that is not known. */
  has(path: ByteString): boolean {
    if (this.#lookup !== undefined) return this.#lookup.has(path);
    const paths = this.paths;
    if (paths === undefined) return true;
    if (paths.length < SHORT_LIST) return paths.includes(path);
    this.#set ??= new Set(paths);
    return this.#set.has(path);
  }
}

/** Nothing was removed with the node. */
export const NO_NAMES = new RemovedNames([]);

/** An event with what watches need to know of it. */
export interface RecordedEvent extends StoreEvent {
  /** Defined for a delete or expire event of a directory that had something below it. */
  readonly removed: RemovedNames | undefined;
}
