/**
 * Who wrote what in the target: each transaction of a migration also puts one key, so that every revision
 * without it was written by somebody else. Keeps the list of keys that v3 programs have written or removed
 * since, in the cluster itself, so that it outlives this program.
 */
import { createHash } from "node:crypto";
import { methods, RangeWatch } from "@etcd2/v3";
import type { KeyRange, RevisionChanges, V3Client, KeySpace, V3Error } from "@etcd2/v3";
import { MigrateError } from "../../errors.ts";
import type { PathMap } from "../mapping/path-map.ts";
import type { TargetKeys } from "./target-keys.ts";
import { isInRanges } from "./target-keys.ts";
import { refusal } from "./v3-writer.ts";

const DELETE = 1;
const FORMAT = 1;

/** Right before the records of a v2 gateway in key order. */
const FOLDER = ".etcd2-migrate/";

const WAIT_MS = 60_000;

export interface SavedState {
  /** Everything up to this revision has been judged. */
  readonly since: number;
  /** What was written up to this revision is taken for ours when the history is gone. */
  readonly until: number;
  /** The first copy is complete. */
  readonly isCopied: boolean;
}

export interface OwnershipOptions {
  readonly client: V3Client;
  readonly space: KeySpace;
  readonly paths: PathMap;
  /** Ranges of keys that the migration writes. */
  readonly ranges: readonly KeyRange[];
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
}

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #stateKey: string;
  readonly #keptPrefix: string;
  readonly #foreign = new Set<string>();
  /** Found since they were last saved. */
  #unsaved: string[] = [];
  #watch: RangeWatch | undefined;
  #failure: V3Error | undefined;
  #seen = 0;
  #until = 0;
  #isCopied = false;
  /** State that an earlier run left. */
  #saved: (SavedState & { readonly modRevision: number }) | undefined;
  #waiting: (() => void)[] = [];
  /** Whether changes of others can have gone unnoticed. */
  isHistoryLost = false;
  /** Changes by others that were seen. */
  foreignChanges = 0;

  constructor(options: OwnershipOptions) {
    this.#options = options;
    const { space, paths } = options;
    const job = createHash("sha256")
      .update(JSON.stringify([paths.roots, paths.rules]))
      .digest("hex")
      .slice(0, 12);
    this.#stateKey = `${space.prefix}${FOLDER}${job}/state`;
    this.#keptPrefix = `${space.prefix}${FOLDER}${job}/kept`;
  }

  /** What an earlier run of the same migration left behind. @throws MigrateError */
  async load(): Promise<SavedState | undefined> {
    const { client, signal } = this.#options;
    const key = Buffer.from(this.#stateKey, "latin1");
    const answer = await client.call(methods.range, { key }, { signal });
    const row = answer.kvs[0];
    if (row === undefined) return undefined;
    const state = parseState(Buffer.from(row.value).toString("utf8"));
    if (state === undefined) {
      throw new MigrateError("target", `${this.#stateKey} is no state of a migration`, {
        remedy: "delete the key, then use --overwrite",
      });
    }
    this.#saved = { ...state, modRevision: Number(row.modRevision) };
    this.#isCopied = state.isCopied;
    let from = Buffer.from(`${this.#keptPrefix}/`, "latin1");
    const rangeEnd = Buffer.from(`${this.#keptPrefix}0`, "latin1");
    for (;;) {
      const request = { key: from, rangeEnd, limit: 1000n, keysOnly: true };
      const page = await client.call(methods.range, request, { signal });
      for (const kept of page.kvs) {
        const name = Buffer.from(kept.key)
          .toString("latin1")
          .slice(this.#keptPrefix.length + 1);
        this.#foreign.add(name);
      }
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) return state;
      from = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  /** Forgets what an earlier run left: everything in the target may be overwritten. */
  async reset(): Promise<void> {
    const { client, signal } = this.#options;
    this.#foreign.clear();
    this.#saved = undefined;
    this.#isCopied = false;
    const key = Buffer.from(this.#keptPrefix, "latin1");
    const rangeEnd = Buffer.from(`${this.#keptPrefix}0`, "latin1");
    await client.call(methods.deleteRange, { key, rangeEnd }, { signal });
  }

  /** Takes the place in the cluster's history where judging begins: that of the last run, or now. */
  async begin(): Promise<void> {
    this.#seen = this.#saved?.since ?? (await this.revision());
    this.#until = this.#saved?.until ?? this.#seen;
  }

  /** Newest revision of the cluster. */
  async revision(): Promise<number> {
    const { client, signal } = this.#options;
    const key = Buffer.from(this.#stateKey, "latin1");
    const answer = await client.call(methods.range, { key, countOnly: true }, { signal });
    return Number(answer.header?.revision ?? 0n);
  }

  /** Revision up to which changes of others are known. */
  get seen(): number {
    return this.#seen;
  }

  /** Key and value that mark a transaction as ours. */
  mark(): { readonly key: Buffer; readonly value: Buffer } {
    const until = Math.max(this.#until, this.#seen);
    const state = { format: FORMAT, since: this.#seen, until, copied: this.#isCopied };
    return {
      key: Buffer.from(this.#stateKey, "latin1"),
      value: Buffer.from(JSON.stringify(state)),
    };
  }

  /** Notes that the first copy is complete. */
  async copied(): Promise<void> {
    this.#isCopied = true;
    this.#until = await this.revision();
    await this.#options.client.call(methods.put, this.mark(), { signal: this.#options.signal });
  }

  /** Waits until changes up to a revision are known. @throws MigrateError when that cannot be. */
  async caughtUp(revision: number): Promise<void> {
    const { signal, client } = this.#options;
    const deadline = performance.now() + WAIT_MS;
    while (this.#seen < revision && !signal.aborted) {
      if (this.#failure !== undefined) throw refusal(this.#failure);
      if (performance.now() > deadline) {
        // Nothing of ours or theirs may have happened in the range: ask for a sign of life.
        await client.call(methods.put, this.mark(), { signal }).catch(() => undefined);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    if (signal.aborted) throw new MigrateError("interrupted", "interrupted");
  }

  /** Waits until everything that has happened is known; listens from here on. */
  async settle(): Promise<void> {
    if (this.#watch === undefined) this.#listen(this.#seen);
    const answer = await this.#options.client.call(methods.put, this.mark(), {
      signal: this.#options.signal,
    });
    await this.caughtUp(Number(answer.header?.revision ?? 0n));
  }

  /** Whether somebody else wrote or removed the key last. */
  isForeign(key: string): boolean {
    return this.#foreign.has(key);
  }

  /** Keys that others wrote or removed. */
  get foreign(): ReadonlySet<string> {
    return this.#foreign;
  }

  /**
   * Judges what is there when the history of the time between two runs is gone: what was written after
   * the last word of the earlier run is not ours.
   */
  judgeByRevision(target: TargetKeys): void {
    const saved = this.#saved;
    if (saved === undefined || !saved.isCopied || !this.isHistoryLost) return;
    for (const [key, { modRevision }] of target.keys) {
      const isOurs = modRevision <= saved.until || modRevision === saved.modRevision;
      if (!isOurs) this.#note(key);
    }
  }

  /** Notes keys that turned out to be written by others. */
  claim(keys: Iterable<string>): void {
    for (const key of keys) this.#note(key);
  }

  /** The keys are ours again. */
  async forgive(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      if (!this.#foreign.delete(key)) continue;
      const kept = Buffer.from(`${this.#keptPrefix}/${key}`, "latin1");
      await this.#options.client.call(methods.deleteRange, { key: kept });
    }
  }

  /** Writes what was found to the cluster. */
  async save(): Promise<void> {
    const { client, signal } = this.#options;
    while (this.#unsaved.length > 0) {
      const keys = [...new Set(this.#unsaved.slice(0, 100))];
      await client.call(
        methods.txn,
        {
          success: keys.map((key) => ({
            request: {
              case: "requestPut" as const,
              value: { key: Buffer.from(`${this.#keptPrefix}/${key}`, "latin1") },
            },
          })),
        },
        { signal },
      );
      this.#unsaved.splice(0, 100);
    }
  }

  close(): void {
    this.#watch?.close();
    this.#wake();
  }

  #listen(after: number): void {
    const { client, space, log } = this.#options;
    this.#seen = after;
    this.#watch = new RangeWatch({
      client,
      key: Buffer.from(space.prefix + FOLDER, "latin1"),
      rangeEnd: space.everything.rangeEnd,
      fromRevision: after + 1,
      onChanges: (changes) => {
        this.#heard(changes);
      },
      onProgress: (revision) => {
        this.#seen = Math.max(this.#seen, revision);
        this.#wake();
      },
      onEnd: (error, compactRevision) => {
        if (compactRevision === 0) {
          this.#failure = error;
          this.#wake();
          return;
        }
        this.isHistoryLost = true;
        log("the history of the v3 cluster since the last run was compacted away");
        this.#listen(compactRevision - 1);
      },
    });
  }

  #heard({ revision, events }: RevisionChanges): void {
    const names = events.map(({ kv }) => Buffer.from(kv?.key ?? []).toString("latin1"));
    const isOurs = names.includes(this.#stateKey);
    if (!isOurs) {
      events.forEach((event, i) => {
        const name = names[i] ?? "";
        // A lease that ran out is no decision of anybody.
        const isExpiry = Number(event.type) === DELETE && (event.prevKv?.lease ?? 0n) !== 0n;
        if (isExpiry || !isInRanges(this.#options.ranges, Buffer.from(name, "latin1"))) return;
        this.foreignChanges++;
        this.#note(name);
      });
    }
    this.#seen = revision;
    this.#wake();
  }

  #note(key: string): void {
    if (this.#foreign.has(key)) return;
    this.#foreign.add(key);
    this.#unsaved.push(key);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

function parseState(text: string): SavedState | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const { format, since, until, copied } = value as Record<string, unknown>;
    if (format !== FORMAT || !Number.isSafeInteger(since) || typeof copied !== "boolean") {
      return undefined;
    }
    if (!Number.isSafeInteger(until)) return undefined;
    return { since: Number(since), until: Number(until), isCopied: copied };
  } catch {
    return undefined;
  }
}
