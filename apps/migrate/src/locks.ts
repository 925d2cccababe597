/**
 * Keeps a data directory from being used by a server while it is read or repaired. This project's own
 * directories are locked as its server locks them. Old servers lock their log files (0.4 locks
 * nothing): whether one runs is told by the system's list of file locks, which also knows the process, and
 * by asking for the lock itself, which sees servers of other containers and machines too.
 */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  holderOf,
  lockDirectory,
  lockDirectoryForReading,
  LockError,
  readLockHolders,
} from "@etcd2/raft/wal";
import type { DetectedSource, SourceOwn } from "./detect.ts";
import { MigrateError } from "./errors.ts";
import { isLockedByOther } from "./foreign-lock.ts";

/** "read" lets others read as well; "repair" keeps them out. */
export type Purpose = "read" | "repair";

/**
 * Holds the directory until what it returns is called, or this process ends.
 * @throws MigrateError "locked" when another process uses it.
 */
export function holdSource(source: DetectedSource, purpose: Purpose): () => void {
  const releases = source.kind === "own" ? holdOwn(source, purpose) : [];
  const release = (): void => {
    for (const one of releases) one();
  };
  try {
    refuseLocked(source);
  } catch (error) {
    release();
    throw error;
  }
  return release;
}

function holdOwn({ storeDir, walDir }: SourceOwn, purpose: Purpose): readonly (() => void)[] {
  const releases: (() => void)[] = [];
  const take = purpose === "read" ? lockDirectoryForReading : lockDirectory;
  for (const directory of [dirname(storeDir), walDir]) {
    if (!existsSync(directory)) continue;
    try {
      releases.push(take(directory));
    } catch (error) {
      for (const release of releases) release();
      throw describe(error, directory);
    }
  }
  return releases;
}

function describe(error: unknown, directory: string): unknown {
  if (!(error instanceof Error)) return error;
  const { cause, message } = error;
  const pid = /held by process (\d+)/.exec(message)?.[1];
  if (pid !== undefined) return inUse(directory, Number(pid), error);
  if (!(cause instanceof LockError)) return error;
  if (cause.failure === "held") return inUse(directory, 0, error);
  return new MigrateError("locked", `cannot be locked: ${cause.message}`, {
    file: directory,
    cause,
  });
}

function inUse(file: string, pid: number, cause?: unknown): MigrateError {
  return new MigrateError(
    "locked",
    pid > 0 ? `is in use by a running server (process ${pid})` : "is in use by a running server",
    {
      file,
      remedy:
        'stop the server, or read it while it runs with "etcd-migrate mirror" or "to-v3 --from"',
      cause,
    },
  );
}

function refuseLocked(source: DetectedSource): void {
  const holders = readLockHolders();
  for (const path of lockableFiles(source)) {
    const pid = holderOf(path, holders);
    if (pid !== undefined) throw inUse(path, pid);
    // Closing a file would drop a lock that this process has on it, so our own are not opened here.
    if (source.kind === "etcd2" && isLockedByOther(path) === true) throw inUse(path, 0);
  }
}

function lockableFiles(source: DetectedSource): readonly string[] {
  const inside = (directory: string, name: RegExp): readonly string[] =>
    list(directory)
      .filter((entry) => name.test(entry))
      .map((entry) => join(directory, entry));
  switch (source.kind) {
    case "etcd04":
      return [source.logPath];
    case "etcd2": {
      const logs = inside(source.walDir, /\.wal$/);
      return source.v3Path === undefined ? logs : [...logs, source.v3Path];
    }
    case "own":
      // A server of a version before the lock file locks only its store.
      return inside(source.storeDir, /^generation-/).map((path) => join(path, "LOCK"));
  }
}

function list(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
