/**
 * Where a member keeps its state machine on disk: one RocksDB folder per generation, and a file
 * CURRENT that names the one in use. A received snapshot is written into a new generation, which
 * replaces the old one by renaming CURRENT: at any moment exactly one complete state is named.
 * Owns names and the switch, nothing of what the folders hold.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StoreError } from "../model/errors.ts";
import { makeDirectories } from "./make-directories.ts";
import { syncPath } from "./sync.ts";

const CURRENT = "CURRENT";
const GENERATION = /^generation-(\d{8})$/;

/** An open database removes files it no longer needs whenever it likes, between listing and sync. */
function syncUnlessGone(path: string): void {
  try {
    syncPath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/**
 * Files that processes lock and keep empty: RocksDB's, and those of directories. A process that closes
 * one loses its lock on it, whichever way it was opened, so nothing here ever opens them.
 */
const LOCK_FILE = /^LOCK$|\.lock$/;

/** Syncs every file of a folder tree, and the folders; leaves out lock files. */
export function syncTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) syncTree(child);
    else if (entry.isFile() && !LOCK_FILE.test(entry.name)) syncUnlessGone(child);
  }
  syncPath(path);
}

/** The generations of one store; errors are those of the file system, or StoreErrors. */
export class StoreDirectory {
  readonly path: string;
  /** The generation in use, as last read or written; nothing removes it, whatever CURRENT says by then. */
  #inUse: string | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Folder of the generation in use; undefined before the first switchTo().
   * @throws StoreError corrupt when CURRENT names none.
   */
  current(): string | undefined {
    const name = this.#readName();
    if (name === undefined) return undefined;
    if (!GENERATION.test(name)) {
      throw new StoreError("corrupt", `${join(this.path, CURRENT)} names no state`);
    }
    this.#inUse = join(this.path, name);
    return this.#inUse;
  }

  #readName(): string | undefined {
    try {
      return readFileSync(join(this.path, CURRENT), "utf8").trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** As current(), for who is about to remove all others. @throws StoreError corrupt when it changed. */
  #kept(): string | undefined {
    const before = this.#inUse;
    const current = this.current();
    if (before !== undefined && current !== before) {
      this.#inUse = before;
      throw new StoreError(
        "corrupt",
        `${join(this.path, CURRENT)} does not name the state in use, ${before}, any more`,
      );
    }
    return current;
  }

  /** An empty folder's path for the next generation; leftovers of an unfinished one are removed. */
  next(): string {
    makeDirectories(this.path);
    const current = this.#kept();
    let newest = 0;
    for (const name of readdirSync(this.path)) {
      const match = GENERATION.exec(name);
      if (match?.[1] === undefined) continue;
      newest = Math.max(newest, Number(match[1]));
      if (join(this.path, name) !== current) {
        rmSync(join(this.path, name), { recursive: true, force: true });
      }
    }
    const path = join(this.path, `generation-${String(newest + 1).padStart(8, "0")}`);
    mkdirSync(path, { mode: 0o700 });
    return path;
  }

  /** Makes `path` (from next(), closed and complete) the generation in use, durably. */
  switchTo(path: string): void {
    syncTree(path);
    const name = path.slice(this.path.length + 1);
    const temporary = join(this.path, `${CURRENT}.tmp`);
    writeFileSync(temporary, `${name}\n`, { mode: 0o600 });
    syncPath(temporary);
    renameSync(temporary, join(this.path, CURRENT));
    this.#inUse = path;
    syncPath(this.path);
  }

  /** Removes every generation but the one in use. */
  removeOthers(): void {
    const current = this.#kept();
    if (current === undefined) return;
    for (const name of readdirSync(this.path)) {
      const path = join(this.path, name);
      if (GENERATION.test(name) && path !== current) rmSync(path, { recursive: true, force: true });
    }
  }
}
