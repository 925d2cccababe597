/**
 * Where a member keeps its state machine on disk: one RocksDB folder per generation, and a file
 * CURRENT that names the one in use. A received snapshot is written into a new generation, which
 * replaces the old one by renaming CURRENT: at any moment exactly one complete state is named.
 * Owns names and the switch, nothing of what the folders hold.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { makeDirectories } from "./make-directories.ts";

const CURRENT = "CURRENT";
const GENERATION = /^generation-(\d{8})$/;

function syncPath(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

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

  constructor(path: string) {
    this.path = path;
  }

  /** Folder of the generation in use; undefined before the first switchTo(). */
  current(): string | undefined {
    const file = join(this.path, CURRENT);
    if (!existsSync(file)) return undefined;
    const name = readFileSync(file, "utf8").trim();
    return GENERATION.test(name) ? join(this.path, name) : undefined;
  }

  /** An empty folder's path for the next generation; leftovers of an unfinished one are removed. */
  next(): string {
    makeDirectories(this.path);
    const current = this.current();
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
    syncPath(this.path);
  }

  /** Removes every generation but the one in use. */
  removeOthers(): void {
    const current = this.current();
    for (const name of readdirSync(this.path)) {
      const path = join(this.path, name);
      if (GENERATION.test(name) && path !== current) rmSync(path, { recursive: true, force: true });
    }
  }
}
