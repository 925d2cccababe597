/**
 * The v3 side of a migration as its parts use it: copying a view, applying changes as they happen, removing
 * subtrees, comparing. Keeps to the conflict policy and counts what was done.
 */
import { fromByteString } from "@etcd2/store";
import type { KeyRange, V3Client } from "@etcd2/v3";
import { Pacer } from "../pacer.ts";
import { leaseEnds } from "./target/lease-table.ts";
import type { Ownership } from "./target/ownership.ts";
import { isAtOrBelow } from "./mapping/path-map.ts";
import { isSame, lifeProblem, reconcile } from "./reconcile.ts";
import type { ConflictPolicy, Reconciled } from "./reconcile.ts";
import type { RowOptions, SourceNode } from "./mapping/rows.ts";
import { RowMaker } from "./mapping/rows.ts";
import type { SourceView } from "./source-view.ts";
import { digestOf, isInRanges, isSequence, rangesAt, readTarget } from "./target/target-keys.ts";
import type { TargetKeys } from "./target/target-keys.ts";
import type { Change, V3Writer } from "./target/v3-writer.ts";
import { CHANGES_MAX } from "./target/v3-writer.ts";

/** Conflicts and differences kept by name. */
const SHOWN_MAX = 1000;

export interface Difference {
  /** Key of v3, as text. */
  readonly key: string;
  readonly kind: "missing" | "extra" | "value" | "noLease" | "lease" | "early";
}

export interface Comparison {
  /** At most a thousand. */
  readonly differences: readonly Difference[];
  readonly count: number;
  /** Keys that differ because others wrote or removed them, at most a thousand. */
  readonly foreign: readonly string[];
  readonly foreignCount: number;
  /** Keys that live longer than in the source, as after a change of leader. */
  readonly late: number;
  /** Keys that are equal. */
  readonly equal: number;
}

export interface TargetSideOptions extends RowOptions {
  readonly client: V3Client;
  readonly writer: V3Writer;
  readonly ownership: Ownership;
  readonly policy: ConflictPolicy;
  readonly ranges: readonly KeyRange[];
  /** Views show no hidden nodes but those that their root names. */
  readonly hidesHidden: boolean;
  readonly signal: AbortSignal;
  readonly onNode: (node: SourceNode) => void;
}

export class TargetSide {
  readonly #options: TargetSideOptions;
  readonly #conflicts = new Map<string, boolean>();
  readonly totals = { unchanged: 0, put: 0, removed: 0, expired: 0 };
  /** How often somebody else's write stood in the way. */
  conflictCount = 0;

  constructor(options: TargetSideOptions) {
    this.#options = options;
  }

  /** Keys that others wrote, and whether they were left so; at most a thousand. */
  get conflicts(): readonly { readonly key: string; readonly kept: boolean }[] {
    return [...this.#conflicts].map(([key, kept]) => ({ key: fromByteString(key), kept }));
  }

  /** Makes what lies at and below `root` equal to the view. @throws MigrateError */
  async copy(root: string, view: SourceView, isEmpty = false): Promise<Reconciled> {
    const { client, ownership, signal, writer } = this.#options;
    if (!isEmpty) await writer.call(() => ownership.settle());
    const nothing: TargetKeys = { revision: 0, keys: new Map() };
    const target = isEmpty ? nothing : await this.read(root);
    ownership.judgeByRevision(target);
    const leases = new Set([...target.keys.values()].map(({ lease }) => lease));
    leases.delete(0n);
    const ends = await writer.call(() => leaseEnds(client, leases, signal));
    const done = await reconcile(view.nodes(), target, {
      ...this.#options,
      leaseEnds: ends,
      onConflict: (key, isKept) => {
        this.#conflict(key, isKept);
      },
    });
    this.totals.unchanged += done.unchanged;
    this.totals.put += done.put;
    this.totals.removed += done.removed;
    this.totals.expired += done.expired;
    await writer.call(() => ownership.save());
    if (!isEmpty) await writer.call(() => ownership.settle());
    return done;
  }

  /** Everything of the target at and below the image of `root` that belongs to it. */
  async read(root: string, withHidden = !this.#options.hidesHidden): Promise<TargetKeys> {
    const { client, space, paths, signal, writer } = this.#options;
    const ranges = rangesAt(space, paths.images(root));
    const target = await writer.call(() => readTarget(client, ranges, signal));
    for (const key of target.keys.keys()) {
      if (!this.#belongsTo(key, root, withHidden)) target.keys.delete(key);
    }
    return target;
  }

  /** Writes changes as they happened at the source. @throws MigrateError */
  async apply(changes: readonly Change[]): Promise<void> {
    const { ownership, policy, writer } = this.#options;
    let pending: Change[] = [];
    for (const change of changes) {
      if (!ownership.isForeign(change.key)) pending.push(change);
      else {
        this.#conflict(change.key, policy === "keep");
        if (policy === "overwrite") pending.push(change);
      }
    }
    while (pending.length > 0) {
      const now = policy === "overwrite" ? Number.MAX_SAFE_INTEGER - 1 : ownership.seen;
      const guard = { atMost: now };
      const guarded = pending.slice(0, CHANGES_MAX).map((change) => ({ ...change, guard }));
      pending = pending.slice(CHANGES_MAX);
      const { revision, refused } = await writer.commit(guarded);
      if (policy === "overwrite") {
        await writer.call(() => ownership.forgive(guarded.map(({ key }) => key)));
      }
      ownership.claim(refused.map(({ key }) => key));
      for (const { key } of refused) this.#conflict(key, true);
      await ownership.caughtUp(revision);
      await writer.call(() => ownership.save());
    }
  }

  /** Removes a subtree; false when its keys cannot be told from those of another one. */
  async removeTree(path: string): Promise<boolean> {
    const { paths } = this.#options;
    const target = await this.read(path, true);
    const doomed: Change[] = [];
    for (const key of target.keys.keys()) {
      const sources = this.#sourcesOf(key);
      if (sources.some((source) => !isAtOrBelow(source, path))) return false;
      if (sources.some((source) => paths.takes(source))) {
        doomed.push({ key, row: undefined, guard: { atMost: 0 } });
      }
    }
    await this.apply(doomed);
    return true;
  }

  /** Compares the view with the target. */
  async compare(roots: readonly string[], view: SourceView): Promise<Comparison> {
    const { client, ownership, paths, signal, writer } = this.#options;
    const target: TargetKeys = { revision: 0, keys: new Map() };
    for (const root of roots) {
      for (const [key, value] of (await this.read(root)).keys) target.keys.set(key, value);
    }
    const leases = new Set([...target.keys.values()].map(({ lease }) => lease));
    leases.delete(0n);
    const ends = await writer.call(() => leaseEnds(client, leases, signal));
    const result = new ComparisonCount(ownership.foreign);
    const maker = new RowMaker(this.#options);
    const pacer = new Pacer(signal);
    for (const node of view.nodes()) {
      if (pacer.due()) await pacer.pause();
      if (!paths.takes(node.path)) continue;
      const rows = maker.rows(node);
      const life = maker.lifeOf(node);
      for (const row of rows) {
        const present = target.keys.get(row.key);
        target.keys.delete(row.key);
        if (present === undefined) {
          // What is about to end, or has just ended, may be gone on one side.
          if (life === undefined || life > Date.now() + 3000) result.add(row.key, "missing");
        } else if (isSame(row, present, ends)) result.equal++;
        else {
          const problem = lifeProblem(row, present, ends);
          if (digestOf(row.value) !== present.digest && problem === undefined) {
            result.add(row.key, "value");
          } else if (problem === "late") result.late++;
          else result.add(row.key, problem ?? "value");
        }
      }
    }
    for (const row of maker.sequences()) {
      const present = target.keys.get(row.key);
      if (present === undefined) result.add(row.key, "missing");
      else if (isSame(row, present, ends)) result.equal++;
      else result.add(row.key, "value");
    }
    for (const [key, { lease }] of target.keys) {
      if (isSequence(this.#options.space, key)) continue;
      const endsAt = lease === 0n ? undefined : ends.get(lease);
      if (endsAt === undefined || endsAt > Date.now() + 3000) result.add(key, "extra");
    }
    return result.done();
  }

  #conflict(key: string, isKept: boolean): void {
    this.conflictCount++;
    if (this.#conflicts.size < SHOWN_MAX || this.#conflicts.has(key)) {
      this.#conflicts.set(key, isKept);
    }
  }

  /** Whether a key of the target can come from `root`. */
  #belongsTo(key: string, root: string, withHidden: boolean): boolean {
    if (!isInRanges(this.#options.ranges, Buffer.from(key, "latin1"))) return false;
    return this.#sourcesOf(key).some(
      (source) =>
        isAtOrBelow(source, root) && (withHidden || !source.slice(root.length).includes("/_")),
    );
  }

  /** Paths of the source that get this key's name. */
  #sourcesOf(key: string): readonly string[] {
    const { space, paths } = this.#options;
    // That of the root has no path.
    if (key === space.key("sequence", "").toString("latin1")) return paths.sources("");
    const parsed = space.parse(Buffer.from(key, "latin1"));
    return parsed === undefined ? [] : paths.sources(parsed.path);
  }
}

class ComparisonCount {
  readonly #foreignKeys: ReadonlySet<string>;
  readonly #differences: Difference[] = [];
  readonly #foreign: string[] = [];
  #count = 0;
  #foreignCount = 0;
  late = 0;
  equal = 0;

  constructor(foreign: ReadonlySet<string>) {
    this.#foreignKeys = foreign;
  }

  add(key: string, kind: Difference["kind"]): void {
    if (this.#foreignKeys.has(key)) {
      this.#foreignCount++;
      if (this.#foreign.length < SHOWN_MAX) this.#foreign.push(fromByteString(key));
      return;
    }
    this.#count++;
    if (this.#differences.length < SHOWN_MAX)
      this.#differences.push({ key: fromByteString(key), kind });
  }

  done(): Comparison {
    return {
      differences: this.#differences,
      count: this.#count,
      foreign: this.#foreign,
      foreignCount: this.#foreignCount,
      late: this.late,
      equal: this.equal,
    };
  }
}
