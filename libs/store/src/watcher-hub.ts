/**
 * All waits for events: live ones in a trie, those from a past index in a shared pass over the
 * history that ends by joining them to the live ones, without a gap and without a repeat. Matching
 * is in tree/; sockets and text are the gateway's.
 */
import type { ByteString } from "./command.ts";
import { type EtcdError, StoreError } from "./errors.ts";
import type { Watch, WatchHandle, WatcherHub } from "./ports.ts";
import { type Schedule, defaultSchedule } from "./schedule.ts";
import type { RecordedEvent } from "./tree/recorded-event.ts";
import { matchesWatch } from "./tree/watch-rule.ts";
import { type TrieWatch, WatcherTrie } from "./tree/watcher-trie.ts";

/** What the hub needs of the history; EventLog has it. */
export interface HubHistory {
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** One slice of events from `since` on; empty when it is yet to come. */
  read(since: number): readonly RecordedEvent[];
  /** Whether reading from `since` on touches no disk. */
  inMemory(since: number): boolean;
  /** The error 401 for a watch that came too late. */
  cleared(since: number): EtcdError;
}

/** What the hub listens to; StateMachine has it. */
export interface HubSource {
  readonly history: HubHistory;
  /** @returns Ends it. */
  onEvents(listener: (events: readonly RecordedEvent[]) => void): () => void;
}

export interface WatcherHubOptions {
  /** Runs a slice of history reading in a later turn. Default setImmediate. */
  readonly schedule?: Schedule;
}

/** Deliveries after which a slice of a pass yields. */
const SLICE_DELIVERIES = 1000;

/** live: in the trie. behind: reads history. paused: waits for resume(). */
type Standing = "live" | "behind" | "paused" | "ended";

class HubWatch implements TrieWatch, WatchHandle {
  readonly path: ByteString;
  readonly recursive: boolean;
  readonly watch: Watch;
  /** First index not yet dealt with. */
  next: number;
  standing: Standing;
  readonly #hub: StoreWatcherHub;
  constructor(hub: StoreWatcherHub, watch: Watch, next: number, standing: Standing) {
    this.#hub = hub;
    this.watch = watch;
    this.path = watch.path;
    this.recursive = watch.recursive;
    this.next = next;
    this.standing = standing;
  }

  cancel(): void {
    this.#hub.drop(this);
  }

  resume(): void {
    this.#hub.resume(this);
  }
}

export class StoreWatcherHub implements WatcherHub {
  #source: HubSource;
  #detach: () => void;
  readonly #schedule: Schedule;
  readonly #live = new WatcherTrie<HubWatch>();
  /** Watches that the pass has reached. */
  readonly #pass = new WatcherTrie<HubWatch>();
  /** Watches behind the live ones that the pass has not reached; those it missed wait too. */
  readonly #waiting = new Set<HubWatch>();
  readonly #paused = new Set<HubWatch>();
  /** Next index that the pass looks at. */
  #position = 0;
  #sliceScheduled = false;
  #closed = false;

  constructor(source: HubSource, options: WatcherHubOptions = {}) {
    this.#source = source;
    this.#schedule = options.schedule ?? defaultSchedule;
    this.#detach = source.onEvents(this.#publish);
  }

  get watchers(): number {
    return this.#live.size;
  }

  watch(watch: Watch): WatchHandle {
    const { history } = this.#source;
    const live = history.lastIndex + 1;
    const since = watch.sinceIndex === 0 ? live : watch.sinceIndex;
    if (since < history.firstIndex) throw history.cleared(since);
    if (this.#closed) {
      const entry = new HubWatch(this, watch, since, "ended");
      this.#schedule(() => {
        watch.ended("closed");
      });
      return entry;
    }
    const next = since < live && history.inMemory(since) ? this.#firstMatch(watch, since) : since;
    const entry = new HubWatch(this, watch, next, next < live ? "behind" : "live");
    if (entry.standing === "live") this.#live.add(entry);
    else this.#wait(entry);
    return entry;
  }

  /**
   * Goes over to another state machine, after a snapshot took the place of the old one. Watches get
   * what they missed from its history; those it cannot serve without a gap end as too slow.
   */
  attach(source: HubSource): void {
    const told = this.#source.history.lastIndex;
    this.#detach();
    this.#source = source;
    this.#detach = source.onEvents(this.#publish);
    for (const entry of [...this.#live.values()]) {
      entry.next = Math.max(entry.next, told + 1);
      if (entry.next > source.history.lastIndex) continue;
      this.#live.delete(entry);
      entry.standing = "behind";
      this.#wait(entry);
    }
    if (this.#pass.size > 0 || this.#waiting.size > 0) this.#scheduleSlice();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#detach();
    const all = [...this.#live.values(), ...this.#pass.values(), ...this.#waiting, ...this.#paused];
    for (const entry of all) this.#end(entry, "closed");
  }

  /** Ends a watch without telling it. */
  drop(entry: HubWatch): void {
    if (entry.standing === "live") this.#live.delete(entry);
    else if (entry.standing === "paused") this.#paused.delete(entry);
    else if (entry.standing === "behind" && !this.#waiting.delete(entry)) this.#pass.delete(entry);
    entry.standing = "ended";
  }

  resume(entry: HubWatch): void {
    if (entry.standing !== "paused") return;
    this.#paused.delete(entry);
    entry.standing = "behind";
    this.#wait(entry);
  }

  readonly #publish = (events: readonly RecordedEvent[]): void => {
    if (this.#live.size === 0) return;
    const matches: HubWatch[] = [];
    for (const event of events) {
      matches.length = 0;
      this.#live.match(event, matches);
      for (const entry of matches) this.#deliver(entry, event, "live");
    }
  };

  /** @returns Whether the watch was told and goes on. */
  #deliver(entry: HubWatch, event: RecordedEvent, standing: "live" | "behind"): boolean {
    // An earlier delivery of the same event may have ended it; a later one may be its first.
    if (entry.standing !== standing || event.etcdIndex < entry.next) return false;
    entry.next = event.etcdIndex + 1;
    const { watch } = entry;
    if (!watch.stream) this.drop(entry);
    const taken = watch.deliver(event);
    if (!watch.stream) {
      watch.ended(taken ? "delivered" : "slow");
      return false;
    }
    if (taken) return true;
    this.#end(entry, "slow");
    return false;
  }

  #end(entry: HubWatch, reason: "slow" | "closed"): void {
    if (entry.standing === "ended") return;
    this.drop(entry);
    entry.watch.ended(reason);
  }

  /** Index of the first event in memory that a watch is told of, else the one to come. */
  #firstMatch(watch: Watch, since: number): number {
    const { history } = this.#source;
    let next = since;
    while (next <= history.lastIndex) {
      for (const event of history.read(next)) {
        if (matchesWatch(watch, event)) return event.etcdIndex;
        next = event.etcdIndex + 1;
      }
    }
    return next;
  }

  #wait(entry: HubWatch): void {
    this.#waiting.add(entry);
    this.#scheduleSlice();
  }

  #scheduleSlice(): void {
    if (this.#sliceScheduled || this.#closed) return;
    this.#sliceScheduled = true;
    this.#schedule(() => {
      this.#sliceScheduled = false;
      if (this.#closed || !this.#slice()) return;
      if (this.#pass.size > 0 || this.#waiting.size > 0) this.#scheduleSlice();
    });
  }

  /**
   * One slice of the pass over the history that all watches behind share.
   * @returns False when the history is closed: the pass goes on after attach().
   */
  #slice(): boolean {
    const { history } = this.#source;
    // With nobody on the way the pass starts anew, at the watch that is furthest behind.
    if (this.#pass.size === 0) this.#position = this.#furthestBehind();
    this.#endOvertaken(history.firstIndex);
    const boarding = this.#boarding();
    let deliveries = 0;
    const matches: HubWatch[] = [];
    const events = this.#read(Math.max(this.#position, history.firstIndex));
    if (events === undefined) return false;
    for (const event of events) {
      this.#position = event.etcdIndex + 1;
      this.#board(boarding, event.etcdIndex);
      matches.length = 0;
      this.#pass.match(event, matches);
      for (const entry of matches) this.#deliverBehind(entry, event);
      deliveries += matches.length;
      if (deliveries >= SLICE_DELIVERIES) break;
    }
    if (this.#position > history.lastIndex) this.#joinLive();
    return true;
  }

  /** Events from an index on; undefined while a closed store waits to be replaced. */
  #read(since: number): readonly RecordedEvent[] | undefined {
    try {
      return this.#source.history.read(since);
    } catch (error) {
      if (error instanceof StoreError && error.code === "closed") return undefined;
      throw error;
    }
  }

  #deliverBehind(entry: HubWatch, event: RecordedEvent): void {
    if (!this.#deliver(entry, event, "behind")) return;
    if (entry.watch.congested?.() !== true) return;
    this.#pass.delete(entry);
    entry.standing = "paused";
    this.#paused.add(entry);
  }

  #furthestBehind(): number {
    let position = Number.MAX_SAFE_INTEGER;
    for (const entry of this.#waiting) position = Math.min(position, entry.next);
    return position;
  }

  /** Watches that need events which are no longer kept. */
  #endOvertaken(firstIndex: number): void {
    if (this.#position < firstIndex) {
      for (const entry of [...this.#pass.values()]) this.#end(entry, "slow");
    }
    for (const entry of this.#waiting) if (entry.next < firstIndex) this.#end(entry, "slow");
  }

  /** Waiting watches that this pass can still serve, the next to board last. */
  #boarding(): HubWatch[] {
    const entries = [...this.#waiting].filter((entry) => entry.next >= this.#position);
    return entries.sort((a, b) => b.next - a.next);
  }

  /** Takes up the watches whose first index has come. */
  #board(boarding: HubWatch[], index: number): void {
    for (let entry = boarding.at(-1); entry !== undefined && entry.next <= index;) {
      boarding.pop();
      if (this.#waiting.delete(entry)) this.#pass.add(entry);
      entry = boarding.at(-1);
    }
  }

  /** The pass has seen everything: whoever took part is as far as the live ones. */
  #joinLive(): void {
    const entries = [...this.#pass.values()];
    for (const entry of this.#waiting) {
      if (entry.next >= this.#position) entries.push(entry);
    }
    for (const entry of entries) {
      if (!this.#pass.delete(entry)) this.#waiting.delete(entry);
      entry.next = Math.max(entry.next, this.#position);
      entry.standing = "live";
      this.#live.add(entry);
    }
  }
}
