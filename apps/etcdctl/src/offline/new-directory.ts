/**
 * Directories that appear whole or not at all: each is built under another name beside its place,
 * synced, and renamed. A mount point, such as the volume of a container, cannot be renamed over: there the
 * directory is built inside, and what is in it is moved up, entry by entry. Knows names and renames,
 * nothing of what is in them.
 */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { makeDirectories, syncPath, syncTree } from "@etcd2/store";

/** Names of what a run that was killed leaves in a mount point. */
const INSIDE = ".etcdctl.tmp-";

/** Whether nothing is there that could be lost. */
export function isVacant(path: string): boolean {
  if (!existsSync(path)) return true;
  const names = readdirSync(path).filter((name) => !name.startsWith(INSIDE));
  return names.length === 0 || (isMountPoint(path) && names.every((name) => name === "lost+found"));
}

/** Also a directory bound over another of the same file system, which only the list of mounts tells. */
function isMountPoint(path: string): boolean {
  if (!existsSync(path)) return false;
  const real = realpathSync(path);
  if (statSync(real).dev !== statSync(dirname(real)).dev) return true;
  let mounts: string;
  try {
    mounts = readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    return false;
  }
  const escaped = real.replace(
    /[ \t\n\\]/g,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
  return mounts.split("\n").some((line) => line.split(" ")[4] === escaped);
}

export class NewDirectory {
  readonly target: string;
  /** Where to build. */
  readonly path: string;
  readonly #isInside: boolean;

  constructor(target: string) {
    this.target = resolve(target);
    const parent = dirname(this.target);
    makeDirectories(parent);
    this.#isInside = isMountPoint(this.target);
    this.path = mkdtempSync(
      this.#isInside ? join(this.target, INSIDE) : join(parent, `.${basename(this.target)}.tmp-`),
    );
  }

  /** Gives it its name, durably; the place may hold an empty directory. */
  publish(): void {
    syncTree(this.path);
    if (this.#isInside) {
      for (const name of readdirSync(this.path)) {
        renameSync(join(this.path, name), join(this.target, name));
      }
      rmdirSync(this.path);
      syncPath(this.target);
      return;
    }
    renameSync(this.path, this.target);
    syncPath(dirname(this.target));
  }

  /** Removes it unless it was published. Idempotent. */
  dispose(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
