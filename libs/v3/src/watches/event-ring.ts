/**
 * The newest events of the watched range in memory, numbered one by one: a revision may hold several
 * events or none, while the watcher hub wants one number for each. Owns which revisions it covers.
 */
import { EtcdError, type HubHistory, type HubSource, type RecordedEvent } from "@etcd2/store";

export interface EventRingOptions {
  /** Default 10,000. */
  readonly eventsMax?: number;
  /** Default 8 MiB. */
  readonly bytesMax?: number;
}

const EVENTS_MAX = 10_000;
const BYTES_MAX = 8 << 20;
const EVENT_BYTES = 300;
const SLICE_EVENTS = 256;

type Listener = (events: readonly RecordedEvent[]) => void;

export class EventRing implements HubSource, HubHistory {
  readonly history: HubHistory = this;
  readonly #eventsMax: number;
  readonly #bytesMax: number;
  readonly #listeners = new Set<Listener>();
  /** Slots before #start are given up. */
  #events: RecordedEvent[] = [];
  #start = 0;
  #bytes = 0;
  #lastIndex = 0;
  /** First revision from which on every event is here. */
  #coveredFrom: number;
  /** Everything up to here has been seen. */
  #revision: number;

  /** @param from First revision that will be added. */
  constructor(
    from: number,
    { eventsMax = EVENTS_MAX, bytesMax = BYTES_MAX }: EventRingOptions = {},
  ) {
    this.#coveredFrom = from;
    this.#revision = from - 1;
    this.#eventsMax = eventsMax;
    this.#bytesMax = bytesMax;
  }

  get firstIndex(): number {
    return this.#lastIndex - (this.#events.length - this.#start) + 1;
  }

  get lastIndex(): number {
    return this.#lastIndex;
  }

  get coveredFrom(): number {
    return this.#coveredFrom;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Number of the first event at or after a covered revision; that of the next event if there is none yet. */
  indexFrom(revision: number): number {
    let low = this.#start;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const at = this.#events[middle]?.node.modifiedIndex ?? 0;
      if (at < revision) low = middle + 1;
      else high = middle;
    }
    return this.firstIndex + low - this.#start;
  }

  read(since: number): readonly RecordedEvent[] {
    const from = this.#start + since - this.firstIndex;
    return this.#events.slice(Math.max(this.#start, from), from + SLICE_EVENTS);
  }

  inMemory(): boolean {
    return true;
  }

  cleared(since: number): EtcdError {
    const cause = `the requested history has been cleared [${this.#coveredFrom}/${since}]`;
    return new EtcdError(401, cause, this.#revision);
  }

  onEvents(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Adds the events of one revision, which may be none. */
  add(revision: number, events: readonly RecordedEvent[]): void {
    this.#revision = Math.max(this.#revision, revision);
    if (events.length === 0) return;
    const numbered = events.map((event) => ({ ...event, etcdIndex: ++this.#lastIndex }));
    for (const event of numbered) {
      this.#events.push(event);
      this.#bytes += sizeOf(event);
    }
    this.#trim();
    for (const listener of this.#listeners) listener(numbered);
  }

  #trim(): void {
    while (
      this.#events.length - this.#start > this.#eventsMax ||
      (this.#bytes > this.#bytesMax && this.#events.length - this.#start > 1)
    ) {
      const oldest = this.#events[this.#start];
      if (oldest === undefined) break;
      this.#bytes -= sizeOf(oldest);
      this.#coveredFrom = oldest.node.modifiedIndex + 1;
      this.#start += 1;
    }
    if (this.#start > this.#eventsMax) {
      this.#events = this.#events.slice(this.#start);
      this.#start = 0;
    }
  }
}

function sizeOf({ node, prevNode, removed }: RecordedEvent): number {
  const names = removed?.paths?.length ?? 0;
  return (
    EVENT_BYTES +
    node.key.length +
    (node.value?.length ?? 0) +
    (prevNode?.value?.length ?? 0) +
    names * (node.key.length + 40)
  );
}
