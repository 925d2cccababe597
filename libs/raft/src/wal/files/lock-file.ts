/**
 * One lock on one file, held by the kernel: it ends with the process, whatever ends it, and it holds
 * between containers and, on a network file system that locks, between machines. Owns how such a lock
 * is taken from Node, which has no call for it: the SQLite that is built into Node locks a file with
 * fcntl when a transaction begins, and writes nothing to it.
 *
 * A process loses all its fcntl locks on a file as soon as it closes any descriptor of that file. So
 * the file must be opened by nothing else: it is made under its name once, and from then on only
 * SQLite, which knows this rule, opens it.
 */
import { randomUUID } from "node:crypto";
import { closeSync, openSync, statSync, unlinkSync } from "node:fs";
import { resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { errorCode } from "./file-system.ts";

/** "exclusive" keeps everybody else out; "shared" only those who ask for an exclusive lock. */
export type LockMode = "exclusive" | "shared";

/** Why a lock could not be had. */
export type LockFailure =
  /** Another process, or another part of this one, holds it. */
  | "held"
  /** The file system does not lock files. */
  | "unsupported"
  /** The file cannot be made or opened, or is not a lock file. */
  | "inaccessible";

/** A lock that could not be had; the message says why, without naming what it protects. */
export class LockError extends Error {
  override readonly name = "LockError";
  readonly failure: LockFailure;
  constructor(failure: LockFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.failure = failure;
  }
}

/** Takes the lock that SQLite takes, or throws SQLite's error. Replaced in tests. */
export type TakeLock = (path: string, mode: LockMode) => () => void;

/** SQLite's primary result codes. */
const BUSY = 5;
const LOCKED = 6;
const IO_ERROR = 10;
const NOT_A_DATABASE = 26;

/** SQLite takes no longer path, in bytes. */
const PATH_BYTES_MAX = 511;

/** Each attempt after the first means that the file was replaced in that very moment. */
const ATTEMPTS_MAX = 16;

/** What probes are named: the lock file's name, this, and something unique. */
export const PROBE_INFIX = ".probe-";

/** A connection that the garbage collector took would close its file, and the lock would be gone. */
const held = new Set<DatabaseSync>();

const takeWithSqlite: TakeLock = (path, mode) => {
  // Loaded when the first lock is taken: most commands never take one.
  const { DatabaseSync: Connection } = process.getBuiltinModule("node:sqlite");
  const connection = new Connection(path, { readOnly: mode === "shared" });
  try {
    // With the journal in memory nothing is made beside the file either.
    if (mode === "exclusive") connection.exec("PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE");
    // A read transaction holds its shared lock until it ends.
    else connection.exec("BEGIN; SELECT count(*) FROM sqlite_schema");
  } catch (error) {
    connection.close();
    throw error;
  }
  held.add(connection);
  return () => {
    if (!held.delete(connection)) return;
    connection.close();
  };
};

/**
 * Locks a file; an exclusive lock makes it if it is missing, for its owner alone. Does not wait.
 * @returns what releases the lock, idempotent; undefined where a shared lock was asked for and there
 * is no file, so that nobody can hold it.
 * @throws LockError
 */
export function lockFile(
  path: string,
  mode: LockMode,
  take: TakeLock = takeWithSqlite,
): (() => void) | undefined {
  // An absolute path is never taken for one of SQLite's special names.
  const file = resolve(path);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    if (mode === "exclusive") makeFile(file);
    const before = identityOf(file);
    if (before === undefined) {
      if (mode === "shared") return undefined;
      continue;
    }
    const release = takeOrExplain(file, mode, take);
    // Its last holder may have removed it between our look and the lock, which is then worth nothing.
    if (identityOf(file) === before) return release;
    release();
  }
  throw new LockError("inaccessible", `${file} is replaced again and again by another process`);
}

function takeOrExplain(file: string, mode: LockMode, take: TakeLock): () => void {
  try {
    return take(file, mode);
  } catch (error) {
    throw explain(file, error, take);
  }
}

function explain(file: string, cause: unknown, take: TakeLock): LockError {
  const code = resultCode(cause);
  const text = cause instanceof Error ? cause.message : String(cause);
  if (code === BUSY || code === LOCKED) {
    // A file system without locks looks like this as well. There, a new file cannot be locked either.
    if (!isLockable(file, take)) return unsupported(file, cause);
    return new LockError("held", `${file} is locked`, { cause });
  }
  if (code === IO_ERROR) return unsupported(file, cause);
  if (code === NOT_A_DATABASE) {
    return new LockError("inaccessible", `${file} should be an empty lock file and is not`, {
      cause,
    });
  }
  const bytes = Buffer.byteLength(file);
  const reason =
    bytes > PATH_BYTES_MAX
      ? `its path has ${bytes} bytes, at most ${PATH_BYTES_MAX} are possible`
      : text;
  return new LockError("inaccessible", `cannot lock ${file}: ${reason}`, { cause });
}

function unsupported(file: string, cause: unknown): LockError {
  return new LockError(
    "unsupported",
    `the file system of ${file} cannot lock files (on NFS, is its lock service running?)`,
    { cause },
  );
}

/** Whether a file that nobody else knows can be locked beside it; true where that cannot be told. */
function isLockable(file: string, take: TakeLock): boolean {
  const probe = `${file}${PROBE_INFIX}${randomUUID()}`;
  try {
    makeFile(probe);
  } catch {
    return true;
  }
  try {
    take(probe, "exclusive")();
    return true;
  } catch (error) {
    return resultCode(error) !== BUSY && resultCode(error) !== IO_ERROR;
  } finally {
    removeFile(probe);
  }
}

/** Removes a file, such as the lock file one holds; it need not be there. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

/** Opens nothing that is there already. */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if (errorCode(error) === "EEXIST") return;
    const reason = error instanceof Error ? error.message.replace(/^[A-Z]+: /, "") : String(error);
    throw new LockError("inaccessible", reason, { cause: error });
  }
}

/** Tells a file from one that took its name later. */
function identityOf(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`;
}

/** SQLite's primary result code; 0 for another error. */
function resultCode(error: unknown): number {
  if (typeof error !== "object" || error === null || !("errcode" in error)) return 0;
  return typeof error.errcode === "number" ? error.errcode & 0xff : 0;
}
