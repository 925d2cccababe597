/**
 * Directories that appear whole or not at all: each is built under another name beside its place,
 * synced, and renamed. Knows names and renames, nothing of what is in them.
 */
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { makeDirectories, syncPath, syncTree } from "@etcd2/store";

/** Whether nothing is there that could be lost. */
export function isVacant(path: string): boolean {
  return !existsSync(path) || readdirSync(path).length === 0;
}

export class NewDirectory {
  readonly target: string;
  /** Where to build. */
  readonly path: string;

  constructor(target: string) {
    this.target = resolve(target);
    const parent = dirname(this.target);
    makeDirectories(parent);
    this.path = mkdtempSync(join(parent, `.${basename(this.target)}.tmp-`));
  }

  /** Gives it its name, durably; the place may hold an empty directory. */
  publish(): void {
    syncTree(this.path);
    renameSync(this.path, this.target);
    syncPath(dirname(this.target));
  }

  /** Removes it unless it was published. Idempotent. */
  dispose(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
