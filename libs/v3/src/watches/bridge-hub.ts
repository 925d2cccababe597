/**
 * The waits of all clients of a bridge, by revision: those from now on and from the recent past are
 * served from one ring, those from a revision that is yet to come wait for it, those from further back
 * catch up by themselves first.
 */
import { StoreWatcherHub, type Watch, type WatchHandle, type WatcherHub } from "@etcd2/store";
import type { V3Client } from "../client/v3-client.ts";
import type { KeySpace } from "../mapping/key-space.ts";
import { Backfill } from "./backfill.ts";
import type { EventRing } from "./event-ring.ts";
import type { Horizon } from "../upstream/horizon.ts";

export interface BridgeHubOptions {
  readonly client: V3Client;
  readonly space: KeySpace;
  readonly horizon: Horizon;
  readonly ring: EventRing;
}

/** Watches that may catch up at one time; others wait for their turn. */
const BACKFILLS_MAX = 16;

/** One wait, wherever it stands. */
class Waiter implements WatchHandle {
  readonly watch: Watch;
  /** First revision it is to be told of. */
  from: number;
  handle: WatchHandle | undefined;
  isOver = false;
  readonly #hub: BridgeHub;

  constructor(hub: BridgeHub, watch: Watch, from: number) {
    this.#hub = hub;
    this.watch = watch;
    this.from = from;
  }

  cancel(): void {
    this.isOver = true;
    this.handle?.cancel();
    this.#hub.forget(this);
  }

  resume(): void {
    this.handle?.resume();
  }
}

export class BridgeHub implements WatcherHub {
  readonly #options: BridgeHubOptions;
  #ring: EventRing;
  #shared: StoreWatcherHub;
  /** Those that wait for a revision to come. */
  readonly #early = new Set<Waiter>();
  readonly #catchingUp = new Set<Waiter>();
  readonly #queue: Waiter[] = [];
  #isClosed = false;

  constructor(options: BridgeHubOptions) {
    this.#options = options;
    this.#ring = options.ring;
    this.#shared = new StoreWatcherHub(options.ring);
  }

  get watchers(): number {
    return this.#shared.watchers + this.#early.size + this.#catchingUp.size + this.#queue.length;
  }

  /** First revision that is served without asking upstream. */
  get coveredFrom(): number {
    return this.#ring.coveredFrom;
  }

  watch(watch: Watch): WatchHandle {
    const from = watch.sinceIndex === 0 ? this.#options.horizon.revision + 1 : watch.sinceIndex;
    const waiter = new Waiter(this, watch, from);
    if (this.#isClosed) {
      setImmediate(() => {
        watch.ended("closed");
      });
    } else if (from > this.#ring.revision + 1) this.#early.add(waiter);
    else if (from >= this.#ring.coveredFrom) this.#join(waiter);
    else {
      this.#queue.push(waiter);
      setImmediate(() => {
        this.#catchUp();
      });
    }
    return waiter;
  }

  /** Takes up those that have waited for a revision; to be called before its events are added. */
  reached(revision: number): void {
    for (const waiter of this.#early) {
      if (waiter.from > revision) continue;
      this.#early.delete(waiter);
      this.#join(waiter);
    }
  }

  /** Begins with another ring: there is a gap, which ends all waits that stand on the old one. */
  restart(ring: EventRing): void {
    const old = this.#shared;
    this.#ring = ring;
    this.#shared = new StoreWatcherHub(ring);
    old.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#shared.close();
    for (const waiter of [...this.#early, ...this.#catchingUp, ...this.#queue]) {
      waiter.handle?.cancel();
      waiter.watch.ended("closed");
    }
    this.#early.clear();
    this.#catchingUp.clear();
    this.#queue.length = 0;
  }

  /** The wait is over. */
  forget(waiter: Waiter): void {
    this.#early.delete(waiter);
    if (this.#catchingUp.delete(waiter)) this.#catchUp();
    const at = this.#queue.indexOf(waiter);
    if (at >= 0) this.#queue.splice(at, 1);
  }

  #join(waiter: Waiter): void {
    const { watch, from } = waiter;
    if (from < this.#ring.coveredFrom) {
      // It fell behind again while it changed over.
      this.#queue.push(waiter);
      this.#catchUp();
      return;
    }
    const sinceIndex = this.#ring.indexFrom(from);
    waiter.handle = this.#shared.watch({
      path: watch.path,
      recursive: watch.recursive,
      stream: watch.stream,
      sinceIndex,
      deliver: (event) => watch.deliver(event),
      congested: () => watch.congested?.() === true,
      ended: (reason) => {
        watch.ended(reason);
      },
    });
  }

  #catchUp(): void {
    while (!this.#isClosed && this.#catchingUp.size < BACKFILLS_MAX) {
      const waiter = this.#queue.shift();
      if (waiter === undefined) return;
      if (waiter.from >= this.#ring.coveredFrom) {
        this.#join(waiter);
        continue;
      }
      this.#catchingUp.add(waiter);
      const { client, space } = this.#options;
      waiter.handle = new Backfill({
        client,
        space,
        watch: waiter.watch,
        from: waiter.from,
        sharedFrom: () => this.#ring.coveredFrom,
        onCaughtUp: (revision) => {
          if (waiter.isOver || this.#isClosed) return;
          waiter.from = revision;
          if (revision > this.#ring.revision + 1) this.#early.add(waiter);
          else this.#join(waiter);
        },
        onOver: () => {
          this.#catchingUp.delete(waiter);
          setImmediate(() => {
            this.#catchUp();
          });
        },
      });
    }
  }
}
