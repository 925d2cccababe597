/**
 * Any directory's store, opened for reading in a scratch place: an old one is replayed, our own is
 * copied (by hard links where files never change), so that the directory itself stays untouched.
 */
import { copyFileSync, linkSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { StateMachine, StoreDirectory } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import type { DetectedSource, SourceOwn } from "../detect.ts";
import { MigrateError } from "../errors.ts";
import { Pacer } from "../pacer.ts";
import { ReplayClock } from "../replay/target-store.ts";
import { openOldSource } from "../sources/open-source.ts";
import type { ReplayResult, SourceOptions } from "../sources/source.ts";
import { replayConverted, replayInto } from "./convert04.ts";
import { Workspace } from "./workspace.ts";

export interface LoadedStore {
  readonly machine: StateMachine;
  /** Undefined for our own directories. */
  readonly result: ReplayResult | undefined;
}

/** Opens the store, lets `use` read it, and removes every trace. */
export async function withLoadedStore<T>(
  source: DetectedSource,
  options: SourceOptions & { readonly signal?: AbortSignal | undefined },
  use: (store: LoadedStore, pacer: Pacer) => Promise<T>,
): Promise<T> {
  const workspace = Workspace.forTrial();
  const pacer = new Pacer(options.signal);
  let store: LoadedStore | undefined;
  try {
    store =
      source.kind === "own"
        ? { machine: await openOwn(source, workspace), result: undefined }
        : await replayOld(source, options, workspace, pacer);
    return await use(store, pacer);
  } finally {
    await store?.machine.close();
    workspace.dispose();
  }
}

async function replayOld(
  source: DetectedSource,
  options: SourceOptions,
  workspace: Workspace,
  pacer: Pacer,
): Promise<LoadedStore> {
  const old = openOldSource(source, options);
  const kv = await RocksKv.open(workspace.scratch("replay"));
  try {
    return source.kind === "etcd04"
      ? await replayConverted(kv, workspace.scratch("aside"), old, pacer)
      : await replayInto(kv, old, pacer);
  } catch (error) {
    await kv.close().catch(() => undefined);
    throw error;
  }
}

async function openOwn(source: SourceOwn, workspace: Workspace): Promise<StateMachine> {
  const current = new StoreDirectory(source.storeDir).current();
  if (current === undefined) {
    throw new MigrateError("corrupt", "names no current state", {
      file: join(source.storeDir, "CURRENT"),
      remedy: "restore a backup, or rebuild this member from its peers",
    });
  }
  const copy = workspace.scratch("store");
  cloneStore(current, copy);
  try {
    const kv = await RocksKv.open(copy, { mustExist: true });
    try {
      return await StateMachine.open({ kv, clock: new ReplayClock() });
    } catch (error) {
      await kv.close();
      throw error;
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MigrateError("corrupt", `the store cannot be opened: ${reason}`, {
      file: current,
      remedy: "restore a backup, or rebuild this member from its peers",
      cause,
    });
  }
}

/** Sorted tables are never changed once written; everything else is small and copied. */
function cloneStore(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: 0o700 });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (!entry.isFile() || entry.name === "LOCK" || entry.name.startsWith("LOG")) continue;
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.name.endsWith(".sst") && tryLink(source, target)) continue;
    copyFileSync(source, target);
  }
}

/** False where the scratch place is on another file system. */
function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch {
    return false;
  }
}
