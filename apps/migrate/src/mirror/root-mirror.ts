/**
 * Mirrors one subtree: a full copy first, then every event, again and again from where it stood when
 * a connection breaks, and a new copy where the history has a gap. Owns the position; what a write
 * looks like on the wire is target-writer.ts's business.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MigrateError } from "../errors.ts";
import { fromByteString } from "@etcd2/store";
import { JsonScanner, memberOf } from "../io/json-scanner.ts";
import { compareListings, isAlike, isBelow, isHiddenBelow } from "./compare.ts";
import type { Difference } from "./compare.ts";
import { firstEventSince } from "./history.ts";
import type { ShownNode } from "./listing.ts";
import { errorOf, fetchListing, probeKey, refused } from "./listing.ts";
import { LiveWatch } from "./live-watch.ts";
import { Parallel } from "./parallel.ts";
import { TargetWriter } from "./target-writer.ts";
import { TtlWatch } from "./ttl-watch.ts";
import type { V2Client } from "./v2-client.ts";
import type { WatchEvent } from "./watch-event.ts";

const NOT_A_DIRECTORY = 104;

const WRITES_AT_ONCE = 32;
const EVENTS_AT_ONCE = 512;
const IDLE_MS = 1000;

/** A refresh shows as a life that differs by this much from what was known. */
const REFRESH_MS = 1500;

export interface RootMirrorOptions {
  readonly source: V2Client;
  readonly target: V2Client;
  /** Directory mirrored: "/" or a path. */
  readonly root: string;
  /** Folder for temporary files, and a number that keeps mirrors in it apart. */
  readonly temporary: string;
  readonly id: number;
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
}

export interface MirrorProgress {
  copies: number;
  events: number;
  /** Everything up to this index of the source is in the target. */
  appliedIndex: number;
  /** Newest index of the source that was seen. */
  sourceIndex: number;
}

export class RootMirror {
  readonly progress: MirrorProgress = { copies: 0, events: 0, appliedIndex: 0, sourceIndex: 0 };
  readonly writer: TargetWriter;
  readonly #options: RootMirrorOptions;
  readonly #ttls = new TtlWatch();
  #clusterId = "";
  #listings = 0;

  constructor(options: RootMirrorOptions) {
    this.#options = options;
    this.writer = new TargetWriter(options.target, options.signal);
  }

  /** Runs until the signal fires. @throws MigrateError when a server refuses for good. */
  async run(): Promise<void> {
    const { source, root, signal, log } = this.#options;
    let needsCopy = true;
    while (!signal.aborted) {
      const watch = await LiveWatch.open(source, root, signal);
      if (watch === undefined) {
        await sleep(200, undefined, { signal }).catch(() => undefined);
        continue;
      }
      try {
        if (this.#isAnotherHistory(watch) && !needsCopy) {
          log("the source has another history now; copying again");
          needsCopy = true;
        }
        this.#clusterId = watch.clusterId;
        if (!needsCopy && !(await this.#fillGap(watch.startIndex))) {
          if (watch.end !== undefined) continue;
          log("the source's history does not reach back far enough; copying again");
          needsCopy = true;
        }
        if (needsCopy) {
          await this.copy();
          needsCopy = false;
        }
        needsCopy = await this.#follow(watch);
      } finally {
        watch.close();
      }
    }
  }

  /** Makes the target's subtree equal to the source's as of one moment. */
  async copy(): Promise<void> {
    const tasks = new Parallel(WRITES_AT_ONCE);
    const index = await this.#withListings(async (differences, askedAtMs) => {
      await this.#applyDifferences(differences, askedAtMs, tasks);
    });
    this.progress.appliedIndex = index;
    this.progress.sourceIndex = Math.max(this.progress.sourceIndex, index);
    this.progress.copies++;
  }

  /** @throws MigrateError when the target holds keys that a copy would delete. */
  async refuseExtraKeys(): Promise<void> {
    await this.#withListings((differences) => {
      for (const difference of differences) {
        if (difference.kind !== "extra") continue;
        throw new MigrateError(
          "target",
          `${this.#options.target.name} holds keys that the source does not have, ` +
            `such as ${fromByteString(keyOf(difference))}`,
          { remedy: "use an empty target, a --prefix, or --overwrite to have them deleted" },
        );
      }
      return Promise.resolve();
    });
  }

  /** Resolves once the first copy is complete, or the signal fires. */
  async copied(signal: AbortSignal): Promise<void> {
    while (this.progress.copies === 0 && !signal.aborted) {
      await sleep(50, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Differences between source and target now, at most `max` of them, and the source's index. */
  async differences(max: number): Promise<{ keys: readonly string[]; index: number }> {
    const keys: string[] = [];
    const index = await this.#withListings((differences) => {
      for (const difference of differences) {
        keys.push(keyOf(difference));
        if (keys.length >= max) break;
      }
      return Promise.resolve();
    });
    return { keys, index };
  }

  /** Whether source and target show the same for one key, read one after the other. */
  async isSame(key: string): Promise<boolean> {
    const left = await this.#read(this.#options.source, key);
    const right = await this.#read(this.#options.target, key);
    if (left === undefined || right === undefined) return left === right;
    return isAlike(left, right, 0);
  }

  async #withListings(
    use: (differences: Iterable<Difference>, askedAtMs: number) => Promise<void>,
  ): Promise<number> {
    const { source, target, root, temporary, id, signal } = this.#options;
    const prefix = join(temporary, `${id}-${this.#listings++}-`);
    const left = await fetchListing(source, root, `${prefix}source`, signal);
    try {
      const right = await fetchListing(target, root, `${prefix}target`, signal);
      try {
        const ageSeconds = (right.askedAtMs - left.askedAtMs) / 1000;
        await use(compareListings(left.nodes(), right.nodes(), ageSeconds), left.askedAtMs);
      } finally {
        right.close();
      }
      return left.etcdIndex;
    } finally {
      left.close();
    }
  }

  /** Writes what differs. Directories are written only where nothing in them makes them. */
  async #applyDifferences(
    differences: Iterable<Difference>,
    askedAtMs: number,
    tasks: Parallel,
  ): Promise<void> {
    let removed: string | undefined;
    let emptyDirectory: string | undefined;
    for (const difference of differences) {
      const key = keyOf(difference);
      if (emptyDirectory !== undefined && !isBelow(key, emptyDirectory)) {
        await this.#putDirectory(emptyDirectory, undefined, tasks);
      }
      emptyDirectory = undefined;
      if (difference.kind === "extra") {
        if (removed !== undefined && isBelow(key, removed)) continue;
        await tasks.drain();
        if (key !== "/") await this.writer.remove(key);
        removed = key;
        continue;
      }
      const { source } = difference;
      const endsAtMs = source.ttl === undefined ? undefined : askedAtMs + source.ttl * 1000;
      if (difference.kind === "changed" && difference.target.dir !== source.dir) {
        await tasks.drain();
        await this.writer.remove(key);
        removed = key;
      }
      if (!source.dir) {
        await this.#putFile(source, endsAtMs, tasks);
      } else if (endsAtMs !== undefined || difference.kind === "changed") {
        await this.#putDirectory(key, endsAtMs, tasks);
      } else if (key !== "/") emptyDirectory = key;
    }
    if (emptyDirectory !== undefined) await this.#putDirectory(emptyDirectory, undefined, tasks);
    await tasks.drain();
  }

  async #putFile(
    node: Pick<ShownNode, "key" | "value">,
    endsAtMs: number | undefined,
    tasks: Parallel,
  ): Promise<void> {
    this.#noteLife(node.key, endsAtMs);
    const life = endsAtMs === undefined ? undefined : { endsAtMs };
    await tasks.start(() => this.writer.putFile(node.key, node.value, life));
  }

  async #putDirectory(key: string, endsAtMs: number | undefined, tasks: Parallel): Promise<void> {
    if (key === "/") return;
    this.#noteLife(key, endsAtMs);
    await tasks.drain();
    await this.writer.putDirectory(key, endsAtMs === undefined ? undefined : { endsAtMs });
  }

  #noteLife(key: string, endsAtMs: number | undefined): void {
    if (endsAtMs === undefined) this.#ttls.delete(key);
    else this.#ttls.set(key, endsAtMs, performance.now());
  }

  /** True when indexes seen before mean nothing any more. */
  #isAnotherHistory(watch: LiveWatch): boolean {
    if (this.progress.copies === 0) return false;
    const isOtherCluster = this.#clusterId !== "" && watch.clusterId !== this.#clusterId;
    return isOtherCluster || watch.startIndex < this.progress.appliedIndex;
  }

  /**
   * Applies the events up to `upTo` from the source's history, one request each.
   * @returns false when the history has a gap or the source went away.
   */
  async #fillGap(upTo: number): Promise<boolean> {
    const { source, root, signal } = this.#options;
    while (this.progress.appliedIndex < upTo && !signal.aborted) {
      const since = this.progress.appliedIndex + 1;
      const answer = await firstEventSince(source, root, since, signal);
      if (answer.kind === "cleared" || answer.kind === "failed") return false;
      if (answer.kind === "none" || answer.event.index > upTo) break;
      await this.#apply([answer.event]);
    }
    if (signal.aborted) return false;
    // A search in the history overlooks events at the very root of the watch.
    if (root !== "/" && !(await this.isSame(root))) return false;
    this.progress.appliedIndex = Math.max(this.progress.appliedIndex, upTo);
    return true;
  }

  /** Applies live events until the watch ends; true when a new copy is needed. */
  async #follow(watch: LiveWatch): Promise<boolean> {
    const { signal, log } = this.#options;
    let idleSince = performance.now();
    while (!signal.aborted) {
      const events = watch.take(EVENTS_AT_ONCE);
      if (events.length > 0) {
        await this.#apply(events);
        idleSince = performance.now();
      } else if (watch.end !== undefined) {
        if (watch.end === "overflow") log("the mirror was too far behind; copying again");
        return watch.end === "overflow";
      } else {
        await watch.changed(IDLE_MS / 4);
      }
      await this.#checkLives();
      if (performance.now() - idleSince >= IDLE_MS) {
        if (!(await this.#checkIdle(watch))) return false;
        idleSince = performance.now();
      }
    }
    return false;
  }

  /**
   * With nothing heard for a while: has the source moved on? Its index also moves for what a watch
   * is not told, so the history decides. False when events were missed.
   */
  async #checkIdle(watch: LiveWatch): Promise<boolean> {
    const { source, root, signal } = this.#options;
    const call = { method: "GET", key: probeKey(root), query: {} } as const;
    const { etcdIndex } = await source.request(call, signal);
    this.progress.sourceIndex = etcdIndex;
    while (this.progress.appliedIndex < etcdIndex && !watch.hasEvents()) {
      const since = this.progress.appliedIndex + 1;
      const answer = await firstEventSince(source, root, since, signal);
      if (watch.hasEvents()) return true;
      if (answer.kind === "cleared" || answer.kind === "failed") return false;
      if (answer.kind === "none" || answer.event.index > etcdIndex) {
        this.#passOver(etcdIndex);
      } else if (isIrrelevant(answer.event, root)) {
        this.#passOver(answer.event.index);
      } else return false;
    }
    return true;
  }

  #passOver(index: number): void {
    this.progress.appliedIndex = Math.max(this.progress.appliedIndex, index);
  }

  /** Applies events in order; runs of writes to different files go side by side. */
  async #apply(events: readonly WatchEvent[]): Promise<void> {
    const { root } = this.#options;
    const tasks = new Parallel(WRITES_AT_ONCE);
    const pending = new Map<string, WatchEvent>();
    const flush = async (): Promise<void> => {
      for (const event of pending.values()) await this.#applyFile(event, tasks);
      pending.clear();
      await tasks.drain();
    };
    let last = this.progress.appliedIndex;
    for (const event of events) {
      if (event.index <= last) continue;
      last = event.index;
      this.progress.events++;
      if (isIrrelevant(event, root)) continue;
      if (event.dir || hasAncestorIn(pending, event.key)) await flush();
      if (event.dir) await this.#applyDirectory(event);
      else pending.set(event.key, event);
    }
    await flush();
    this.progress.appliedIndex = last;
    this.progress.sourceIndex = Math.max(this.progress.sourceIndex, last);
  }

  async #applyFile(event: WatchEvent, tasks: Parallel): Promise<void> {
    if (!event.isRemoval) {
      await this.#putFile(event, lifeEnd(event), tasks);
      return;
    }
    this.#ttls.delete(event.key);
    await tasks.start(() => this.writer.removeFile(event.key));
  }

  async #applyDirectory(event: WatchEvent): Promise<void> {
    if (!event.isRemoval) {
      await this.#putDirectory(event.key, lifeEnd(event), new Parallel(1));
      return;
    }
    this.#ttls.delete(event.key);
    this.#ttls.deleteBelow(event.key);
    // A directory above the mirrored one takes the mirrored one with it, and only that.
    const { root } = this.#options;
    await this.writer.remove(isBelow(root, event.key) ? root : event.key);
  }

  /** Looks at the keys with a TTL whose turn it is. */
  async #checkLives(): Promise<void> {
    const nowMs = performance.now();
    const due = this.#ttls.takeDue(nowMs);
    if (due.length === 0) return;
    const tasks = new Parallel(WRITES_AT_ONCE);
    for (const key of due) await tasks.start(() => this.checkLife(key));
    await tasks.drain();
  }

  /** Reads one key with a TTL again and passes on another life than the one known. */
  async checkLife(key: string): Promise<void> {
    const askedAtMs = performance.now();
    const node = await this.#read(this.#options.source, key);
    const known = this.#ttls.endOf(key);
    if (node?.ttl === undefined || known === undefined) return;
    const endsAtMs = askedAtMs + node.ttl * 1000;
    if (Math.abs(endsAtMs - known) < REFRESH_MS) return;
    this.#ttls.set(key, endsAtMs, askedAtMs);
    if (node.dir) await this.writer.putDirectory(key, { endsAtMs });
    else await this.writer.putFile(key, node.value, { endsAtMs });
  }

  async #read(client: V2Client, key: string): Promise<ShownNode | undefined> {
    const response = await client.request({ method: "GET", key, query: {} }, this.#options.signal);
    // Below a file there is nothing either.
    if (response.status === 404 || errorOf(response.body)?.code === NOT_A_DIRECTORY)
      return undefined;
    if (response.status !== 200) throw refused(client, response.status, key);
    const node = memberOf(new JsonScanner([response.body]).value(), "node");
    const ttl = memberOf(node, "ttl");
    const value = memberOf(node, "value");
    return {
      key,
      dir: memberOf(node, "dir") === true,
      value: typeof value === "string" ? value : "",
      ttl:
        typeof ttl === "number" ? ttl : memberOf(node, "expiration") !== undefined ? 0 : undefined,
      modifiedIndex: 0,
      createdIndex: 0,
    };
  }
}

function keyOf(difference: Difference): string {
  return difference.kind === "extra" ? difference.target.key : difference.source.key;
}

function lifeEnd(event: WatchEvent): number | undefined {
  return event.ttl === undefined ? undefined : performance.now() + event.ttl * 1000;
}

/** Events the history finds but a mirror of `root` must not follow: hidden keys, namesakes. */
function isIrrelevant(event: WatchEvent, root: string): boolean {
  if (event.key === root || isBelow(root, event.key)) return false;
  return !isBelow(event.key, root) || isHiddenBelow(event.key, root);
}

function hasAncestorIn(pending: ReadonlyMap<string, unknown>, key: string): boolean {
  if (pending.size === 0) return false;
  for (let end = key.lastIndexOf("/"); end > 0; end = key.lastIndexOf("/", end - 1)) {
    if (pending.has(key.slice(0, end))) return true;
  }
  return false;
}
