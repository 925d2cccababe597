/**
 * `backup`: a copy of a member's directory, in use or not, as the only member of a new cluster. The
 * store is copied by files, completed from the log, and then written anew row by row, so that the
 * copy has been read as a whole and shares no file with the source.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type DataDirLayout, layoutOf, memberLayout } from "@etcd2/member-dir";
import {
  importSnapshot,
  makeDirectories,
  StateMachine,
  SteadyClock,
  StoreDirectory,
  StoreError,
} from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import { planCluster } from "./cluster-plan.ts";
import { applyLogTail } from "./log-tail.ts";
import { isVacant, NewDirectory } from "./new-directory.ts";
import { buildMember, HISTORY_MAX } from "./new-member.ts";
import { copyStore } from "./store-copy.ts";

export interface BackupOptions {
  readonly dataDir: string;
  /** "" where it is inside the data directory; so with the next. */
  readonly walDir: string;
  readonly backupDir: string;
  readonly backupWalDir: string;
}

/** A server that writes much may be in the way of one copy, not of so many. */
const ATTEMPTS_MAX = 10;
const RETRY_MS = 100;

/** @throws Error when there is nothing to copy, the place is taken, or the source is damaged. */
export async function backupDirectory(options: BackupOptions): Promise<void> {
  const { dataDir, backupDir } = options;
  const source = layoutOf(dataDir, options.walDir === "" ? undefined : options.walDir);
  refuseForeign(dataDir, source.storeDir);
  const { memberDir, walDir: ownWal } = layoutOf(
    backupDir,
    options.backupWalDir === "" ? undefined : options.backupWalDir,
  );
  for (const place of [memberDir, ownWal]) {
    if (!isVacant(place)) throw new Error(`open ${place}: file already exists`);
  }
  makeDirectories(backupDir);
  const target = new NewDirectory(memberDir);
  const log = options.backupWalDir === "" ? undefined : new NewDirectory(options.backupWalDir);
  const stage = new NewDirectory(join(backupDir, "member.stage"));
  try {
    const machine = await openCopy(source, stage.path);
    try {
      await writeCopy(machine, target.path, log?.path ?? memberLayout(target.path).walDir);
    } finally {
      await machine.close();
    }
    log?.publish();
    target.publish();
  } finally {
    for (const directory of [stage, target, log]) directory?.dispose();
  }
}

function refuseForeign(dataDir: string, storeDir: string): void {
  if (existsSync(storeDir)) return;
  const places = [["member", "snap"], ["member", "wal"], ["snap"], ["wal"], ["conf"], ["log"]];
  if (places.some((names) => existsSync(join(dataDir, ...names)))) {
    throw new Error(
      `${dataDir} was not written by this server: bring it over with\n` +
        `  etcd-migrate --data-dir ${dataDir} --target NEW_DIR\n` +
        "which leaves it as it is and makes a directory that starts with --force-new-cluster",
    );
  }
  throw new Error(`open ${storeDir}: no such file or directory`);
}

type Source = Pick<DataDirLayout, "storeDir" | "walDir">;

/** The state of the source, with all that is committed, in a store of our own. */
async function openCopy(source: Source, stage: string): Promise<StateMachine> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await tryCopy(source, join(stage, `copy-${attempt}`));
    } catch (error) {
      // A torn manifest or a missing file shows only when the engine opens the copy.
      const isLasting = error instanceof StoreError && error.code === "version";
      if (isLasting || attempt >= ATTEMPTS_MAX) throw error;
      await sleep(RETRY_MS);
    }
  }
}

async function tryCopy({ storeDir, walDir }: Source, path: string): Promise<StateMachine> {
  const directory = new StoreDirectory(storeDir);
  const current = directory.current();
  if (current === undefined) throw new Error(`${storeDir} names no current state`);
  copyStore(current, path);
  const kv = await RocksKv.open(path, { mustExist: true });
  try {
    const clock = SteadyClock.open(kv);
    const machine = await StateMachine.open({ kv, clock, historyMax: HISTORY_MAX });
    applyLogTail(machine, walDir);
    return machine;
  } catch (error) {
    await kv.close();
    throw error;
  }
}

async function writeCopy(machine: StateMachine, memberDir: string, walDir: string): Promise<void> {
  const origin = `${process.pid} ${Date.now()} ${machine.appliedIndex}`;
  const plan = planCluster({
    name: "default",
    initialCluster: "",
    advertisePeerUrls: "",
    token: "backup",
    origin,
  });
  await buildMember({ memberDir, walDir }, plan, async (kv) => {
    await importSnapshot(kv, machine.exportSnapshot());
  });
}
