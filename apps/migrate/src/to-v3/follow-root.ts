/**
 * Follows one subtree of a running v2 server into v3: a copy of what differs first, then every event in order;
 * another look at everything whenever events can have been missed. Owns the position in the source.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { firstEventSince } from "../mirror/history.ts";
import { JsonScanner, memberOf } from "../io/json-scanner.ts";
import { LiveWatch } from "../mirror/live-watch.ts";
import { probeKey } from "../mirror/listing.ts";
import { TtlWatch } from "../mirror/ttl-watch.ts";
import type { WatchEvent } from "../mirror/watch-event.ts";
import { EventRows } from "./target/event-rows.ts";
import type { LiveSource } from "./live-source.ts";
import type { Ownership } from "./target/ownership.ts";
import { isAtOrBelow } from "./mapping/path-map.ts";
import type { SourceView } from "./source-view.ts";
import type { RowOptions, SourceNode } from "./mapping/rows.ts";
import type { TargetSide } from "./target-side.ts";
import { CHANGES_MAX } from "./target/v3-writer.ts";
import type { Change } from "./target/v3-writer.ts";

const EVENTS_AT_ONCE = 512;
const IDLE_MS = 1000;

/** A refresh shows as a life that differs by this much from what was known. */
const REFRESH_MS = 1500;

export interface FollowProgress {
  copies: number;
  events: number;
  /** Everything up to this index of the source is in the target. */
  appliedIndex: number;
  /** Newest index of the source that was seen. */
  sourceIndex: number;
}

export interface FollowOptions extends RowOptions {
  readonly source: LiveSource;
  /** "" or a path. */
  readonly root: string;
  readonly target: TargetSide;
  readonly ownership: Ownership;
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
}

export class FollowRoot {
  readonly progress: FollowProgress = { copies: 0, events: 0, appliedIndex: 0, sourceIndex: 0 };
  readonly #options: FollowOptions;
  readonly #path: string;
  readonly #rows: EventRows;
  #ttls = new TtlWatch();
  #mustCopy = false;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#path = options.root === "" ? "/" : options.root;
    this.#rows = new EventRows(options);
  }

  /** Runs until the signal fires. @throws MigrateError when a side refuses for good. */
  async run(): Promise<void> {
    const { source, signal, log } = this.#options;
    while (!signal.aborted) {
      const watch = await LiveWatch.open(source.client, this.#path, signal);
      if (watch === undefined) {
        await sleep(200, undefined, { signal }).catch(() => undefined);
        continue;
      }
      try {
        if (this.progress.copies > 0)
          log("looking at everything again, from the source as it is now");
        await this.#copy();
        await this.#follow(watch);
      } finally {
        watch.close();
      }
    }
  }

  /** Everything the source has now, as rows with the lives of directories known. */
  async #copy(): Promise<void> {
    const { source, target, root } = this.#options;
    const list = await source.list(root);
    const { view } = list;
    try {
      this.#learn(view);
      await target.copy(root, view);
    } finally {
      list.close();
    }
    this.#mustCopy = false;
    this.progress.appliedIndex = view.etcdIndex;
    this.progress.sourceIndex = Math.max(this.progress.sourceIndex, view.etcdIndex);
    this.progress.copies++;
  }

  /** Remembers directories, and when to look at lives again. */
  #learn(view: SourceView): void {
    this.#ttls = new TtlWatch();
    this.#rows.forget();
    for (const node of view.nodes()) {
      if (node.dir) this.#rows.knowDirectory(node.path, node.expirationMs);
      else if (/\/\d{20}$/.test(node.path)) this.#rows.knowFile(node.path);
      this.#noteLife(node);
    }
  }

  #noteLife({ path, expirationMs }: Pick<SourceNode, "path" | "expirationMs">): void {
    if (expirationMs === undefined) this.#ttls.delete(path);
    else {
      const now = performance.now();
      this.#ttls.set(path, now + expirationMs - Date.now(), now);
    }
  }

  /** Applies live events until the watch ends or does not tell everything. */
  async #follow(watch: LiveWatch): Promise<void> {
    const { signal, log } = this.#options;
    let idleSince = performance.now();
    while (!signal.aborted && !this.#mustCopy) {
      const events = watch.take(EVENTS_AT_ONCE);
      if (events.length > 0) {
        await this.#apply(events);
        idleSince = performance.now();
      } else if (watch.end !== undefined) {
        log(`the watch of the source ended (${watch.end})`);
        return;
      } else await watch.changed(IDLE_MS / 4);
      await this.#checkLives();
      if (performance.now() - idleSince < IDLE_MS) continue;
      if (!(await this.#checkIdle(watch))) return;
      idleSince = performance.now();
    }
  }

  /** Applies events in order; several changes of different keys share a transaction. */
  async #apply(events: readonly WatchEvent[]): Promise<void> {
    const { target } = this.#options;
    const pending = new Map<string, Change>();
    const flush = async (): Promise<void> => {
      if (pending.size === 0) return;
      await target.apply([...pending.values()]);
      pending.clear();
    };
    let last = this.progress.appliedIndex;
    for (const event of events) {
      if (event.index <= last) continue;
      last = event.index;
      this.progress.events++;
      if (!this.#isOurs(event)) continue;
      if (event.isRemoval && event.dir) {
        await flush();
        await this.#removeDirectory(event.key);
        continue;
      }
      if (event.isRemoval) this.#ttls.delete(event.key);
      else this.#noteLife({ path: event.key, expirationMs: endOf(event) });
      const changes = this.#rows.changes(event, endOf(event));
      if (changes === "copy") {
        this.#mustCopy = true;
        return;
      }
      if (pending.size + changes.length > CHANGES_MAX) await flush();
      for (const change of changes) pending.set(change.key, change);
    }
    await flush();
    this.progress.appliedIndex = last;
    this.progress.sourceIndex = Math.max(this.progress.sourceIndex, last);
  }

  #isOurs({ key, isRemoval, dir }: WatchEvent): boolean {
    const { root, paths } = this.#options;
    // A directory above goes with everything in it.
    if (isRemoval && dir && isAtOrBelow(root, key)) return true;
    return isAtOrBelow(key, root) && paths.takes(key);
  }

  async #removeDirectory(key: string): Promise<void> {
    const { root, target } = this.#options;
    const gone = root !== "" && isAtOrBelow(root, key) ? root : key;
    this.#ttls.delete(gone);
    this.#ttls.deleteBelow(gone === "" ? "/" : gone);
    this.#rows.forgetBelow(gone);
    if (!(await target.removeTree(gone))) this.#mustCopy = true;
  }

  /** Looks at the keys with a TTL whose turn it is: no watcher is told of a refresh. */
  async #checkLives(): Promise<void> {
    for (const key of this.#ttls.takeDue(performance.now())) {
      if (this.#options.signal.aborted) return;
      const node = await this.#read(key);
      const known = this.#ttls.endOf(key);
      if (node?.expirationMs === undefined || known === undefined) continue;
      const ends = performance.now() + node.expirationMs - Date.now();
      if (Math.abs(ends - known) < REFRESH_MS) continue;
      this.#noteLife(node);
      const event = { key, dir: node.dir, isRemoval: false, value: node.value };
      const changes = this.#rows.changes(event, node.expirationMs);
      if (changes === "copy") this.#mustCopy = true;
      else await this.#options.target.apply(changes);
    }
  }

  /**
   * With nothing heard for a while: has the source moved on? Its index also moves for what a watch is not
   * told, so the history decides. False when events can have been missed.
   */
  async #checkIdle(watch: LiveWatch): Promise<boolean> {
    const { source, signal } = this.#options;
    const call = { method: "GET", key: probeKey(this.#path), query: {} } as const;
    const { etcdIndex } = await source.client.request(call, signal);
    // Smaller than what was seen: another history, for instance after a restore.
    if (etcdIndex < this.progress.appliedIndex) return watch.hasEvents();
    this.progress.sourceIndex = etcdIndex;
    while (this.progress.appliedIndex < etcdIndex && !watch.hasEvents()) {
      const since = this.progress.appliedIndex + 1;
      const answer = await firstEventSince(source.client, this.#path, since, signal);
      if (watch.hasEvents()) return true;
      if (answer.kind === "cleared" || answer.kind === "failed") return false;
      const isBeyond = answer.kind === "none" || answer.event.index > etcdIndex;
      if (!isBeyond && this.#isHeard(answer.event)) return false;
      const passed = isBeyond ? etcdIndex : answer.event.index;
      this.progress.appliedIndex = Math.max(this.progress.appliedIndex, passed);
    }
    return true;
  }

  /** Whether the watch should have told of an event; hidden keys below it are not told. */
  #isHeard(event: WatchEvent): boolean {
    const { root } = this.#options;
    if (event.isRemoval && event.dir && isAtOrBelow(root, event.key)) return true;
    return isAtOrBelow(event.key, root) && !event.key.slice(root.length).includes("/_");
  }

  async #read(key: string): Promise<SourceNode | undefined> {
    const { source, signal } = this.#options;
    const { status, body } = await source.client.request({ method: "GET", key, query: {} }, signal);
    if (status !== 200) return undefined;
    const node = memberOf(new JsonScanner([body]).value(), "node");
    const ttl = memberOf(node, "ttl");
    const value = memberOf(node, "value");
    return {
      path: key,
      dir: memberOf(node, "dir") === true,
      value: typeof value === "string" ? value : "",
      expirationMs: typeof ttl === "number" ? Date.now() + ttl * 1000 : undefined,
    };
  }
}

function endOf(event: WatchEvent): number | undefined {
  return event.ttl === undefined ? undefined : Date.now() + event.ttl * 1000;
}
