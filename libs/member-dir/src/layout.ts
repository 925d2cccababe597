/**
 * Where the parts of a data directory are, and how one of another etcd is told from ours by its
 * names alone. Opens nothing and writes nothing.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isLockName } from "@etcd2/raft/wal";

/** What a file system has in its root: any of our directories may be one. */
export const LOST_AND_FOUND = "lost+found";

/** The places of a data directory, whether they exist or not. */
export interface DataDirLayout {
  readonly dataDir: string;
  /** Store, log and the locks on both. */
  readonly memberDir: string;
  readonly storeDir: string;
  /** Inside the member's directory unless `--wal-dir` names another place. */
  readonly walDir: string;
  /** What a proxy remembers instead of a member. */
  readonly proxyDir: string;
}

/** The places in a directory that is, or is to be, a member's. */
export function memberLayout(memberDir: string): {
  readonly storeDir: string;
  readonly walDir: string;
} {
  return { storeDir: join(memberDir, "store"), walDir: join(memberDir, "wal") };
}

/** @param walDir as given with `--wal-dir`; undefined where the log is inside the data directory. */
export function layoutOf(dataDir: string, walDir: string | undefined): DataDirLayout {
  const memberDir = join(dataDir, "member");
  const own = memberLayout(memberDir);
  return {
    dataDir,
    memberDir,
    storeDir: own.storeDir,
    walDir: walDir ?? own.walDir,
    proxyDir: join(dataDir, "proxy"),
  };
}

/** The names in a directory; none when it does not exist. @throws the file system's error else. */
export function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Whether these are the names of a log of another etcd: only ours has lock files beside it. */
export function isForeignLog(names: readonly string[]): boolean {
  return names.some((name) => name.endsWith(".wal")) && !names.some(isLockName);
}

/** Whether a store has its name here: then a member was made, and all else is left over. */
export function hasStore({ storeDir }: Pick<DataDirLayout, "storeDir">): boolean {
  return namesIn(storeDir).includes("CURRENT");
}

/**
 * Which other etcd wrote the directory, as people call its version; undefined when none did. One
 * that was imported in place is ours: the old files stay beside the new ones.
 * @throws the file system's error when a directory cannot be read.
 */
export function foreignVersion(layout: DataDirLayout): string | undefined {
  const top = namesIn(layout.dataDir);
  const member = namesIn(layout.memberDir);
  if (hasStore(layout)) return undefined;
  if (member.includes("snap")) return "etcd 2.x or 3.x";
  const ownWal = memberLayout(layout.memberDir).walDir;
  const wal = namesIn(ownWal).filter((name) => name !== LOST_AND_FOUND);
  // Logs are named alike; only ours is locked by files beside it.
  const isOurs = wal.some(isLockName);
  if (!member.includes("store") && wal.length > 0 && !isOurs) return "etcd 2.x or 3.x";
  if (top.includes("snap") && top.includes("wal")) return "etcd 2.0";
  if (top.includes("standby_info") || (top.includes("log") && top.includes("conf")))
    return "etcd 0.4";
  return undefined;
}
