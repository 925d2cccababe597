/**
 * The migration of v2 keys into a v3 cluster from end to end: look at both sides, copy, carry users and
 * roles, follow where that is asked for, compare, report.
 */
import { fromByteString } from "@etcd2/store";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { V3Client, V3Error } from "@etcd2/v3";
import { MigrateError } from "../errors.ts";
import type { Endpoints } from "../mirror/endpoints.ts";
import { mapAuth } from "./mapping/auth-map.ts";
import type { V3Auth } from "./mapping/auth-map.ts";
import { carryAuth } from "./target/carry-auth.ts";
import { FollowRoot } from "./follow-root.ts";
import { LeaseTable } from "./target/lease-table.ts";
import { LiveSource, liveRoots } from "./live-source.ts";
import { Ownership } from "./target/ownership.ts";
import type { SavedState } from "./target/ownership.ts";
import { makePlan } from "./plan.ts";
import type { Plan } from "./plan.ts";
import type { ConflictPolicy } from "./reconcile.ts";
import type { RowOptions } from "./mapping/rows.ts";
import { withFileSource } from "./source-view.ts";
import type { FileSource, SourceView } from "./source-view.ts";
import { anyKey, rangesAt } from "./target/target-keys.ts";
import { TargetSide } from "./target-side.ts";
import type { Comparison } from "./target-side.ts";
import { parsePath } from "./mapping/path-map.ts";
import type { V3Target } from "./target/v3-target.ts";
import { refusal, V3Writer } from "./target/v3-writer.ts";

/** How long the cluster may be away while a copy runs that nobody follows. */
const PATIENCE_MS = 60_000;

/** Rounds of the last comparison before differences count. */
const CHECKS_MAX = 10;
const CHECK_PAUSE_MS = 300;

const LOSSES_MAX = 1000;

export interface Source {
  /** A running server; undefined for files. */
  readonly from: Endpoints | undefined;
  readonly hidden: readonly string[];
  readonly files: Omit<FileSource, "signal">;
}

export interface ToV3Options extends RowOptions {
  readonly source: Source;
  readonly target: V3Target;
  readonly policy: ConflictPolicy;
  readonly withAuth: boolean;
  readonly overwrite: boolean;
  readonly resume: boolean;
  readonly dryRun: boolean;
  readonly follow: boolean;
  /** How often the lag is told. */
  readonly reportMs: number;
  readonly log: (text: string) => void;
  /** Told of how many of how many nodes are dealt with. */
  readonly progress: (done: number, total: number) => void;
  /** Fires when the user asks for the end of following. */
  readonly stop: AbortSignal;
  /** Fires when everything shall end at once. */
  readonly abort: AbortSignal;
}

export interface ToV3Report {
  readonly source: string;
  readonly etcdIndex: number;
  readonly plan: Plan;
  readonly dryRun: boolean;
  readonly written: number;
  readonly unchanged: number;
  readonly removed: number;
  readonly leases: number;
  readonly seconds: number;
  /** Undefined when users and roles were left out. */
  readonly auth: V3Auth | undefined;
  /** What could not be carried over, in sentences; at most a thousand. */
  readonly losses: readonly string[];
  readonly conflicts: readonly { readonly key: string; readonly kept: boolean }[];
  readonly followed:
    | {
        readonly events: number;
        readonly copies: number;
        readonly comparison: Comparison;
      }
    | undefined;
}

/** @throws MigrateError */
export async function runToV3(options: ToV3Options): Promise<ToV3Report> {
  const client = new V3Client(options.target);
  try {
    const run = new Run(options, client);
    return await withSource(options, run.signal, (view, live) => run.all(view, live));
  } catch (error) {
    if (options.abort.aborted) throw new MigrateError("interrupted", "interrupted");
    throw error instanceof V3Error ? refusal(error) : error;
  } finally {
    client.close();
  }
}

/** Opens the source for as long as `use` runs. @throws MigrateError */
export async function withSource<T>(
  options: Pick<ToV3Options, "source" | "paths" | "log">,
  signal: AbortSignal,
  use: (view: SourceView, live: LiveSource | undefined) => Promise<T>,
): Promise<T> {
  const { from, hidden, files } = options.source;
  if (from === undefined) {
    return withFileSource({ ...files, signal }, (view) => use(view, undefined));
  }
  const roots = liveRoots(options.paths.roots, hidden.map(parsePath));
  using live = new LiveSource({ from, roots, signal, log: options.log });
  await live.check();
  return await live.withView((view) => use(view, live));
}

class Run {
  /** Fires when the work has to end at once. */
  readonly signal: AbortSignal;
  readonly #options: ToV3Options;
  readonly #client: V3Client;
  readonly #ownership: Ownership;
  readonly #leases: LeaseTable;
  readonly #writer: V3Writer;
  readonly #failed = new AbortController();
  readonly #losses: string[] = [];
  #side: TargetSide;
  #done = 0;
  #total = 0;

  constructor(options: ToV3Options, client: V3Client) {
    this.#options = options;
    this.#client = client;
    const stops = options.follow ? [options.abort] : [options.abort, options.stop];
    this.signal = AbortSignal.any([...stops, this.#failed.signal]);
    const ranges = rangesAt(options.space, options.paths.targets);
    const { space, paths, log, policy } = options;
    const { signal } = this;
    this.#ownership = new Ownership({ client, space, paths, ranges, signal, log });
    this.#leases = new LeaseTable(client, signal);
    this.#writer = new V3Writer({
      client,
      leases: this.#leases,
      signal,
      mark: () => this.#ownership.mark(),
      patienceMs: options.follow ? undefined : PATIENCE_MS,
      onReachable: (reachable, reason) => {
        log(reachable ? "the target answers again" : `the target cannot be reached (${reason})`);
      },
      onTooLarge: ({ key }) => {
        this.#lose(
          `${fromByteString(key)}: larger than the v3 cluster takes (--max-request-bytes)`,
        );
      },
    });
    this.#side = new TargetSide({
      ...options,
      client,
      writer: this.#writer,
      ownership: this.#ownership,
      policy,
      ranges,
      hidesHidden: options.source.from !== undefined,
      signal,
      onNode: () => {
        options.progress(++this.#done, this.#total);
      },
    });
  }

  async all(view: SourceView, live: LiveSource | undefined): Promise<ToV3Report> {
    const { paths, withAuth, dryRun, follow } = this.#options;
    const plan = await makePlan(view, paths, this.signal);
    for (const loss of plan.losses) this.#lose(loss);
    this.#total = plan.keys + plan.directories + plan.expired;
    const auth = withAuth ? this.#auth(view) : undefined;
    const isEmpty = await this.#lookAtTarget();
    const started = performance.now();
    let followed: ToV3Report["followed"];
    try {
      if (!dryRun) {
        if (auth !== undefined) await this.#carryAuth(auth);
        await this.#copy(view, live, isEmpty);
        if (follow && live !== undefined) followed = await this.#follow(live);
      }
    } finally {
      this.#ownership.close();
    }
    return {
      source: view.name,
      etcdIndex: view.etcdIndex,
      plan,
      dryRun,
      written: this.#writer.writes,
      unchanged: this.#side.totals.unchanged,
      removed: this.#side.totals.removed,
      leases: this.#leases.granted,
      seconds: (performance.now() - started) / 1000,
      auth,
      losses: this.#losses,
      conflicts: this.#side.conflicts,
      followed,
    };
  }

  #lose(text: string): void {
    if (this.#losses.length < LOSSES_MAX) this.#losses.push(text);
  }

  #auth(view: SourceView): V3Auth | undefined {
    if (view.auth === undefined) {
      this.#lose("users and roles: the source does not show them to these credentials");
      return undefined;
    }
    const auth = mapAuth(view.auth, this.#options);
    for (const loss of auth.losses) this.#lose(loss);
    return auth;
  }

  async #carryAuth(auth: V3Auth): Promise<void> {
    for (const loss of await carryAuth(auth, this.#client, this.#writer)) this.#lose(loss);
  }

  /** Whether nothing is there yet. @throws MigrateError when what is there must not be touched. */
  async #lookAtTarget(): Promise<boolean> {
    const { space, paths, overwrite, resume, dryRun, target } = this.#options;
    const ranges = rangesAt(space, paths.targets);
    const found = await anyKey(this.#client, ranges, this.signal);
    const state: SavedState | undefined = await this.#ownership.load();
    if (found !== undefined && !overwrite && !(resume && state !== undefined)) {
      throw new MigrateError(
        "target",
        `${target.endpoints.join(",")} holds keys there already, such as ${found}`,
        {
          remedy:
            state === undefined
              ? "use another --prefix, or --overwrite to make it equal to the source"
              : "an earlier run was here: go on with --resume, or begin again with --overwrite",
        },
      );
    }
    if (!dryRun && (overwrite || found === undefined)) await this.#ownership.reset();
    await this.#ownership.begin();
    return found === undefined;
  }

  /** The first copy, root by root. */
  async #copy(view: SourceView, live: LiveSource | undefined, isEmpty: boolean): Promise<void> {
    const roots = live?.roots ?? this.#options.paths.roots;
    const [root] = roots;
    if (isEmpty || (roots.length === 1 && root !== undefined)) {
      await this.#side.copy(root ?? "", view, isEmpty);
    } else {
      for (const each of roots) await this.#side.copy(each, viewAt(view, each, roots));
    }
    await this.#writer.call(() => this.#ownership.copied());
  }

  async #follow(live: LiveSource): Promise<ToV3Report["followed"]> {
    const { log, stop, reportMs } = this.#options;
    await this.#writer.call(() => this.#ownership.settle());
    const followers = live.roots.map(
      (root) =>
        new FollowRoot({
          ...this.#options,
          source: live,
          root,
          target: this.#side,
          ownership: this.#ownership,
          signal: this.signal,
        }),
    );
    let failure: unknown;
    const runs = followers.map((follower) =>
      follower.run().catch((error: unknown) => {
        if (this.signal.aborted) return;
        failure ??= error;
        this.#failed.abort();
      }),
    );
    const report = setInterval(() => {
      log(describeLag(followers, this.#side.conflictCount));
    }, reportMs);
    try {
      const ending = AbortSignal.any([stop, this.signal]);
      if (!ending.aborted) await once(ending, "abort");
      if (!this.signal.aborted) log("stopping: comparing both sides");
      const comparison = await this.#compare(live, followers);
      const sum = (of: (follower: FollowRoot) => number): number =>
        followers.reduce((total, follower) => total + of(follower), 0);
      return {
        events: sum(({ progress }) => progress.events),
        copies: sum(({ progress }) => progress.copies),
        comparison,
      };
    } catch (error) {
      throw failure ?? error;
    } finally {
      clearInterval(report);
      this.#failed.abort();
      await Promise.all(runs);
    }
  }

  /** Compares until nothing differs: changes may be on their way. */
  async #compare(live: LiveSource, followers: readonly FollowRoot[]): Promise<Comparison> {
    for (let check = 1; ; check++) {
      while (followers.some(({ progress }) => progress.copies === 0)) await this.#pause();
      await this.#writer.call(() => this.#ownership.settle());
      const found = await live.withView((view) => this.#side.compare(live.roots, view));
      if (found.count === 0 || check === CHECKS_MAX) return found;
      await this.#pause();
    }
  }

  async #pause(): Promise<void> {
    await sleep(CHECK_PAUSE_MS, undefined, { signal: this.signal }).catch(() => {
      throw new MigrateError("interrupted", "interrupted");
    });
  }
}

/** The part of a view that a root stands for; hidden roots lie inside others. */
function viewAt(view: SourceView, root: string, roots: readonly string[]): SourceView {
  const inner = roots.filter((other) => other !== root && other.startsWith(`${root}/`));
  const isIn = (path: string, top: string): boolean =>
    top === "" || path === top || path.startsWith(`${top}/`);
  return {
    ...view,
    *nodes() {
      for (const node of view.nodes()) {
        if (!isIn(node.path, root) || inner.some((other) => isIn(node.path, other))) continue;
        yield node;
      }
    },
  };
}

/** One line: how far the target is behind. */
function describeLag(followers: readonly FollowRoot[], conflicts: number): string {
  let events = 0;
  let behind = 0;
  let index = 0;
  for (const { progress } of followers) {
    if (progress.copies === 0) return "looking at both sides";
    events += progress.events;
    behind = Math.max(behind, progress.sourceIndex - progress.appliedIndex);
    index = Math.max(index, progress.appliedIndex);
  }
  const met = conflicts === 0 ? "" : `; ${conflicts} times a v3 program had written the key`;
  return `in step up to index ${index}, ${behind} behind; ${events} changes followed${met}`;
}
