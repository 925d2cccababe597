/**
 * Who holds locks on files, by the system's list of them. Only good for messages, and for programs
 * that lock otherwise than we do: the list leaves out processes of other containers, and systems other
 * than Linux have none.
 */
import { readFileSync, statSync } from "node:fs";

/** Process ids of lock holders by file; 0 where the system does not tell. */
export type LockHolders = ReadonlyMap<string, number>;

/** The locks held now; empty where the system has no list. */
export function readLockHolders(): LockHolders {
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

/** Process id of who holds a lock on the file, 0 where that is not told; undefined when nobody is known to. */
export function holderOf(path: string, holders: LockHolders): number | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : holders.get(lockKey(stat.dev, stat.ino));
}

/** As the list of locks names a file: device in two hexadecimal parts, then the inode. */
function lockKey(device: bigint, inode: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  const hex = (value: bigint): string => value.toString(16).padStart(2, "0");
  return `${hex(major)}:${hex(minor)}:${inode}`;
}
