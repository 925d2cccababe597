/**
 * What a data directory holds, told before anything is written: nothing, a member of ours, a
 * proxy, or something another program left. Reads names only; opening is member-storage.ts.
 */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { DataDirLayout } from "@etcd2/member-dir";
import {
  foreignVersion,
  hasStore,
  isForeignLog,
  LOST_AND_FOUND,
  memberLayout,
  namesIn,
} from "@etcd2/member-dir";
import { isLockName } from "@etcd2/raft/wal";
import { makeDirectories } from "@etcd2/store";
import type { UndoDirectories } from "@etcd2/store";
import { StartError } from "../base/start-error.ts";

export type DataDirKind = "empty" | "member" | "proxy";

/** @throws StartError when the directory cannot be read. */
function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new StartError(`cannot access data directory: ${describe(error)}`, { cause: error });
  }
}

function list(path: string): readonly string[] {
  return readable(() => namesIn(path));
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message.replace(/^[A-Z]+: /, "") : String(error);
}

/** What the directory of --wal-dir holds, unless there is a store that belongs to it. */
function separateLog(layout: DataDirLayout): readonly string[] {
  if (layout.walDir === memberLayout(layout.memberDir).walDir) return [];
  return readable(() => hasStore(layout)) ? [] : list(layout.walDir);
}

/**
 * Whether a member was begun here. One that was killed before it wrote anything leaves only its lock;
 * an empty directory was made by somebody else, who meant a member.
 */
export function isMemberBegun({ memberDir, walDir }: DataDirLayout): boolean {
  if (!existsSync(memberDir)) return false;
  const names = list(memberDir);
  if (!names.some(isLockName)) return true;
  const isNothing = (name: string): boolean => isLockName(name) || name === LOST_AND_FOUND;
  const others = names.filter((name) => !isNothing(name));
  const isLogOnly = others.length === 1 && walDir === join(memberDir, others[0] ?? "");
  return isLogOnly ? !list(walDir).every(isNothing) : others.length > 0;
}

/**
 * Looks at the directory, which need not exist.
 * @throws StartError when it cannot be used, with what to do.
 */
export function inspectDataDir(layout: DataDirLayout): DataDirKind {
  if (existsSync(layout.dataDir) && !statSync(layout.dataDir).isDirectory()) {
    throw new StartError(`cannot access data directory: ${layout.dataDir} is not a directory`);
  }
  const top = list(layout.dataDir);
  const hasMember = isMemberBegun(layout);
  if (hasMember && top.includes("proxy")) {
    throw new StartError(
      `invalid datadir. Both member and proxy directories exist. (${layout.dataDir})`,
    );
  }
  const foreign = readable(() => foreignVersion(layout));
  if (foreign !== undefined) {
    const own = memberLayout(layout.memberDir).walDir;
    const wal = layout.walDir === own ? "" : ` --wal-dir ${layout.walDir}`;
    throw new StartError(
      `data directory ${layout.dataDir} was written by ${foreign}, not by this program: import it with ` +
        `"etcd-migrate --data-dir ${layout.dataDir}${wal} --target NEW_DIR" and start on NEW_DIR` +
        (wal === "" ? "" : " with another --wal-dir"),
    );
  }
  if (top.includes("proxy")) return "proxy";
  if (isForeignLog(separateLog(layout))) {
    throw new StartError(
      `${layout.walDir} holds a log of etcd 2.x or 3.x, and ${layout.dataDir} none of its data: import the two with ` +
        `"etcd-migrate --data-dir OLD_DATA_DIR --wal-dir ${layout.walDir} --target NEW_DIR", or give another --wal-dir`,
    );
  }
  return hasMember && readable(() => hasStore(layout)) ? "member" : "empty";
}

/** Names in the directory that are not ours: worth a warning, nothing more. */
export function unknownNames(layout: DataDirLayout): readonly string[] {
  const known = new Set([
    "member",
    "proxy",
    LOST_AND_FOUND,
    ".touch",
    "tls",
    "registration",
    "registration.tmp",
  ]);
  return list(layout.dataDir).filter((name) => !known.has(name));
}

function ensureDirectory(path: string, what: "data" | "WAL"): UndoDirectories {
  let undo: UndoDirectories | undefined;
  try {
    undo = makeDirectories(path);
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return undo;
  } catch (error) {
    undo?.();
    throw new StartError(`cannot access ${what} directory: ${describe(error)}`, { cause: error });
  }
}

/**
 * Checks that the directories of a member that ran before can be written to.
 * @throws StartError
 */
export function checkWritable(
  layout: DataDirLayout,
  access: (path: string, mode: number) => void = accessSync,
): void {
  for (const path of [layout.dataDir, layout.memberDir, layout.storeDir, layout.walDir]) {
    // One that is missing is somebody else's finding.
    if (!existsSync(path)) continue;
    try {
      access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (error) {
      throw new StartError(`cannot access data directory: ${describe(error)}`, { cause: error });
    }
  }
}

/**
 * Creates the data directory, and the one for the log where that lives elsewhere, and checks that
 * they can be written to.
 * @returns what takes back the new ones, as long as nothing was written there.
 * @throws StartError
 */
export function ensureWritable(dataDir: string, walDir = ""): UndoDirectories {
  const undoData = ensureDirectory(dataDir, "data");
  if (walDir === "") return undoData;
  try {
    const undoWal = ensureDirectory(walDir, "WAL");
    return () => {
      undoWal();
      undoData();
    };
  } catch (error) {
    undoData();
    throw error;
  }
}
