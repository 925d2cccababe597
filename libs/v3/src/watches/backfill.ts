/**
 * One watcher that wants events from before the ring: a watch of its own upstream, from its revision on,
 * until it has caught up and joins the others. Pauses when its client is slow by giving the upstream
 * watch up and beginning another where it was.
 */
import { matchesWatch, type RecordedEvent, type Watch } from "@etcd2/store";
import { RangeWatch } from "../client/watch.ts";
import type { V3Client } from "../client/v3-client.ts";
import type { KeySpace } from "../mapping/key-space.ts";
import { translate } from "../mapping/translate.ts";

export interface BackfillOptions {
  readonly client: V3Client;
  readonly space: KeySpace;
  readonly watch: Watch;
  /** First revision of interest. */
  readonly from: number;
  /** Revision from which on the shared events suffice; called before and while it runs. */
  readonly sharedFrom: () => number;
  /** The watch goes on with the shared events from this revision on. */
  onCaughtUp(revision: number): void;
  /** It is over: delivered, refused, or its history is gone. */
  onOver(): void;
}

export class Backfill {
  readonly #options: BackfillOptions;
  #upstream: RangeWatch | undefined;
  #next: number;
  /** Events that wait for the client. */
  #waiting: RecordedEvent[] = [];
  #isPaused = false;
  #isOver = false;

  constructor(options: BackfillOptions) {
    this.#options = options;
    this.#next = options.from;
    this.#start();
  }

  cancel(): void {
    this.#isOver = true;
    this.#upstream?.close();
  }

  /** The receiver has room again. */
  resume(): void {
    if (!this.#isPaused || this.#isOver) return;
    this.#isPaused = false;
    this.#deliver();
    if (this.#goesOn()) this.#start();
  }

  #goesOn(): boolean {
    return !this.#isPaused && !this.#isOver;
  }

  #start(): void {
    const { client, space, sharedFrom } = this.#options;
    if (this.#next >= sharedFrom()) {
      this.#handOver();
      return;
    }
    const { key, rangeEnd } = space.everything;
    this.#upstream = new RangeWatch({
      client,
      key,
      rangeEnd,
      fromRevision: this.#next,
      onChanges: (changes) => {
        if (!this.#goesOn()) return;
        const { events } = translate(changes, space, Date.now());
        this.#next = changes.revision + 1;
        for (const event of events) {
          if (matchesWatch(this.#options.watch, event)) this.#waiting.push(event);
        }
        this.#deliver();
        if (this.#goesOn() && this.#next >= sharedFrom()) this.#handOver();
      },
      onProgress: (revision) => {
        if (!this.#goesOn()) return;
        this.#next = Math.max(this.#next, revision + 1);
        if (this.#next >= sharedFrom()) this.#handOver();
      },
      onEnd: () => {
        this.#end();
        this.#options.watch.ended("slow");
      },
    });
  }

  #deliver(): void {
    const { watch } = this.#options;
    for (let event = this.#waiting[0]; event !== undefined; event = this.#waiting[0]) {
      const delivery = watch.deliver(event);
      if (this.#isOver) return;
      if (delivery === "later") {
        this.#pause();
        return;
      }
      this.#waiting.shift();
      if (delivery === "refused") {
        this.#end();
        watch.ended("slow");
        return;
      }
      if (!watch.stream) {
        this.#end();
        watch.ended("delivered");
        return;
      }
      if (watch.congested?.() === true) {
        this.#pause();
        return;
      }
    }
  }

  #pause(): void {
    this.#isPaused = true;
    this.#upstream?.close();
    this.#upstream = undefined;
  }

  #handOver(): void {
    this.#end();
    this.#options.onCaughtUp(this.#next);
  }

  #end(): void {
    this.#isOver = true;
    this.#upstream?.close();
    this.#options.onOver();
  }
}
