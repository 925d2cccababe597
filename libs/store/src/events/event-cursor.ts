/**
 * A replay cursor: a place in the stream of events, the events at hand from there on, and the watches
 * that get them: the event under way, and which of the watches that it matches it has still to reach.
 * So delivering can stop anywhere and go on in a later turn. Delivers nothing itself.
 */
import type { RecordedEvent } from "../tree/recorded-event.ts";
import { type TrieWatch, WatcherTrie } from "../tree/watcher-trie.ts";

/** Bytes of values after which further events are left to the history. */
const KEPT_BYTES_MAX = 16 << 20;

/** What an event takes beside its values. */
const EVENT_OVERHEAD_BYTES = 300;

function keptBytes({ node, prevNode }: RecordedEvent): number {
  const values = (node.value?.length ?? 0) + (prevNode?.value?.length ?? 0);
  return EVENT_OVERHEAD_BYTES + node.key.length + values;
}

/** The cursor, with the watches it serves in `trie`. */
export class EventCursor<W extends TrieWatch> {
  readonly trie = new WatcherTrie<W>();
  /** The first index that has not been delivered to every watch. */
  #position: number;
  /** Consecutive events, the current one at `#at`; those before it are done with. */
  #events: RecordedEvent[] = [];
  #at = 0;
  #bytes = 0;
  /** What is at hand was read from the history and not handed over by who made it. */
  #isRead = false;
  /** Whom events concern that were asked at once, because they may not be able to tell later. */
  readonly #found = new Map<RecordedEvent, readonly W[]>();
  readonly #matches: W[] = [];
  #matchAt = 0;
  #isMatched = false;

  constructor(position = 0) {
    this.#position = position;
  }

  get position(): number {
    return this.#position;
  }

  get hasEvents(): boolean {
    return this.#at < this.#events.length;
  }

  /** The event under way; undefined when there is none at hand. */
  get current(): RecordedEvent | undefined {
    return this.#events[this.#at];
  }

  /** Whether it is known whom the current event concerns. */
  get isMatched(): boolean {
    return this.#isMatched;
  }

  /** Finds whom the current event concerns. */
  match(): void {
    const { current } = this;
    if (current !== undefined) {
      const found = this.#found.get(current);
      if (found === undefined) this.trie.match(current, this.#matches);
      else for (const watch of found) this.#matches.push(watch);
      this.#found.delete(current);
    }
    this.#isMatched = true;
  }

  /** The next watch that the current event has to reach. It may have left since. */
  nextMatch(): W | undefined {
    const match = this.#matches[this.#matchAt];
    if (match !== undefined) this.#matchAt += 1;
    return match;
  }

  /** The current event has reached everybody. */
  advance(): void {
    const { current } = this;
    if (current !== undefined) {
      this.#position = current.etcdIndex + 1;
      this.#bytes -= keptBytes(current);
      this.#at += 1;
    }
    this.#forgetMatches();
    if (!this.hasEvents) this.#clear();
  }

  /** Goes on with these events, where none are at hand. */
  take(events: readonly RecordedEvent[]): void {
    this.#clear();
    const [first] = events;
    if (first !== undefined) this.#position = first.etcdIndex;
    this.#isRead = true;
    this.#push(events);
  }

  /** Adds new events where they follow those at hand and there is room for them. */
  add(events: readonly RecordedEvent[]): void {
    const end = this.hasEvents ? (this.#events.at(-1)?.etcdIndex ?? 0) + 1 : this.#position;
    if (events[0]?.etcdIndex !== end) return;
    if (this.hasEvents && this.#bytes >= KEPT_BYTES_MAX) return;
    this.#push(events);
    for (const event of events) {
      if (event.removed === undefined) continue;
      // A short history may have lost the names that were removed by the time they are asked for.
      const found: W[] = [];
      this.trie.match(event, found);
      this.#found.set(event, found);
    }
  }

  /**
   * Lets go of events that the history no longer has: the names that a removed directory had are
   * looked up there when they are needed.
   */
  forgetBefore(firstIndex: number): void {
    if (this.#isRead && this.hasEvents && this.#position < firstIndex) this.skipTo(this.#position);
  }

  /** Leaves out everything before an index, and what is at hand. */
  skipTo(position: number): void {
    this.#clear();
    this.#forgetMatches();
    this.#position = position;
  }

  #push(events: readonly RecordedEvent[]): void {
    for (const event of events) {
      this.#events.push(event);
      this.#bytes += keptBytes(event);
    }
  }

  #clear(): void {
    this.#events = [];
    this.#at = 0;
    this.#bytes = 0;
    this.#isRead = false;
    this.#found.clear();
  }

  #forgetMatches(): void {
    this.#matches.length = 0;
    this.#matchAt = 0;
    this.#isMatched = false;
  }
}
