/**
 * Keeps two processes out of one directory. Owns the name of the lock file, what a refusal says, and
 * what versions before this lock file have left; how a file is locked is lock-file.ts's business, what
 * the directory holds nobody's here.
 *
 * The file stays where it is, empty, when its lock is released. Nothing that walks a directory may
 * open it: see lock-file.ts.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FatalError } from "../../core/model/errors.ts";
import { holderOf, readLockHolders } from "./lock-holders.ts";
import { LockError, lockFile, PROBE_INFIX, removeFile } from "./lock-file.ts";
import type { LockMode, TakeLock } from "./lock-file.ts";

/** Name of the lock file in a directory that is locked, or was. */
export const LOCK_NAME = "etcd2.lock";

/** Versions before the lock file kept the id of the holding process in a file of such a name. */
const OLD_LOCK_NAME = /^lock-[0-9]{8}$/;

/** Also what those versions left when they were killed in the middle of it. */
const OLD_LEFTOVER = /^lock-[0-9]{8}(\.\d+-\d+\.tmp)?$/;

/** Whether the name is of a file that locks this directory, or did for an earlier version. */
export function isLockName(name: string): boolean {
  return name === LOCK_NAME || OLD_LOCK_NAME.test(name);
}

/**
 * Locks an existing directory until it is released, or this process ends.
 * @returns what releases the lock; calling it again does nothing.
 * @throws FatalError when another process holds the directory, or it cannot be locked.
 */
export function lockDirectory(directory: string, take?: TakeLock): () => void {
  const release = lockWith(directory, "exclusive", take) ?? (() => undefined);
  try {
    refuseOldHolder(directory);
    for (const name of readdirSync(directory)) {
      const isProbe = name.startsWith(LOCK_NAME + PROBE_INFIX);
      if (isProbe || OLD_LEFTOVER.test(name)) removeFile(join(directory, name));
    }
  } catch (error) {
    release();
    throw error;
  }
  return release;
}

/**
 * Keeps everybody from taking the directory while it is read, other readers excepted. Changes nothing,
 * so a directory that no server of this version has ever locked stays unlocked.
 * @returns what ends it; calling it again does nothing.
 * @throws FatalError when a process holds the directory.
 */
export function lockDirectoryForReading(directory: string, take?: TakeLock): () => void {
  return lockWith(directory, "shared", take) ?? (() => undefined);
}

function lockWith(directory: string, mode: LockMode, take?: TakeLock): (() => void) | undefined {
  const path = join(directory, LOCK_NAME);
  try {
    return lockFile(path, mode, take);
  } catch (error) {
    if (!(error instanceof LockError)) throw error;
    const message =
      error.failure === "held"
        ? `open wal error: file already locked: ${path} is held by ${describeHolder(path)}`
        : `open wal error: ${error.message}`;
    throw new FatalError(message, { cause: error });
  }
}

function describeHolder(path: string): string {
  const pid = holderOf(path, readLockHolders()) ?? 0;
  if (pid === process.pid) return "this very process";
  const who = pid > 0 ? `process ${pid}` : "a process of another container or machine";
  return `${who}; stop that process, or start with another data directory`;
}

/** A server of an earlier version that still runs does not know our lock file. */
function refuseOldHolder(directory: string): void {
  const newest = readdirSync(directory)
    .filter((name) => OLD_LOCK_NAME.test(name))
    .sort()
    .at(-1);
  if (newest === undefined) return;
  const path = join(directory, newest);
  const match = /^pid ([0-9]+) start ([0-9]+)\n$/.exec(readFileSync(path, "latin1"));
  const pid = Number(match?.[1]);
  if (match === null || pid === process.pid || !isRunning(pid, match[2] ?? "")) return;
  throw new FatalError(
    `open wal error: file already locked: ${path} is held by process ${pid}; ` +
      "stop that process, or start with another data directory",
  );
}

/** Whether a process of that id runs that was started at that time, in clock ticks since boot. */
function isRunning(pid: number, startTime: string): boolean {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return false;
  }
  // The command, field 2, is in parentheses and may hold anything. The state follows it, as field 3;
  // the start time is field 22. A process that ended and was not waited for still has an entry.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] !== "Z" && fields[0] !== "X" && fields[19] === startTime;
}
