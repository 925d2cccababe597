/**
 * The offline import from end to end: recognise, check, replay, write, publish. Everything happens
 * in a workspace that vanishes unless all of it succeeded; the source is only read.
 */
import { createHash } from "node:crypto";
import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import type { NewStore } from "@etcd2/member-dir";
import type { StateMachine } from "@etcd2/store";
import { StoreError } from "@etcd2/store";
import type { DetectedSource } from "../detect.ts";
import { detectSource } from "../detect.ts";
import { MigrateError } from "../errors.ts";
import type { V3Count } from "../etcd3/count-keys.ts";
import { countV3Keys } from "../etcd3/count-keys.ts";
import { FormatError } from "../io/format-error.ts";
import { holdSource } from "../locks.ts";
import type { Notice, NoticeSink } from "../notices.ts";
import { Pacer } from "../pacer.ts";
import { parseVersion } from "../replay/rules.ts";
import { openOldSource } from "../sources/open-source.ts";
import type { OpenedSource, ProgressSink, ReplayResult } from "../sources/source.ts";
import type { Replayed } from "./convert04.ts";
import { replayConverted, replayInto } from "./convert04.ts";
import type { StoreFacts } from "./store-facts.ts";
import { countStore } from "./store-facts.ts";
import { Workspace } from "./workspace.ts";
import type { DataDirFacts } from "./write-data-dir.ts";
import { createStore, finishStore, writeLog } from "./write-data-dir.ts";

/** The newest cluster version this server can be part of. */
const VERSION_MAX = { major: 2, minor: 3, text: "2.3.0" } as const;

export interface ImportOptions {
  readonly dataDir: string;
  readonly walDir?: string | undefined;
  /** Undefined: next to the old files. */
  readonly target?: string | undefined;
  readonly name?: string | undefined;
  readonly dryRun: boolean;
  readonly skipCorrupt: boolean;
  readonly notice: NoticeSink;
  readonly progress: ProgressSink;
  readonly signal?: AbortSignal | undefined;
}

export interface ImportReport {
  readonly source: string;
  readonly format: string;
  /** Undefined after a trial run. */
  readonly target: string | undefined;
  readonly result: ReplayResult;
  readonly store: StoreFacts;
  readonly snapshotIndex: number;
  readonly etcdIndex: number;
  /** First index a watch can start from. */
  readonly historyFirstIndex: number;
  readonly v3: V3Count | undefined;
  readonly notices: readonly Notice[];
  readonly seconds: number;
}

/** @throws MigrateError; then nothing has been written. */
export async function runImport(options: ImportOptions): Promise<ImportReport> {
  const started = performance.now();
  const notices: Notice[] = [];
  const notice: NoticeSink = (item) => {
    notices.push(item);
    options.notice(item);
  };
  const source = detectSource(options.dataDir, { walDir: options.walDir, notice });
  const release = holdSource(source, "read");
  try {
    return await importHeld(source, { ...options, notice }, notices, started);
  } finally {
    release();
  }
}

async function importHeld(
  source: DetectedSource,
  options: ImportOptions,
  notices: readonly Notice[],
  started: number,
): Promise<ImportReport> {
  const { notice } = options;
  const opened = openOldSource(source, options);
  const v3 = source.kind === "etcd2" ? countV3(source.v3Path, notice) : undefined;
  const workspace = openWorkspace(source, options);
  try {
    const build = new Build(workspace, opened, new Pacer(options.signal), notice);
    const built = await build.run(source.kind === "etcd04");
    reportV3(v3, built.result.v3Entries, notice);
    reportName(options.name, built.result, notice);
    if (!options.dryRun) {
      await writeLog(workspace.memberDir, built.facts);
      workspace.publish();
    }
    return {
      source: options.dataDir,
      format: describeFormat(opened, built.result),
      target: options.dryRun ? undefined : (options.target ?? options.dataDir),
      result: built.result,
      store: built.store,
      snapshotIndex: opened.snapshotIndex,
      etcdIndex: built.etcdIndex,
      historyFirstIndex: built.historyFirstIndex,
      v3,
      notices,
      seconds: (performance.now() - started) / 1000,
    };
  } catch (error) {
    throw asTargetFault(error, options.target ?? options.dataDir);
  } finally {
    workspace.dispose();
  }
}

function openWorkspace(source: DetectedSource, options: ImportOptions): Workspace {
  if (options.target === undefined && source.kind === "etcd2" && !source.isFlatLayout) {
    throw new MigrateError("usage", "this directory cannot be converted in place", {
      file: source.directory,
      remedy: "its member folder is taken; name another directory with --target",
    });
  }
  if (options.dryRun) {
    // The same refusals as the real run would have.
    const checked = openRealWorkspace(source, options);
    checked.dispose();
    return Workspace.forTrial();
  }
  return openRealWorkspace(source, options);
}

function openRealWorkspace(source: DetectedSource, { target }: ImportOptions): Workspace {
  if (target === undefined) return Workspace.inPlace(source.directory);
  const fromSource = relative(realpathSync(source.directory), realPathOf(target));
  if (fromSource !== "" && !fromSource.startsWith("..") && !isAbsolute(fromSource)) {
    throw new MigrateError("target", "lies inside the source, which is only read", {
      file: target,
      remedy: "name a directory beside it",
    });
  }
  return Workspace.forTarget(target);
}

/** The path with the links of its existing part resolved. */
function realPathOf(path: string): string {
  const absolute = resolve(path);
  if (existsSync(absolute) || dirname(absolute) === absolute) return realpathSync(absolute);
  return join(realPathOf(dirname(absolute)), basename(absolute));
}

/** What the file system says when it takes no more. */
const FULL = ["ENOSPC", "EDQUOT", "EFBIG", "EROFS"];

/** A failure to write, be it of the store or of the log, as one about the target. */
function asTargetFault(error: unknown, target: string): unknown {
  if (!(error instanceof Error) || error instanceof MigrateError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const isStorage = error instanceof StoreError && error.code === "storage";
  if (!isStorage && !FULL.includes(code ?? "")) return error;
  return new MigrateError("target", `cannot be written: ${error.message}`, {
    file: target,
    cause: error,
  });
}

interface Built {
  readonly result: ReplayResult;
  readonly facts: DataDirFacts;
  readonly store: StoreFacts;
  readonly etcdIndex: number;
  readonly historyFirstIndex: number;
}

/** Builds the store of one import. */
class Build {
  readonly #workspace: Workspace;
  readonly #opened: OpenedSource;
  readonly #pacer: Pacer;
  readonly #notice: NoticeSink;

  constructor(workspace: Workspace, opened: OpenedSource, pacer: Pacer, notice: NoticeSink) {
    this.#workspace = workspace;
    this.#opened = opened;
    this.#pacer = pacer;
    this.#notice = notice;
  }

  async run(is04: boolean): Promise<Built> {
    const folder = await createStore(this.#workspace.memberDir);
    try {
      const { machine, result: replayed } = is04
        ? await this.#replay04(folder)
        : await replayInto(folder.kv, this.#opened, this.#pacer);
      const result = this.#usableIdentity(replayed);
      this.#lowerVersion(machine, result);
      const store = await countStore(folder.kv, this.#pacer);
      const facts = factsOf(machine, result);
      const etcdIndex = machine.reader.etcdIndex;
      const historyFirstIndex = machine.history.firstIndex;
      await finishStore(folder, machine, facts);
      return { result, facts, store, etcdIndex, historyFirstIndex };
    } catch (error) {
      // A store that failed may also fail to close; the first failure is the one to tell.
      await folder.kv.close().catch(() => undefined);
      throw error;
    }
  }

  /** An id that was removed may never be a member again: its directory goes on under another. */
  #usableIdentity(result: ReplayResult): ReplayResult {
    const { memberId, clusterId, removedIds } = result;
    if (!removedIds.includes(memberId)) return result;
    const newId = createHash("sha256")
      .update(`${clusterId} ${memberId}`)
      .digest("hex")
      .slice(0, 16);
    this.#notice({
      code: "members",
      text:
        `member ${memberId} was removed from its cluster: what the others wrote after that is ` +
        `not here; it goes on as ${newId}`,
    });
    return { ...result, memberId: newId };
  }

  /** A 0.4 store is replayed aside first. */
  async #replay04(folder: NewStore): Promise<Replayed> {
    const aside = this.#workspace.scratch("replay");
    try {
      return await replayConverted(folder.kv, aside, this.#opened, this.#pacer);
    } finally {
      this.#workspace.removeScratch("replay");
    }
  }

  /** A cluster version above ours would keep this server from starting. */
  #lowerVersion(machine: StateMachine, result: ReplayResult): void {
    const version = parseVersion(result.clusterVersion);
    if (version === undefined) return;
    const { major, minor, text } = VERSION_MAX;
    if (version.major < major || (version.major === major && version.minor <= minor)) return;
    const entry = { index: machine.appliedIndex + 1, term: machine.appliedTerm };
    machine.apply([{ ...entry, command: { action: "clusterVersion", value: text } }]);
    this.#notice({
      code: "versionLowered",
      text: `the cluster version ${result.clusterVersion ?? ""} becomes ${text}`,
    });
  }
}

function factsOf(machine: StateMachine, result: ReplayResult): DataDirFacts {
  const ids = (isLearner: boolean): readonly string[] =>
    result.members.filter((member) => member.isLearner === isLearner).map((member) => member.id);
  return {
    memberId: result.memberId,
    clusterId: result.clusterId,
    voters: ids(false),
    learners: ids(true),
    raftIndex: machine.appliedIndex,
    raftTerm: machine.appliedTerm,
    hardTerm: result.hardTerm,
    vote: result.vote,
  };
}

/** What wrote the directory, as exactly as the cluster version tells. */
function describeFormat(opened: OpenedSource, result: ReplayResult): string {
  const version = parseVersion(result.clusterVersion);
  return version === undefined ? opened.format : `etcd ${version.major}.${version.minor}`;
}

function countV3(path: string | undefined, notice: NoticeSink): V3Count | undefined {
  if (path === undefined) return undefined;
  try {
    return countV3Keys(path);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    notice({ code: "v3Data", text: `its v3 keys cannot be counted: ${error.message}`, file: path });
    return undefined;
  }
}

/** A given name that is not the member's: perhaps the wrong directory was named. */
function reportName(name: string | undefined, result: ReplayResult, notice: NoticeSink): void {
  const own = result.members.find((member) => member.id === result.memberId);
  if (name === undefined || own === undefined || own.name === "" || own.name === name) return;
  notice({ code: "members", text: `this is the directory of member ${own.name}, not of ${name}` });
}

function reportV3(v3: V3Count | undefined, entries: number, notice: NoticeSink): void {
  if ((v3 === undefined || v3.revisions === 0) && entries === 0) return;
  const keys =
    v3 === undefined ? "an unknown number of" : `${v3.isExact ? "" : "at least "}${v3.keys}`;
  notice({
    code: "v3Data",
    text:
      `the source also has a v3 store with ${keys} keys (${v3?.revisions ?? 0} revisions kept, ` +
      `${entries} v3 entries in the log): they are NOT carried over, this server has the v2 API only`,
  });
}
