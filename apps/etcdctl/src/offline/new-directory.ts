/**
 * Directories that appear whole or not at all: each is built under another name beside its place,
 * synced, and renamed. Knows names and renames, nothing of what is in them.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { makeDirectories, syncTree } from "@etcd2/store";

/** Whether nothing is there that could be lost. */
export function isVacant(path: string): boolean {
  return !existsSync(path) || readdirSync(path).length === 0;
}

function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
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
    syncDirectory(dirname(this.target));
  }

  /** Removes it unless it was published. Idempotent. */
  dispose(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
