/**
 * Recognising what kind of data directory lies before us, by names alone. Opens no file beyond
 * looking; refuses with a sentence an operator can act on.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { layoutOf } from "@etcd2/member-dir";
import { MigrateError } from "./errors.ts";
import type { NoticeSink } from "./notices.ts";

export interface Source04 {
  readonly kind: "etcd04";
  readonly directory: string;
  readonly logPath: string;
  readonly confPath: string;
  readonly standbyPath: string;
  /** Undefined when there is no snapshot folder. */
  readonly snapshotDir: string | undefined;
}

export interface Source2 {
  readonly kind: "etcd2";
  readonly directory: string;
  readonly walDir: string;
  /** Undefined when there is no snapshot folder. */
  readonly snapDir: string | undefined;
  /** 2.0.0 and before: no member folder. */
  readonly isFlatLayout: boolean;
  /** The v3 store's file, when there is one. */
  readonly v3Path: string | undefined;
}

/** A directory of this project's own server. */
export interface SourceOwn {
  readonly kind: "own";
  readonly directory: string;
  readonly walDir: string;
  readonly storeDir: string;
}

export type DetectedSource = Source04 | Source2 | SourceOwn;

export interface DetectOptions {
  /** A log directory that lies elsewhere. */
  readonly walDir?: string | undefined;
  readonly notice: NoticeSink;
}

/** @throws MigrateError "unsupported" when nothing here can be read. */
export function detectSource(directory: string, options: DetectOptions): DetectedSource {
  if (!isDirectory(directory)) {
    const problem = existsSync(directory) ? "is not a directory" : "does not exist";
    throw new MigrateError("unsupported", problem, { file: directory });
  }
  const { walDir } = options;
  if (walDir !== undefined && !isDirectory(walDir)) {
    throw new MigrateError("unsupported", "the log directory does not exist", { file: walDir });
  }
  const { memberDir: member, ...own } = layoutOf(directory, walDir);
  if (isDirectory(own.storeDir)) {
    return { kind: "own", directory, walDir: own.walDir, storeDir: own.storeDir };
  }
  const found =
    detect2(directory, member, walDir, false) ??
    detect2(directory, directory, walDir, basename(directory) !== "member") ??
    detect04(directory);
  if (found === undefined) throw refusal(directory);
  if (found.kind === "etcd2" && isFile(join(directory, "log")) && isFile(join(directory, "conf"))) {
    options.notice({
      code: "ignoredFile",
      text: "the 0.4 files beside the newer ones are not read: this directory was converted before",
      file: join(directory, "log"),
    });
  }
  return found;
}

function detect2(
  directory: string,
  home: string,
  walDir: string | undefined,
  isFlatLayout: boolean,
): Source2 | undefined {
  const ownWal = join(home, "wal");
  const snap = join(home, "snap");
  const hasWal = isDirectory(ownWal) && readdirSync(ownWal).length > 0;
  if (!hasWal && (walDir === undefined || !isDirectory(snap))) return undefined;
  const v3 = join(snap, "db");
  return {
    kind: "etcd2",
    directory,
    walDir: walDir ?? ownWal,
    snapDir: isDirectory(snap) ? snap : undefined,
    isFlatLayout,
    v3Path: isFile(v3) ? v3 : undefined,
  };
}

function detect04(directory: string): Source04 | undefined {
  const at = (name: string): string => join(directory, name);
  const isLog = isFile(at("log")) && (isFile(at("conf")) || isDirectory(at("snapshot")));
  if (!isLog && !isFile(at("standby_info"))) return undefined;
  return {
    kind: "etcd04",
    directory,
    logPath: at("log"),
    confPath: at("conf"),
    standbyPath: at("standby_info"),
    snapshotDir: isDirectory(at("snapshot")) ? at("snapshot") : undefined,
  };
}

function refusal(directory: string): MigrateError {
  const member = join(directory, "member");
  if (isFile(join(directory, "proxy", "cluster")) || isDirectory(join(directory, "proxy"))) {
    return new MigrateError("unsupported", "is the directory of a proxy; it holds no keys", {
      file: directory,
      remedy: "take the directory of a member",
    });
  }
  if (isDirectory(join(member, "snap"))) {
    return new MigrateError("unsupported", "has snapshots but no log", {
      file: directory,
      remedy: "if the server ran with a separate log directory, name it with --wal-dir",
    });
  }
  const entries = readdirSync(directory);
  const inside = entries.find((name) => isDirectory(join(directory, name, "member")));
  return new MigrateError(
    "unsupported",
    entries.length === 0 ? "is empty" : "is no data directory of etcd 0.4 to 3.5 or of this server",
    inside === undefined
      ? { file: directory }
      : { file: directory, remedy: `did you mean ${join(directory, inside)}?` },
  );
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
