/**
 * The live import: mirrors one or more subtrees until told to stop, says how far behind it is, and
 * ends with a check that both sides agree.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MigrateError } from "../errors.ts";
import { fromByteString } from "@etcd2/store";
import type { Endpoints } from "./endpoints.ts";
import { RootMirror } from "./root-mirror.ts";
import { V2Client } from "./v2-client.ts";

/** Rounds of the final check before differences count. */
const CHECKS_MAX = 10;
const CHECK_PAUSE_MS = 300;

/** Differences followed up and shown. */
const DIFFERENCES_MAX = 1000;

export interface MirrorOptions {
  readonly from: Endpoints;
  readonly to: Endpoints;
  /** Subtrees: "/" or paths; hidden ones only when named themselves. */
  readonly roots: readonly string[];
  /** Delete keys of the target that the source does not have, when starting. */
  readonly overwrite: boolean;
  readonly log: (text: string) => void;
  /** Fires when the user asks for the end: the check follows. */
  readonly stop: AbortSignal;
  /** Fires when the user does not want to wait for that either. */
  readonly abort: AbortSignal;
  /** How often the lag is told. */
  readonly reportMs: number;
}

export interface MirrorResult {
  readonly inAgreement: boolean;
  /** Keys that differ, as text, at most a thousand. */
  readonly differences: readonly string[];
  readonly events: number;
  readonly copies: number;
  readonly writes: number;
}

/** Runs until `stop` fires. @throws MigrateError when it cannot go on. */
export async function runMirror(options: MirrorOptions): Promise<MirrorResult> {
  const { log, abort } = options;
  const source = new V2Client(options.from, reporter("source", log));
  const target = new V2Client(options.to, reporter("target", log));
  const temporary = mkdtempSync(join(tmpdir(), "etcd-migrate-"));
  const failed = new AbortController();
  const running = AbortSignal.any([abort, failed.signal]);
  const mirrors = options.roots.map((root, i) => {
    return new RootMirror({ source, target, root, temporary, id: i, signal: running, log });
  });
  let runs: readonly Promise<void>[] = [];
  let failure: unknown;
  try {
    if (!options.overwrite) for (const mirror of mirrors) await mirror.refuseExtraKeys();
    runs = mirrors.map((mirror) =>
      mirror.run().catch((error: unknown) => {
        // Requests that the end cut off are no failure.
        if (error instanceof MigrateError && error.code === "interrupted") return;
        failure ??= error;
        failed.abort();
      }),
    );
    await reportUntil(AbortSignal.any([options.stop, running]), mirrors, options);
    if (!running.aborted) log("stopping: checking that both sides agree");
    const differences = await finalCheck(mirrors, running);
    if (running.aborted) throw new MigrateError("interrupted", "interrupted");
    return summarise(mirrors, differences);
  } catch (error) {
    throw failure ?? error;
  } finally {
    failed.abort();
    await Promise.all(runs);
    source.close();
    target.close();
    rmSync(temporary, { recursive: true, force: true });
  }
}

function reporter(which: string, log: (text: string) => void) {
  return (reachable: boolean, reason: string): void => {
    log(reachable ? `the ${which} answers again` : `the ${which} cannot be reached (${reason})`);
  };
}

async function reportUntil(
  signal: AbortSignal,
  mirrors: readonly RootMirror[],
  options: MirrorOptions,
): Promise<void> {
  const report = setInterval(() => {
    options.log(describeLag(mirrors));
  }, options.reportMs);
  try {
    if (!signal.aborted) await once(signal, "abort");
  } finally {
    clearInterval(report);
  }
}

/** One line: how far the target is behind. */
function describeLag(mirrors: readonly RootMirror[]): string {
  let events = 0;
  let behind = 0;
  let index = 0;
  for (const { progress } of mirrors) {
    if (progress.copies === 0) return "copying";
    events += progress.events;
    behind = Math.max(behind, progress.sourceIndex - progress.appliedIndex);
    index = Math.max(index, progress.appliedIndex);
  }
  return `in step up to index ${index}, ${behind} behind; ${events} changes followed`;
}

/**
 * Compares everything; keys that differ are looked at again while the mirror goes on, since changes
 * may be on their way.
 */
async function finalCheck(
  mirrors: readonly RootMirror[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const differing: string[] = [];
  for (const mirror of mirrors) {
    await mirror.copied(signal);
    if (signal.aborted) return differing;
    const found = await mirror.differences(DIFFERENCES_MAX);
    let keys = found.keys;
    for (let check = 0; keys.length > 0 && check < CHECKS_MAX; check++) {
      await sleep(CHECK_PAUSE_MS, undefined, { signal }).catch(() => undefined);
      const still: string[] = [];
      for (const key of keys) {
        // A refresh is only found by looking, and its turn may be yet to come.
        await mirror.checkLife(key);
        if (!(await mirror.isSame(key))) still.push(key);
      }
      keys = still;
    }
    differing.push(...keys);
  }
  return differing;
}

function summarise(mirrors: readonly RootMirror[], differences: readonly string[]): MirrorResult {
  const sum = (of: (mirror: RootMirror) => number): number =>
    mirrors.reduce((total, mirror) => total + of(mirror), 0);
  return {
    inAgreement: differences.length === 0,
    differences: differences.map(fromByteString),
    events: sum((mirror) => mirror.progress.events),
    copies: sum((mirror) => mirror.progress.copies),
    writes: sum((mirror) => mirror.writer.writes),
  };
}
