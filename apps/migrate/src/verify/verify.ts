/** The check of a whole directory, ours or an old one. Changes nothing. */
import type { DetectedSource } from "../detect.ts";
import { detectSource } from "../detect.ts";
import { isDamage, MigrateError } from "../errors.ts";
import type { LoadedStore } from "../import/load-store.ts";
import { withLoadedStore } from "../import/load-store.ts";
import type { StoreFacts } from "../import/store-facts.ts";
import { countStore } from "../import/store-facts.ts";
import { holdSource } from "../locks.ts";
import type { Notice } from "../notices.ts";
import { Pacer } from "../pacer.ts";
import type { ProgressSink } from "../sources/source.ts";
import { checkTree } from "./check-tree.ts";
import type { Finding } from "./finding.ts";
import { findingOfError, findingOfNotice } from "./finding.ts";
import { checkLogChain, checkSnapshots } from "./verify-files.ts";
import { checkOwnLog } from "./verify-own.ts";

export interface VerifyOptions {
  readonly dataDir: string;
  readonly walDir?: string | undefined;
  readonly name?: string | undefined;
  readonly progress: ProgressSink;
  readonly signal?: AbortSignal | undefined;
}

export interface VerifyReport {
  readonly directory: string;
  readonly kind: DetectedSource["kind"];
  readonly findings: readonly Finding[];
  /** Undefined when damage kept the store from being read. */
  readonly store:
    (StoreFacts & { readonly etcdIndex: number; readonly raftIndex: number }) | undefined;
}

/** @throws MigrateError when the directory is none, or in use. */
export async function verifyDirectory(options: VerifyOptions): Promise<VerifyReport> {
  const findings: Finding[] = [];
  const notice = (item: Notice): void => {
    const finding = findingOfNotice(item);
    if (finding !== undefined) add(findings, finding);
  };
  const source = detectSource(options.dataDir, { walDir: options.walDir, notice });
  const release = holdSource(source, "read");
  try {
    const store = await checkAll(source, options, notice, findings);
    return { directory: options.dataDir, kind: source.kind, findings, store };
  } finally {
    release();
  }
}

async function checkAll(
  source: DetectedSource,
  options: VerifyOptions,
  notice: (item: Notice) => void,
  findings: Finding[],
): Promise<VerifyReport["store"]> {
  const pacer = new Pacer(options.signal);
  if (source.kind !== "own") {
    for (const finding of await checkSnapshots(source, pacer)) add(findings, finding);
  }
  if (source.kind === "etcd2") {
    const broken = await checkLogChain(source, pacer, options.progress);
    if (broken !== undefined) add(findings, broken);
  }
  return checkStore(source, options, notice, findings);
}

async function checkStore(
  source: DetectedSource,
  options: VerifyOptions,
  notice: (item: Notice) => void,
  findings: Finding[],
): Promise<VerifyReport["store"]> {
  const { name, progress, signal } = options;
  const look = async (loaded: LoadedStore, pacer: Pacer): Promise<VerifyReport["store"]> => {
    const { machine } = loaded;
    for (const text of await checkTree(machine, pacer)) {
      const remedy = "restore a backup, or take the directory of another member";
      findings.push({ severity: "error", text, file: undefined, offset: undefined, remedy });
    }
    if (source.kind === "own") findings.push(...checkOwnLog(source, machine));
    const facts = await countStore(machine.kv, pacer);
    const { etcdIndex, raftIndex } = machine.reader;
    return { ...facts, etcdIndex, raftIndex };
  };
  try {
    const reading = { name, skipCorrupt: false, notice, progress, signal };
    return await withLoadedStore(source, reading, look);
  } catch (error) {
    if (!(error instanceof MigrateError)) throw error;
    if (error.code !== "unsupported" && !isDamage(error)) throw error;
    add(findings, findingOfError(error));
    return undefined;
  }
}

/** The same damage is often met twice: by the check of a file and by the replay. */
function add(findings: Finding[], finding: Finding): void {
  const known = findings.findIndex(
    (other) => other.file === finding.file && other.offset === finding.offset,
  );
  if (known < 0) findings.push(finding);
  else if (findings[known]?.severity === "warning") findings[known] = finding;
}
