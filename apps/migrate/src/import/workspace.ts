/**
 * The place a target is built in, so that it appears whole or not at all: a temporary folder beside
 * it on the same file system, synced and renamed at the end. Knows names and renames, no content.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { makeDirectories, syncPath, syncTree } from "@etcd2/store";
import { MigrateError } from "../errors.ts";

/** Left behind inside an empty target by a run that was killed. */
const LEFTOVER = /^member\.tmp-/;

export class Workspace {
  /** Where the member directory (wal, store) is built. */
  readonly memberDir: string;
  /** Renamed from and to at the end; undefined when nothing is to be kept. */
  readonly #rename: { readonly from: string; readonly to: string } | undefined;
  readonly #temporary: string;

  private constructor(
    temporary: string,
    memberDir: string,
    rename: { readonly from: string; readonly to: string } | undefined,
  ) {
    this.#temporary = temporary;
    this.memberDir = memberDir;
    this.#rename = rename;
  }

  /** For a new data directory. @throws MigrateError "target" when there is something already. */
  static forTarget(target: string): Workspace {
    const path = resolve(target);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) {
      return guard(path, () => {
        makeDirectories(dirname(path));
        removeAbandoned(path);
        const prefix = `.${basename(path)}.tmp-${process.pid}-`;
        const temporary = mkdtempSync(join(dirname(path), prefix));
        return new Workspace(temporary, join(temporary, "member"), { from: temporary, to: path });
      });
    }
    if (!stat.isDirectory()) {
      throw new MigrateError("target", "exists and is not a directory", { file: path });
    }
    const content = readdirSync(path).filter((name) => !LEFTOVER.test(name));
    if (content.length > 0) {
      throw new MigrateError("target", `is not empty (it holds ${content[0] ?? ""})`, {
        file: path,
        remedy: "name a directory that does not exist yet",
      });
    }
    return Workspace.#inside(path);
  }

  /** For a member directory next to the old files of a 0.4 or 2.0.0 directory. */
  static inPlace(directory: string): Workspace {
    const path = resolve(directory);
    if (existsSync(join(path, "member"))) {
      throw new MigrateError("target", "exists already: this directory was converted before", {
        file: join(path, "member"),
      });
    }
    return Workspace.#inside(path);
  }

  /** For a trial run: nothing of it stays. */
  static forTrial(): Workspace {
    const temporary = mkdtempSync(join(tmpdir(), "etcd-migrate-"));
    return new Workspace(temporary, join(temporary, "member"), undefined);
  }

  static #inside(path: string): Workspace {
    return guard(path, () => {
      for (const name of readdirSync(path)) {
        if (LEFTOVER.test(name)) rmSync(join(path, name), { recursive: true, force: true });
      }
      const temporary = mkdtempSync(join(path, "member.tmp-"));
      return new Workspace(temporary, temporary, { from: temporary, to: join(path, "member") });
    });
  }

  /** A folder for things needed only while building; remove it before publishing. */
  scratch(name: string): string {
    const path = join(this.memberDir, `scratch-${name}`);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  removeScratch(name: string): void {
    rmSync(join(this.memberDir, `scratch-${name}`), { recursive: true, force: true });
  }

  /** Makes what was built durable and gives it its final name. */
  publish(): void {
    const rename = this.#rename;
    if (rename === undefined) return;
    guard(rename.to, () => {
      syncTree(rename.from);
      renameSync(rename.from, rename.to);
      syncPath(dirname(rename.to));
    });
  }

  /** Removes everything that was not published. */
  dispose(): void {
    rmSync(this.#temporary, { recursive: true, force: true });
  }
}

/** Removes what runs that were killed have left beside a target; a run still going on keeps its own. */
function removeAbandoned(path: string): void {
  const prefix = `.${basename(path)}.tmp-`;
  for (const name of readdirSync(dirname(path))) {
    const pid = /^(\d+)-\w{6}$/.exec(name.startsWith(prefix) ? name.slice(prefix.length) : "")?.[1];
    if (pid === undefined || isRunning(Number(pid))) continue;
    rmSync(join(dirname(path), name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Turns failures of the file system into one about the target. */
function guard<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof MigrateError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MigrateError("target", `cannot be written: ${reason}`, { file: path, cause });
  }
}
