/**
 * All waits for events: live ones, which get events as they come, and those from a past index or with a
 * receiver that had no room, in a shared catch-up over the history that ends by joining them to the
 * live ones, without a gap and without a repeat. Nothing is delivered in the turn in which an event
 * is made, so that whoever made it has its answer first; and a turn delivers no more than a slice.
 * Matching is in tree/; sockets and text are the gateway's.
 */
import type { ByteString } from "../model/byte-string.ts";
import { type EtcdError, StoreError } from "../model/errors.ts";
import type { Watch, WatchHandle, WatcherHub } from "../model/ports.ts";
import { EventCursor } from "./event-cursor.ts";
import { WaitingWatches } from "./waiting-watches.ts";
import { type Schedule, defaultSchedule } from "../clock/schedule.ts";
import type { RecordedEvent } from "../tree/recorded-event.ts";
import { matchesWatch } from "../tree/watch-rule.ts";
import type { TrieWatch } from "../tree/watcher-trie.ts";

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

/** Settings of a hub; all have defaults. */
export interface WatcherHubOptions {
  /** Runs a slice of deliveries in a later turn. Default setImmediate. */
  readonly schedule?: Schedule;
}

/** Events and deliveries, and bytes delivered, after which a slice yields. */
const SLICE_STEPS = 1000;
const SLICE_BYTES = 4 << 20;

/** live: gets events as they come. behind: reads history. paused: waits for resume(). */
type WatchState = "live" | "behind" | "paused" | "ended";

class HubWatch implements TrieWatch, WatchHandle {
  readonly path: ByteString;
  readonly recursive: boolean;
  readonly watch: Watch;
  /** First index not yet dealt with. */
  next: number;
  state: WatchState;
  readonly #hub: StoreWatcherHub;
  constructor(hub: StoreWatcherHub, watch: Watch, next: number, state: WatchState) {
    this.#hub = hub;
    this.watch = watch;
    this.path = watch.path;
    this.recursive = watch.recursive;
    this.next = next;
    this.state = state;
  }

  cancel(): void {
    this.#hub.drop(this);
  }

  resume(): void {
    this.#hub.resume(this);
  }
}

/** The hub over one state machine, or over its successors after attach(). */
export class StoreWatcherHub implements WatcherHub {
  /** Watchers of the same store that other hubs serve. */
  watchersElsewhere: () => number = () => 0;
  #source: HubSource;
  #detach: () => void;
  readonly #schedule: Schedule;
  /** The live watches, and the events that are being delivered to them. */
  readonly #live: EventCursor<HubWatch>;
  /** The replay cursor of the catch-up, and the watches it has reached. */
  readonly #catchUp = new EventCursor<HubWatch>();
  /** Watches behind the live ones that the catch-up has not reached; those it missed wait too. */
  readonly #waiting = new WaitingWatches<HubWatch>();
  readonly #paused = new Set<HubWatch>();
  /** Watches that were live and will be again when they have caught up. */
  readonly #late = new Set<HubWatch>();
  #liveScheduled = false;
  #catchUpScheduled = false;
  #closed = false;

  constructor(source: HubSource, options: WatcherHubOptions = {}) {
    this.#source = source;
    this.#schedule = options.schedule ?? defaultSchedule;
    this.#live = new EventCursor(source.history.lastIndex + 1);
    this.#detach = source.onEvents(this.#publish);
  }

  get watchers(): number {
    return this.#live.trie.size + this.#late.size + this.watchersElsewhere();
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
    if (entry.state === "live") this.#live.trie.add(entry);
    else this.#wait(entry);
    return entry;
  }

  /**
   * Goes over to another state machine, after a snapshot took the place of the old one. Watches get
   * what they missed from its history; those it cannot serve without a gap end as too slow.
   */
  attach(source: HubSource): void {
    const firstUndelivered = this.#live.position;
    this.#detach();
    this.#source = source;
    this.#detach = source.onEvents(this.#publish);
    this.#live.skipTo(source.history.lastIndex + 1);
    this.#catchUp.skipTo(this.#catchUp.position);
    for (const entry of [...this.#live.trie.values()]) {
      entry.next = Math.max(entry.next, firstUndelivered);
      if (entry.next > source.history.lastIndex) continue;
      this.#live.trie.delete(entry);
      this.#late.add(entry);
      entry.state = "behind";
      this.#wait(entry);
    }
    if (this.#hasBehind) this.#scheduleCatchUp();
  }

  close(): void {
    if (this.#closed) return;
    this.#detach();
    while (this.#live.hasEvents) this.#deliverLiveSlice();
    this.#closed = true;
    const reached = [...this.#live.trie.values(), ...this.#catchUp.trie.values()];
    const all = [...reached, ...this.#waiting.values(), ...this.#paused];
    for (const entry of all) this.#end(entry, "closed");
  }

  /** Ends a watch without telling it. */
  drop(entry: HubWatch): void {
    if (entry.state !== "ended") this.#leave(entry);
    this.#late.delete(entry);
    entry.state = "ended";
  }

  resume(entry: HubWatch): void {
    if (entry.state !== "paused") return;
    this.#paused.delete(entry);
    entry.state = "behind";
    this.#wait(entry);
  }

  get #hasBehind(): boolean {
    return this.#catchUp.trie.size > 0 || this.#waiting.size > 0;
  }

  /** Takes a watch from where its state says that it is. */
  #leave(entry: HubWatch): void {
    if (entry.state === "live") this.#live.trie.delete(entry);
    else if (entry.state === "paused") this.#paused.delete(entry);
    else if (!this.#waiting.delete(entry)) this.#catchUp.trie.delete(entry);
  }

  readonly #publish = (events: readonly RecordedEvent[]): void => {
    const { history } = this.#source;
    if (this.#live.trie.size === 0) this.#live.skipTo(history.lastIndex + 1);
    else {
      this.#live.add(events);
      this.#scheduleLive();
    }
  };

  #scheduleLive(): void {
    if (this.#liveScheduled || this.#closed) return;
    this.#liveScheduled = true;
    this.#schedule(() => {
      this.#liveScheduled = false;
      if (!this.#closed && this.#deliverLiveSlice()) this.#scheduleLive();
    });
  }

  /** One slice of delivering to the live watches. @returns Whether there is more to deliver now. */
  #deliverLiveSlice(): boolean {
    const { history } = this.#source;
    const live = this.#live;
    live.forgetBefore(history.firstIndex);
    if (!live.hasEvents && live.position <= history.lastIndex) {
      // More was published than is kept here; the history has it all, unless it is a short one.
      for (const entry of live.position < history.firstIndex ? [...live.trie.values()] : []) {
        if (entry.next < history.firstIndex) this.#end(entry, "slow");
      }
      const events = this.#read(Math.max(live.position, history.firstIndex));
      if (events === undefined) return false;
      live.take(events);
    }
    this.#deliverSlice(live, (entry, event) => this.#deliver(entry, event, "live"));
    if (live.trie.size === 0) live.skipTo(history.lastIndex + 1);
    return live.hasEvents || live.position <= history.lastIndex;
  }

  /** Delivers a slice of the events that a cursor has at hand. */
  #deliverSlice(
    cursor: EventCursor<HubWatch>,
    deliver: (entry: HubWatch, event: RecordedEvent) => boolean,
    begin?: (event: RecordedEvent) => void,
  ): void {
    let steps = 0;
    let bytes = 0;
    for (let event = cursor.current; event !== undefined; event = cursor.current) {
      steps += 1;
      if (!cursor.isMatched) {
        begin?.(event);
        cursor.match();
      }
      for (let entry = cursor.nextMatch(); entry !== undefined; entry = cursor.nextMatch()) {
        if (!deliver(entry, event)) continue;
        steps += 1;
        bytes += eventBytes(event);
        if (steps >= SLICE_STEPS || bytes >= SLICE_BYTES) return;
      }
      cursor.advance();
      if (steps >= SLICE_STEPS) return;
    }
  }

  /** @returns Whether the watch took it. */
  #deliver(entry: HubWatch, event: RecordedEvent, state: "live" | "behind"): boolean {
    // An earlier delivery of the same event may have ended it; a later one may be its first.
    if (entry.state !== state || event.etcdIndex < entry.next) return false;
    const { watch } = entry;
    const delivery = watch.deliver(event);
    // It may have ended itself meanwhile.
    if (entry.state !== state) return delivery === "taken";
    if (delivery === "later") {
      if (state === "live") this.#late.add(entry);
      entry.next = event.etcdIndex;
      this.#pause(entry);
      return false;
    }
    if (delivery === "refused") {
      this.#end(entry, "slow");
      return false;
    }
    entry.next = event.etcdIndex + 1;
    if (watch.stream) return true;
    this.drop(entry);
    watch.ended("delivered");
    return true;
  }

  #pause(entry: HubWatch): void {
    this.#leave(entry);
    entry.state = "paused";
    this.#paused.add(entry);
  }

  #end(entry: HubWatch, reason: "slow" | "closed"): void {
    if (entry.state === "ended") return;
    this.drop(entry);
    entry.watch.ended(reason);
  }

  /** Index of the first event in memory that a watch gets, else the one to come. */
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
    this.#scheduleCatchUp();
  }

  #scheduleCatchUp(): void {
    if (this.#catchUpScheduled || this.#closed) return;
    this.#catchUpScheduled = true;
    this.#schedule(() => {
      this.#catchUpScheduled = false;
      if (this.#closed || !this.#deliverCatchUpSlice()) return;
      if (this.#hasBehind) this.#scheduleCatchUp();
    });
  }

  /**
   * One slice of the catch-up over the history, which all watches behind share.
   * @returns False when the history is closed: the catch-up goes on after attach().
   */
  #deliverCatchUpSlice(): boolean {
    const { history } = this.#source;
    const catchUp = this.#catchUp;
    if (!this.#hasBehind) return true;
    // With no watch on the way the catch-up starts anew, at the watch that is furthest behind.
    const start = this.#waiting.lowest() ?? Number.MAX_SAFE_INTEGER;
    if (catchUp.trie.size === 0 && (catchUp.isMatched || catchUp.position !== start))
      catchUp.skipTo(start);
    catchUp.forgetBefore(history.firstIndex);
    this.#endOvertaken(history.firstIndex);
    if (!catchUp.hasEvents) {
      const events = this.#read(Math.max(catchUp.position, history.firstIndex));
      if (events === undefined) return false;
      catchUp.take(events);
    }
    const joinable = this.#joinable();
    this.#deliverSlice(
      catchUp,
      (entry, event) => this.#deliverCatchUp(entry, event),
      (event) => {
        this.#join(joinable, event.etcdIndex);
      },
    );
    if (!catchUp.hasEvents && catchUp.position > history.lastIndex) this.#goLive();
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

  /** @returns Whether the watch took it. */
  #deliverCatchUp(entry: HubWatch, event: RecordedEvent): boolean {
    if (!this.#deliver(entry, event, "behind")) return false;
    if (entry.state === "behind" && entry.watch.congested?.() === true) this.#pause(entry);
    return true;
  }

  /** Watches that need events which are no longer kept. */
  #endOvertaken(firstIndex: number): void {
    const catchUp = this.#catchUp;
    if (!catchUp.hasEvents && catchUp.position < firstIndex) {
      for (const entry of [...catchUp.trie.values()]) {
        if (entry.next < firstIndex) this.#end(entry, "slow");
      }
    }
    for (const entry of this.#waiting.takeBefore(firstIndex)) this.#end(entry, "slow");
  }

  /** The next of the waiting watches that this catch-up can still serve. */
  #joinable(): () => HubWatch | undefined {
    const { position, isMatched } = this.#catchUp;
    // Whom the current event concerns may have been found already.
    const from = isMatched ? position + 1 : position;
    return this.#waiting.from(from);
  }

  /** Takes in the watches whose first index has come. */
  #join(joinable: () => HubWatch | undefined, index: number): void {
    for (let entry = joinable(); entry !== undefined && entry.next <= index; entry = joinable()) {
      this.#waiting.delete(entry);
      this.#catchUp.trie.add(entry);
    }
  }

  /** The catch-up has seen everything: its watches are as far as the live ones, or further. */
  #goLive(): void {
    const { position } = this.#catchUp;
    const entries = [...this.#catchUp.trie.values()];
    const waiting = this.#waiting.from(position);
    for (let entry = waiting(); entry !== undefined; entry = waiting()) {
      this.#waiting.delete(entry);
      entries.push(entry);
    }
    const end = this.#source.history.lastIndex + 1;
    if (this.#live.trie.size === 0) this.#live.skipTo(Math.min(position, end));
    for (const entry of entries) {
      this.#leave(entry);
      this.#late.delete(entry);
      entry.next = Math.max(entry.next, position);
      entry.state = "live";
      this.#live.trie.add(entry);
    }
  }
}

/** About what an event takes as text. */
function eventBytes({ node, prevNode }: RecordedEvent): number {
  return node.key.length + (node.value?.length ?? 0) + (prevNode?.value?.length ?? 0);
}
