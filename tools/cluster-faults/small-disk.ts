/**
 * A small file system in memory, mounted for one member, and the file that fills it. Needs root.
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";

const CHUNK = Buffer.alloc(256 * 1024);
const PAGE = Buffer.alloc(4096);

export class SmallDisk {
  readonly path: string;
  readonly #ballast: string;

  constructor(path: string, mebibytes: number) {
    this.path = path;
    this.#ballast = join(path, "ballast");
    mkdirSync(path, { recursive: true });
    const options = `size=${String(mebibytes)}m,mode=0700`;
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path]);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Takes space away until so much is left: at once, in the way of another process. */
  fill(leftBytes: number): void {
    const file = openSync(this.#ballast, "a");
    try {
      while (this.freeBytes - CHUNK.length >= leftBytes) writeSync(file, CHUNK);
      while (this.freeBytes - PAGE.length >= leftBytes) writeSync(file, PAGE);
    } catch (error) {
      // Somebody else took the rest.
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    } finally {
      closeSync(file);
    }
  }

  /** Gives back what fill() took. */
  free(): void {
    rmSync(this.#ballast, { force: true });
  }

  unmount(): void {
    execFileSync("umount", ["-l", this.path]);
  }
}
