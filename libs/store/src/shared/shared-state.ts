/**
 * How far the store has come, in memory that the threads of a process share: one of them writes it
 * as it applies, the others read it. Every number is whole: none is seen half written. Knows
 * neither rows nor threads.
 */

/** Where each number lies; those of the readers come last. */
const FIELD = {
  etcdIndex: 0,
  raftIndex: 1,
  raftTerm: 2,
  historyFirst: 3,
  historyLast: 4,
  unlistedFrom: 5,
  readsSucceeded: 6,
  readsFailed: 7,
} as const;

const NUMBERS_BYTES = 8 * Object.keys(FIELD).length;

/** A change that takes longer has met a slow disk; the readers look again. */
const CHANGE_WAIT_MS = 10;

/** What is published with every batch. */
export interface Progress {
  readonly etcdIndex: number;
  readonly raftIndex: number;
  readonly raftTerm: number;
  /** Oldest and newest index of the history. */
  readonly historyFirst: number;
  readonly historyLast: number;
  /** Index of the first event whose removed names are not all stored yet. */
  readonly unlistedFrom: number;
}

/** Numbers in shared memory, and an epoch that says when they, or the rows, change their meaning. */
export class SharedState {
  /** What another thread makes its own view of. */
  readonly buffer: SharedArrayBuffer;
  /** Called after every publication, on the thread that publishes. */
  onPublished: (() => void) | undefined;
  readonly #numbers: BigInt64Array;
  /** Odd while a change is under way. */
  readonly #epoch: Int32Array;

  constructor(buffer = new SharedArrayBuffer(NUMBERS_BYTES + 8)) {
    this.buffer = buffer;
    this.#numbers = new BigInt64Array(buffer, 0, Object.keys(FIELD).length);
    this.#epoch = new Int32Array(buffer, NUMBERS_BYTES, 1);
  }

  get etcdIndex(): number {
    return this.#get(FIELD.etcdIndex);
  }

  get raftIndex(): number {
    return this.#get(FIELD.raftIndex);
  }

  get raftTerm(): number {
    return this.#get(FIELD.raftTerm);
  }

  get historyFirst(): number {
    return this.#get(FIELD.historyFirst);
  }

  set historyFirst(index: number) {
    this.#set(FIELD.historyFirst, index);
  }

  get historyLast(): number {
    return this.#get(FIELD.historyLast);
  }

  get unlistedFrom(): number {
    return this.#get(FIELD.unlistedFrom);
  }

  /** Makes what a batch has written known; call it when the batch is written. */
  publish(progress: Progress): void {
    this.#set(FIELD.historyFirst, progress.historyFirst);
    this.#set(FIELD.raftIndex, progress.raftIndex);
    this.#set(FIELD.raftTerm, progress.raftTerm);
    this.#set(FIELD.unlistedFrom, progress.unlistedFrom);
    this.#set(FIELD.historyLast, progress.historyLast);
    this.#set(FIELD.etcdIndex, progress.etcdIndex);
    this.onPublished?.();
  }

  /** What rows mean changes with the next batch: readers wait until endChange(). */
  beginChange(): void {
    Atomics.add(this.#epoch, 0, 1);
  }

  endChange(): void {
    Atomics.add(this.#epoch, 0, 1);
    Atomics.notify(this.#epoch, 0);
  }

  /** The epoch, once no change is under way. Blocks the thread meanwhile: not for the one that publishes. */
  settledEpoch(): number {
    for (;;) {
      const epoch = Atomics.load(this.#epoch, 0);
      if ((epoch & 1) === 0) return epoch;
      Atomics.wait(this.#epoch, 0, epoch, CHANGE_WAIT_MS);
    }
  }

  /** Whether nothing has changed its meaning since that epoch. */
  isStill(epoch: number): boolean {
    return Atomics.load(this.#epoch, 0) === epoch;
  }

  /** Counts reads that this thread answered. */
  countReads(succeeded: number, failed: number): void {
    if (succeeded > 0) Atomics.add(this.#numbers, FIELD.readsSucceeded, BigInt(succeeded));
    if (failed > 0) Atomics.add(this.#numbers, FIELD.readsFailed, BigInt(failed));
  }

  /** The reads counted since the last call. */
  takeReads(): { readonly succeeded: number; readonly failed: number } {
    return {
      succeeded: Number(Atomics.exchange(this.#numbers, FIELD.readsSucceeded, 0n)),
      failed: Number(Atomics.exchange(this.#numbers, FIELD.readsFailed, 0n)),
    };
  }

  #get(field: number): number {
    return Number(Atomics.load(this.#numbers, field));
  }

  #set(field: number, value: number): void {
    Atomics.store(this.#numbers, field, BigInt(value));
  }
}
