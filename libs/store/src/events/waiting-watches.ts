/**
 * Watches that wait for a catch-up to come to their first index, in the order of these: a slice of the
 * catch-up costs by the watches it takes in, not by those that wait. Knows no history and tells nobody.
 */

/** What can wait. Its index stays as it is while it does. */
export interface WaitingWatch {
  /** First index that is wanted. */
  readonly next: number;
}

/** One stay; a watch that went and came back has another. */
interface Stay<W> {
  readonly entry: W;
  readonly next: number;
}

/** Stays that are over are dropped from the list when there are so many more than others. */
const SPARE_MIN = 64;

/** The waiting watches. */
export class WaitingWatches<W extends WaitingWatch> {
  readonly #stays = new Map<W, Stay<W>>();
  /** By index, the lowest last; those that are over are passed over. */
  #ordered: Stay<W>[] = [];
  /** Came since the list was put in order. */
  #arrived: Stay<W>[] = [];

  get size(): number {
    return this.#stays.size;
  }

  add(entry: W): void {
    const stay = { entry, next: entry.next };
    this.#stays.set(entry, stay);
    this.#arrived.push(stay);
  }

  /** @returns Whether it waited. */
  delete(entry: W): boolean {
    return this.#stays.delete(entry);
  }

  /** All of them, in no order. */
  values(): IterableIterator<W> {
    return this.#stays.keys();
  }

  /** The lowest index that is waited for; undefined when nobody waits. */
  lowest(): number | undefined {
    const ordered = this.#order();
    let last = ordered.at(-1);
    while (last !== undefined && !this.#isOpen(last)) {
      ordered.pop();
      last = ordered.at(-1);
    }
    return last?.next;
  }

  /** Takes out whoever waits for an index before this one, the lowest first. */
  *takeBefore(index: number): Generator<W> {
    for (let low = this.lowest(); low !== undefined && low < index; low = this.lowest()) {
      const stay = this.#ordered.pop();
      if (stay === undefined) return;
      this.#stays.delete(stay.entry);
      yield stay.entry;
    }
  }

  /**
   * Those who wait for an index from this one on, the lowest first: each call of the result shows the
   * same one until it waits no longer, then the next. Who comes later is left out.
   */
  from(index: number): () => W | undefined {
    const ordered = this.#order();
    let low = 0;
    let high = ordered.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const stay = ordered[middle];
      if (stay !== undefined && stay.next >= index) low = middle + 1;
      else high = middle;
    }
    let at = low - 1;
    return () => {
      for (; at >= 0; at--) {
        const stay = ordered[at];
        if (stay !== undefined && this.#isOpen(stay)) return stay.entry;
      }
      return undefined;
    };
  }

  #isOpen(stay: Stay<W>): boolean {
    return this.#stays.get(stay.entry) === stay;
  }

  #order(): Stay<W>[] {
    const isSpare = this.#ordered.length > 2 * this.#stays.size + SPARE_MIN;
    if (this.#arrived.length === 0 && !isSpare) return this.#ordered;
    const all = [...this.#ordered, ...this.#arrived].filter((stay) => this.#isOpen(stay));
    this.#arrived = [];
    this.#ordered = all.sort((a, b) => b.next - a.next);
    return this.#ordered;
  }
}
