/**
 * All waits for events: live ones, which are told of events as they come, and those from a past index
 * or with a receiver that had no room, in a shared pass over the history that ends by joining them to
 * the live ones, without a gap and without a repeat. Nobody is told in the turn in which an event
 * is made, so that whoever made it has its answer first; and a turn tells no more than a slice.
 * Matching is in tree/; sockets and text are the gateway's.
 */
import type { ByteString } from "../model/byte-string.ts";
import { type EtcdError, StoreError } from "../model/errors.ts";
import type { Watch, WatchHandle, WatcherHub } from "../model/ports.ts";
import { EventReading } from "./event-cursor.ts";
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

export interface WatcherHubOptions {
  /** Runs a slice of telling in a later turn. Default setImmediate. */
  readonly schedule?: Schedule;
}

/** Events and deliveries, and bytes delivered, after which a slice yields. */
const SLICE_STEPS = 1000;
const SLICE_BYTES = 4 << 20;

/** live: told of events as they come. behind: reads history. paused: waits for resume(). */
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
  /** The live watches, and what they are being told. */
  readonly #live: EventReading<HubWatch>;
  /** The watches that the pass over the history has reached. */
  readonly #pass = new EventReading<HubWatch>();
  /** Watches behind the live ones that the pass has not reached; those it missed wait too. */
  readonly #waiting = new Set<HubWatch>();
  readonly #paused = new Set<HubWatch>();
  /** Watches that were live and will be again when they have caught up. */
  readonly #late = new Set<HubWatch>();
  #liveScheduled = false;
  #passScheduled = false;
  #closed = false;

  constructor(source: HubSource, options: WatcherHubOptions = {}) {
    this.#source = source;
    this.#schedule = options.schedule ?? defaultSchedule;
    this.#live = new EventReading(source.history.lastIndex + 1);
    this.#detach = source.onEvents(this.#publish);
  }

  get watchers(): number {
    return this.#live.trie.size + this.#late.size;
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
    if (entry.standing === "live") this.#live.trie.add(entry);
    else this.#wait(entry);
    return entry;
  }

  /**
   * Goes over to another state machine, after a snapshot took the place of the old one. Watches get
   * what they missed from its history; those it cannot serve without a gap end as too slow.
   */
  attach(source: HubSource): void {
    const untold = this.#live.position;
    this.#detach();
    this.#source = source;
    this.#detach = source.onEvents(this.#publish);
    this.#live.skipTo(source.history.lastIndex + 1);
    this.#pass.skipTo(this.#pass.position);
    for (const entry of [...this.#live.trie.values()]) {
      entry.next = Math.max(entry.next, untold);
      if (entry.next > source.history.lastIndex) continue;
      this.#live.trie.delete(entry);
      this.#late.add(entry);
      entry.standing = "behind";
      this.#wait(entry);
    }
    if (this.#hasBehind) this.#schedulePass();
  }

  close(): void {
    if (this.#closed) return;
    this.#detach();
    while (this.#live.hasEvents) this.#tellLive();
    this.#closed = true;
    const passing = [...this.#live.trie.values(), ...this.#pass.trie.values()];
    const all = [...passing, ...this.#waiting, ...this.#paused];
    for (const entry of all) this.#end(entry, "closed");
  }

  /** Ends a watch without telling it. */
  drop(entry: HubWatch): void {
    if (entry.standing !== "ended") this.#leave(entry);
    this.#late.delete(entry);
    entry.standing = "ended";
  }

  resume(entry: HubWatch): void {
    if (entry.standing !== "paused") return;
    this.#paused.delete(entry);
    entry.standing = "behind";
    this.#wait(entry);
  }

  get #hasBehind(): boolean {
    return this.#pass.trie.size > 0 || this.#waiting.size > 0;
  }

  /** Takes a watch from where its standing has it. */
  #leave(entry: HubWatch): void {
    if (entry.standing === "live") this.#live.trie.delete(entry);
    else if (entry.standing === "paused") this.#paused.delete(entry);
    else if (!this.#waiting.delete(entry)) this.#pass.trie.delete(entry);
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
      if (!this.#closed && this.#tellLive()) this.#scheduleLive();
    });
  }

  /** One slice of telling the live watches. @returns Whether there is more to tell now. */
  #tellLive(): boolean {
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
    this.#tell(live, (entry, event) => this.#deliver(entry, event, "live"));
    if (live.trie.size === 0) live.skipTo(history.lastIndex + 1);
    return live.hasEvents || live.position <= history.lastIndex;
  }

  /** Tells a slice of what a reading has at hand. */
  #tell(
    reading: EventReading<HubWatch>,
    deliver: (entry: HubWatch, event: RecordedEvent) => boolean,
    begin?: (event: RecordedEvent) => void,
  ): void {
    let steps = 0;
    let bytes = 0;
    for (let event = reading.current; event !== undefined; event = reading.current) {
      steps += 1;
      if (!reading.isMatched) {
        begin?.(event);
        reading.match();
      }
      for (let entry = reading.nextMatch(); entry !== undefined; entry = reading.nextMatch()) {
        if (!deliver(entry, event)) continue;
        steps += 1;
        bytes += eventBytes(event);
        if (steps >= SLICE_STEPS || bytes >= SLICE_BYTES) return;
      }
      reading.advance();
      if (steps >= SLICE_STEPS) return;
    }
  }

  /** @returns Whether the watch was told. */
  #deliver(entry: HubWatch, event: RecordedEvent, standing: "live" | "behind"): boolean {
    // An earlier delivery of the same event may have ended it; a later one may be its first.
    if (entry.standing !== standing || event.etcdIndex < entry.next) return false;
    const { watch } = entry;
    const delivery = watch.deliver(event);
    // It may have ended itself meanwhile.
    if (entry.standing !== standing) return delivery === "taken";
    if (delivery === "later") {
      if (standing === "live") this.#late.add(entry);
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
    entry.standing = "paused";
    this.#paused.add(entry);
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
    this.#schedulePass();
  }

  #schedulePass(): void {
    if (this.#passScheduled || this.#closed) return;
    this.#passScheduled = true;
    this.#schedule(() => {
      this.#passScheduled = false;
      if (this.#closed || !this.#tellBehind()) return;
      if (this.#hasBehind) this.#schedulePass();
    });
  }

  /**
   * One slice of the pass over the history that all watches behind share.
   * @returns False when the history is closed: the pass goes on after attach().
   */
  #tellBehind(): boolean {
    const { history } = this.#source;
    const pass = this.#pass;
    if (!this.#hasBehind) return true;
    // With nobody on the way the pass starts anew, at the watch that is furthest behind.
    const start = this.#furthestBehind();
    if (pass.trie.size === 0 && (pass.isMatched || pass.position !== start)) pass.skipTo(start);
    pass.forgetBefore(history.firstIndex);
    this.#endOvertaken(history.firstIndex);
    if (!pass.hasEvents) {
      const events = this.#read(Math.max(pass.position, history.firstIndex));
      if (events === undefined) return false;
      pass.take(events);
    }
    const boarding = this.#boarding();
    this.#tell(
      pass,
      (entry, event) => this.#deliverBehind(entry, event),
      (event) => {
        this.#board(boarding, event.etcdIndex);
      },
    );
    if (!pass.hasEvents && pass.position > history.lastIndex) this.#joinLive();
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

  /** @returns Whether the watch was told. */
  #deliverBehind(entry: HubWatch, event: RecordedEvent): boolean {
    if (!this.#deliver(entry, event, "behind")) return false;
    if (entry.standing === "behind" && entry.watch.congested?.() === true) this.#pause(entry);
    return true;
  }

  #furthestBehind(): number {
    let position = Number.MAX_SAFE_INTEGER;
    for (const entry of this.#waiting) position = Math.min(position, entry.next);
    return position;
  }

  /** Watches that need events which are no longer kept. */
  #endOvertaken(firstIndex: number): void {
    const pass = this.#pass;
    if (!pass.hasEvents && pass.position < firstIndex) {
      for (const entry of [...pass.trie.values()]) {
        if (entry.next < firstIndex) this.#end(entry, "slow");
      }
    }
    for (const entry of this.#waiting) if (entry.next < firstIndex) this.#end(entry, "slow");
  }

  /** Waiting watches that this pass can still serve, the next to board last. */
  #boarding(): HubWatch[] {
    const { position, isMatched } = this.#pass;
    // Whom the current event concerns may have been found already.
    const from = isMatched ? position + 1 : position;
    const entries = [...this.#waiting].filter((entry) => entry.next >= from);
    return entries.sort((a, b) => b.next - a.next);
  }

  /** Takes up the watches whose first index has come. */
  #board(boarding: HubWatch[], index: number): void {
    for (let entry = boarding.at(-1); entry !== undefined && entry.next <= index;) {
      boarding.pop();
      if (this.#waiting.delete(entry)) this.#pass.trie.add(entry);
      entry = boarding.at(-1);
    }
  }

  /** The pass has seen everything: whoever took part is as far as the live ones, or further. */
  #joinLive(): void {
    const { position } = this.#pass;
    const entries = [...this.#pass.trie.values()];
    for (const entry of this.#waiting) if (entry.next >= position) entries.push(entry);
    const end = this.#source.history.lastIndex + 1;
    if (this.#live.trie.size === 0) this.#live.skipTo(Math.min(position, end));
    for (const entry of entries) {
      this.#leave(entry);
      this.#late.delete(entry);
      entry.next = Math.max(entry.next, position);
      entry.standing = "live";
      this.#live.trie.add(entry);
    }
  }
}

/** About what an event takes as text. */
function eventBytes({ node, prevNode }: RecordedEvent): number {
  return node.key.length + (node.value?.length ?? 0) + (prevNode?.value?.length ?? 0);
}
