/**
 * The event history of a store that another thread applies to, for the watcher hub of this one: events
 * are read from the rows, up to what has been published, and no further than the first whose removed
 * names are still being listed.
 */
import type { HubHistory, HubSource } from "../events/watcher-hub.ts";
import { readEventRows, readRemovedNames } from "../events/event-rows.ts";
import { EtcdError, StoreError } from "../model/errors.ts";
import { type RecordedEvent, RemovedNames } from "../tree/recorded-event.ts";
import type { SharedStore } from "./shared-reader.ts";
import type { SharedState } from "./shared-state.ts";

/** The history that a hub reads, and what tells it that there is more. */
export class SharedHistory implements HubHistory, HubSource {
  readonly #shared: SharedState;
  readonly #current: () => SharedStore;
  #listener: ((events: readonly RecordedEvent[]) => void) | undefined;
  #isHeldUp = false;

  constructor(shared: SharedState, current: () => SharedStore) {
    this.#shared = shared;
    this.#current = current;
  }

  get history(): HubHistory {
    return this;
  }

  get firstIndex(): number {
    return this.#shared.historyFirst;
  }

  get lastIndex(): number {
    return this.#shared.historyLast;
  }

  onEvents(listener: (events: readonly RecordedEvent[]) => void): () => void {
    this.#listener = listener;
    return () => {
      if (this.#listener === listener) this.#listener = undefined;
    };
  }

  /**
   * Something was published.
   * @returns Whether reading had to stop for it: the hub is to attach itself anew.
   */
  changed(): boolean {
    const wasHeldUp = this.#isHeldUp;
    this.#isHeldUp = false;
    this.#listener?.([]);
    return wasHeldUp;
  }

  /** Reading always touches rows. */
  inMemory(): boolean {
    return false;
  }

  /** @throws StoreError closed while what follows cannot be read yet; EtcdError 401. */
  read(since: number): readonly RecordedEvent[] {
    const last = this.lastIndex;
    if (since > last) return [];
    if (since < this.firstIndex) throw this.cleared(since);
    const end = Math.min(last, this.#shared.unlistedFrom - 1);
    if (since > end) throw this.#heldUp();
    const { kv } = this.#current();
    const events = readEventRows(kv, since, (index, directory) =>
      RemovedNames.lazy(() => readRemovedNames(kv, index, directory)),
    );
    if (events[0]?.etcdIndex !== since) {
      // The thread that applies may have taken them away meanwhile: the hub then looks again.
      if (since < this.firstIndex) return [];
      throw new StoreError("corrupt", `the event history lacks index ${since}`);
    }
    return events.filter(({ etcdIndex }) => etcdIndex <= end);
  }

  cleared(since: number): EtcdError {
    const cause = `the requested history has been cleared [${this.firstIndex}/${since}]`;
    return new EtcdError(401, cause, this.lastIndex);
  }

  #heldUp(): StoreError {
    this.#isHeldUp = true;
    return new StoreError("closed", "the names that were removed are being listed");
  }
}
