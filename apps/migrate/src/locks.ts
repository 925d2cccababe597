/**
 * Telling whether a running server holds a data directory, by the system's list of file locks. Old
 * servers lock their log files (0.4 locks nothing), this project's server its store. Systems
 * without such a list cannot tell.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { DetectedSource } from "./detect.ts";
import { MigrateError } from "./errors.ts";

/** @throws MigrateError "locked" when a process holds a lock on one of the directory's files. */
export function refuseLocked(source: DetectedSource): void {
  const locks = readLocks();
  if (locks.size === 0) return;
  for (const path of lockableFiles(source)) {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) continue;
    const pid = locks.get(lockKey(stat.dev, stat.ino));
    if (pid === undefined) continue;
    throw new MigrateError(
      "locked",
      pid > 0 ? `is in use by a running server (process ${pid})` : "is in use by a running server",
      {
        file: path,
        remedy: 'stop the server, or copy it while it runs with "etcd-migrate mirror"',
      },
    );
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

/** Held locks by device and inode, with the holder's process id (0 where it is not told). */
function readLocks(): ReadonlyMap<string, number> {
  const locks = new Map<string, number>();
  let text: string;
  try {
    text = readFileSync("/proc/locks", "latin1");
  } catch {
    return locks;
  }
  for (const line of text.split("\n")) {
    // "1: FLOCK  ADVISORY  WRITE 1234 08:01:131073 0 EOF"; waiting requests have "->" behind "1:".
    const match = /^\d+: +[A-Z]+ +\w+ +\w+ +(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) /.exec(line);
    if (match === null) continue;
    const [, pid, major, minor, inode] = match;
    locks.set(`${major}:${minor}:${inode}`, Math.max(0, Number(pid)));
  }
  return locks;
}

/** As the list of locks names a file: device in two hexadecimal parts, then the inode. */
function lockKey(device: bigint, inode: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  const hex = (value: bigint): string => value.toString(16).padStart(2, "0");
  return `${hex(major)}:${hex(minor)}:${inode}`;
}
