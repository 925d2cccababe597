/**
 * Keeps two processes out of one directory. Owns the lock files and the question whether the
 * process named in one still lives; knows nothing of what the directory holds.
 *
 * Node has no file locks, so a lock is a file that names its holder: process id and, because ids
 * are used again, the start time of that process. Removing the lock of a dead holder is where such
 * schemes go wrong: two processes see the same dead holder, one replaces its lock, and the other
 * then removes the new one. So locks are numbered and never removed by their holder:
 *
 *   - the holder of `lock-N` with the highest N holds the directory, if it lives and has not
 *     marked the lock as released;
 *   - when it does not, whoever creates `lock-(N+1)` exclusively holds the directory, and only then
 *     removes the lower ones;
 *   - whoever created a lock looks again, and yields if a higher one is there by now: it had
 *     looked at an outdated state and created a number that was used before.
 *
 * Process ids mean nothing across machines and process-id namespaces: two containers that share a
 * volume are not kept apart.
 */
import { closeSync, fsyncSync, linkSync, openSync, readdirSync, readFileSync } from "node:fs";
import { renameSync, statSync, unlinkSync, writeSync } from "node:fs";
import { uptime } from "node:os";
import { join } from "node:path";
import { FatalError } from "../errors.ts";
import { errorCode } from "./file-system.ts";

const PREFIX = "lock-";
const DIGITS = 8;
const LOCK_NAME = /^lock-[0-9]{8}$/;
/** Attempts at the next number before giving up: each failure means that somebody else won. */
const ATTEMPTS_MAX = 8;

/** Content of a lock whose holder has given it up. */
const RELEASED = "released\n";

interface Holder {
  readonly pid: number;
  /** In clock ticks since boot; "" where the system does not tell. */
  readonly startTime: string;
}

/**
 * @returns what releases the lock; calling it again does nothing.
 * @throws FatalError when a living process holds the directory.
 */
export function lockDirectory(directory: string): () => void {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const highest = highestLock(directory);
    if (highest > 0) refuseIfHeld(directory, highest);
    const mine = highest + 1;
    if (!createLock(directory, mine)) continue;
    if (highestLock(directory) !== mine) {
      removeLock(directory, mine);
      continue;
    }
    for (const lower of lockNumbers(directory)) if (lower < mine) removeLock(directory, lower);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      release(directory, mine);
    };
  }
  throw new FatalError(`open wal error: file already locked: ${directory} is being taken over`);
}

function refuseIfHeld(directory: string, number: number): void {
  const path = join(directory, lockName(number));
  let content: string;
  try {
    content = readFileSync(path, "latin1");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  if (content === RELEASED || isLostContent(path, content)) return;
  const holder = parseHolder(content);
  if (holder === undefined) {
    throw new FatalError(
      `open wal error: file already locked: ${path} does not name its holder; ` +
        "remove it if no etcd process uses this directory",
    );
  }
  if (!isAlive(holder)) return;
  throw new FatalError(
    `open wal error: file already locked: ${path} is held by process ${holder.pid}; ` +
      "stop that process, or start with another data directory",
  );
}

/**
 * A power loss can take the content of a file and leave its name. Locks are complete when they get
 * their name, so one without content that is older than this boot has no holder.
 */
function isLostContent(path: string, content: string): boolean {
  if (!/^\0*$/.test(content)) return false;
  const bootedAtMs = Date.now() - uptime() * 1000;
  return statSync(path).mtimeMs < bootedAtMs;
}

function parseHolder(content: string): Holder | undefined {
  const match = /^pid ([0-9]+) start ([0-9]*)\n$/.exec(content);
  if (match === null) return undefined;
  return { pid: Number(match[1]), startTime: match[2] ?? "" };
}

function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    if (errorCode(error) === "ESRCH") return false;
  }
  const { state, startTime } = processStat(holder.pid);
  // A process that was killed but not waited for by its parent still has an entry.
  if (state === "Z" || state === "X") return false;
  return holder.startTime === "" || startTime === "" || startTime === holder.startTime;
}

/** State letter and start time, in clock ticks since boot; "" where the system does not tell. */
function processStat(pid: number): { readonly state: string; readonly startTime: string } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command, field 2, is in parentheses and may hold anything. The state follows it, as
    // field 3; the start time is field 22.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", startTime: fields[19] ?? "" };
  } catch {
    return { state: "", startTime: "" };
  }
}

/** Creates a lock that names this process, complete or not at all; false when it exists. */
function createLock(directory: string, number: number): boolean {
  const content = `pid ${process.pid} start ${processStat(process.pid).startTime}\n`;
  const temporary = writeTemporary(directory, number, content);
  try {
    linkSync(temporary, join(directory, lockName(number)));
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    if (errorCode(error) !== "EPERM" && errorCode(error) !== "ENOTSUP") throw error;
    // No hard links here. A crash between creating and writing leaves a lock without a holder,
    // which the operator is asked to remove.
    return createWithoutLink(join(directory, lockName(number)), content);
  } finally {
    unlinkSync(temporary);
  }
}

function createWithoutLink(path: string, content: string): boolean {
  try {
    writeFile(path, "wx", content);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** A directory that was removed needs no release. */
function release(directory: string, number: number): void {
  try {
    const temporary = writeTemporary(directory, number, RELEASED);
    renameSync(temporary, join(directory, lockName(number)));
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

/** Counts the temporary names of this process, so that none is used twice. */
let temporaries = 0;

function writeTemporary(directory: string, number: number, content: string): string {
  temporaries += 1;
  const path = join(directory, `${lockName(number)}.${process.pid}-${temporaries}.tmp`);
  writeFile(path, "w", content);
  return path;
}

function writeFile(path: string, flags: string, content: string): void {
  const file = openSync(path, flags, 0o600);
  try {
    writeSync(file, content);
    // A name without its content would be in the way after a power loss.
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function removeLock(directory: string, number: number): void {
  try {
    unlinkSync(join(directory, lockName(number)));
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

function lockNumbers(directory: string): readonly number[] {
  return readdirSync(directory)
    .filter((name) => LOCK_NAME.test(name))
    .map((name) => Number(name.slice(PREFIX.length)));
}

function highestLock(directory: string): number {
  return Math.max(0, ...lockNumbers(directory));
}

function lockName(number: number): string {
  return PREFIX + number.toString().padStart(DIGITS, "0");
}
