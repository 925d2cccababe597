/**
 * What an event of the source changes in v3. Remembers the directories that exist and their lives, which the
 * events of the keys in them do not tell. Without I/O.
 */
import type { RowOptions } from "../mapping/rows.ts";
import { RowMaker } from "../mapping/rows.ts";
import type { Change } from "./v3-writer.ts";

export interface NodeChange {
  /** Path of the node. */
  readonly key: string;
  readonly dir: boolean;
  readonly isRemoval: boolean;
  readonly value: string;
}

/** Filled in when the change is written. */
const ANY = { atMost: 0 };

export class EventRows {
  readonly #options: RowOptions;
  /** Directories known to exist, with the end of their lives in Unix milliseconds. */
  readonly #directories = new Map<string, number | undefined>();
  /** Greatest in-order names, by the keys that keep them. */
  readonly #names = new Map<string, string>();

  constructor(options: RowOptions) {
    this.#options = options;
  }

  forget(): void {
    this.#directories.clear();
  }

  /** A file that exists, for the names of those to come. */
  knowFile(path: string): void {
    const maker = new RowMaker(this.#options);
    maker.rows({ path, dir: false, value: "", expirationMs: undefined });
    for (const { key, value } of maker.sequences()) this.#isGreater(key, value);
  }

  /** Whether a name is greater than all before; remembers it then. */
  #isGreater(key: string, name: string): boolean {
    if (name <= (this.#names.get(key) ?? "")) return false;
    this.#names.set(key, name);
    return true;
  }

  knowDirectory(path: string, expirationMs: number | undefined): void {
    this.#directories.set(path, expirationMs);
  }

  /** A directory is gone with everything in it. */
  forgetBelow(path: string): void {
    for (const known of this.#directories.keys()) {
      if (known === path || known.startsWith(`${path}/`)) this.#directories.delete(known);
    }
  }

  /**
   * The changes of an event that is not the removal of a directory, of distinct keys; "copy" when it
   * reaches keys that it does not name.
   */
  changes(event: NodeChange, expirationMs: number | undefined): readonly Change[] | "copy" {
    const { paths, directories } = this.#options;
    const maker = new RowMaker(this.#options);
    const changes: Change[] = [];
    for (let end = event.key.indexOf("/", 1); end > 0; end = event.key.indexOf("/", end + 1)) {
      const path = event.key.slice(0, end);
      if (!paths.takes(path)) continue;
      const isKnown = this.#directories.has(path);
      const life = this.#directories.get(path);
      const rows = maker.rows({ path, dir: true, value: "", expirationMs: life });
      if (isKnown) continue;
      this.#directories.set(path, undefined);
      for (const row of rows) changes.push({ key: row.key, row, guard: ANY });
    }
    const node = { path: event.key, dir: event.dir, value: event.value, expirationMs };
    if (event.dir) {
      const isUpdate = this.#directories.has(event.key);
      const hasOtherLife = isUpdate && this.#directories.get(event.key) !== expirationMs;
      this.#directories.set(event.key, expirationMs);
      // The keys in it take their lives from the directory.
      if (hasOtherLife && directories === "none") return "copy";
    }
    const rows = maker.rows(node);
    for (const row of rows) {
      changes.push({ key: row.key, row: event.isRemoval ? undefined : row, guard: ANY });
    }
    for (const row of event.isRemoval ? [] : maker.sequences()) {
      if (this.#isGreater(row.key, row.value)) changes.push({ key: row.key, row, guard: ANY });
    }
    if (event.dir) this.#clear(event.key, expirationMs, changes);
    return changes;
  }

  /** What a directory's place may have held before: a file, or a life that is over now. */
  #clear(path: string, expirationMs: number | undefined, changes: Change[]): void {
    const { space, paths, directories } = this.#options;
    const target = paths.target(path);
    if (target === "") return;
    const drop = (kind: "data" | "lifetime"): void => {
      const key = space.key(kind, target).toString("latin1");
      changes.push({ key, row: undefined, guard: ANY });
    };
    drop("data");
    if (directories === "marker" && expirationMs === undefined) drop("lifetime");
  }
}
