/**
 * Making the target equal to a view of the source: what differs is written, several transactions side by
 * side, and what the source does not have is removed, but for keys that others own.
 */
import { Parallel } from "../mirror/parallel.ts";
import { Pacer } from "../pacer.ts";
import { records } from "@etcd2/v3";
import type { Ownership } from "./target/ownership.ts";
import type { RowOptions, SourceNode, WantedRow } from "./mapping/rows.ts";
import { RowMaker } from "./mapping/rows.ts";
import { digestOf, isSequence } from "./target/target-keys.ts";
import type { TargetKey, TargetKeys } from "./target/target-keys.ts";
import type { Change, V3Writer } from "./target/v3-writer.ts";
import { BYTES_MAX, CHANGES_MAX } from "./target/v3-writer.ts";

const IN_FLIGHT = 12;

/** A life may end this much earlier or later than the source's and still be the same. */
const EARLY_MS = 2500;
const LATE_MS = 6000;

export type ConflictPolicy = "keep" | "overwrite";

export interface ReconcileOptions extends RowOptions {
  readonly writer: V3Writer;
  readonly ownership: Ownership;
  readonly policy: ConflictPolicy;
  /** When leases of the target end, in Unix milliseconds. */
  readonly leaseEnds: ReadonlyMap<bigint, number>;
  readonly signal: AbortSignal;
  /** Told of each node that is dealt with. */
  readonly onNode: (node: SourceNode) => void;
  /** Told of each key that was found to be written by somebody else. */
  readonly onConflict: (key: string, isKept: boolean) => void;
}

export interface Reconciled {
  /** Keys that were right already. */
  readonly unchanged: number;
  readonly put: number;
  readonly removed: number;
  /** Nodes whose lives were over. */
  readonly expired: number;
}

/** Writes what differs between `nodes` and `target`; uses `target` up. @throws MigrateError */
export async function reconcile(
  nodes: Iterable<SourceNode>,
  target: TargetKeys,
  options: ReconcileOptions,
): Promise<Reconciled> {
  const run = new Reconciliation(options);
  const maker = new RowMaker(options);
  const pacer = new Pacer(options.signal);
  for (const node of nodes) {
    if (!options.paths.takes(node.path)) continue;
    const rows = maker.rows(node);
    const life = maker.lifeOf(node);
    if (life !== undefined && life <= Date.now()) run.counts.expired++;
    else for (const row of rows) await run.want(row, target);
    options.onNode(node);
    if (pacer.due()) await pacer.pause();
  }
  for (const row of maker.sequences()) await run.want(row, target);
  for (const [key, present] of target.keys) {
    // A greater name than any that is left does no harm.
    if (!isSequence(options.space, key)) await run.remove(key, present);
  }
  await run.finish();
  return run.counts;
}

class Reconciliation {
  readonly counts = { unchanged: 0, put: 0, removed: 0, expired: 0 };
  readonly #options: ReconcileOptions;
  readonly #tasks = new Parallel(IN_FLIGHT);
  #batch: Change[] = [];
  #bytes = 0;

  constructor(options: ReconcileOptions) {
    this.#options = options;
  }

  async want(row: WantedRow, target: TargetKeys): Promise<void> {
    const present = target.keys.get(row.key);
    if (present !== undefined) target.keys.delete(row.key);
    if (present !== undefined && isSame(row, present, this.#options.leaseEnds)) {
      this.counts.unchanged++;
      return;
    }
    if (this.#isForeign(row.key)) return;
    this.counts.put++;
    await this.#add({ key: row.key, row, guard: { exactly: present?.modRevision ?? 0 } });
  }

  async remove(key: string, present: TargetKey): Promise<void> {
    if (this.#isForeign(key)) return;
    this.counts.removed++;
    await this.#add({ key, row: undefined, guard: { exactly: present.modRevision } });
  }

  async finish(): Promise<void> {
    await this.#flush();
    await this.#tasks.drain();
  }

  /** Whether the key is somebody else's and stays so. */
  #isForeign(key: string): boolean {
    const { ownership, policy, onConflict } = this.#options;
    if (!ownership.isForeign(key)) return false;
    onConflict(key, policy === "keep");
    return policy === "keep";
  }

  async #add(change: Change): Promise<void> {
    const bytes = 2 * change.key.length + (change.row?.value.length ?? 0);
    const isFull = this.#batch.length >= CHANGES_MAX || this.#bytes + bytes > BYTES_MAX;
    if (isFull && this.#batch.length > 0) await this.#flush();
    this.#batch.push(change);
    this.#bytes += bytes;
  }

  async #flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#bytes = 0;
    if (batch.length > 0) await this.#tasks.start(() => this.#commit(batch));
  }

  async #commit(batch: readonly Change[]): Promise<void> {
    const { writer, ownership, policy, onConflict } = this.#options;
    const { refused } = await writer.commit(batch);
    if (policy === "overwrite") {
      await ownership.forgive(batch.map(({ key }) => key));
      let again = refused;
      while (again.length > 0) {
        for (const { key } of again) onConflict(key, false);
        const guard = { atMost: Number.MAX_SAFE_INTEGER - 1 };
        again = (await writer.commit(again.map((change) => ({ ...change, guard })))).refused;
      }
      return;
    }
    ownership.claim(refused.map(({ key }) => key));
    for (const { key } of refused) onConflict(key, true);
  }
}

/** Whether a key of the target shows what the source wants. */
export function isSame(
  row: WantedRow,
  present: TargetKey,
  leaseEnds: ReadonlyMap<bigint, number>,
): boolean {
  return sameValue(row, present) && lifeProblem(row, present, leaseEnds) === undefined;
}

function sameValue(row: WantedRow, present: TargetKey): boolean {
  if (digestOf(row.value) === present.digest) return true;
  if (/^\d{20}$/.test(row.value) && /\.etcd2\/s/.test(row.key)) {
    return /^=\d{20}$/.test(present.digest) && present.digest.slice(1) >= row.value;
  }
  // A gateway's own record of a directory says more than a marker does.
  const wanted = records.decodeDirectoryRecord(Buffer.from(row.value, "latin1"));
  const found = records.decodeDirectoryRecord(Buffer.from(present.digest.slice(1), "latin1"));
  if (wanted === undefined || found === undefined || !/\.etcd2\/d/.test(row.key)) return false;
  if (wanted.expirationMs === undefined || found.expirationMs === undefined) {
    return wanted.expirationMs === found.expirationMs;
  }
  return isNear(found.expirationMs - wanted.expirationMs);
}

/** What is wrong with the life of a key; undefined when it is right. */
export function lifeProblem(
  row: WantedRow,
  present: TargetKey,
  leaseEnds: ReadonlyMap<bigint, number>,
): "noLease" | "lease" | "early" | "late" | undefined {
  const { expirationMs } = row;
  if (expirationMs === undefined) return present.lease === 0n ? undefined : "lease";
  if (present.lease === 0n) return "noLease";
  const ends = leaseEnds.get(present.lease) ?? Date.now();
  if (isNear(ends - expirationMs)) return undefined;
  return ends < expirationMs ? "early" : "late";
}

function isNear(laterMs: number): boolean {
  return laterMs >= -EARLY_MS && laterMs <= LATE_MS;
}
