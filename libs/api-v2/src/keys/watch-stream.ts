/**
 * One watch over one response: long poll or stream. Sends the headers at once, each event as one
 * chunk, and bounds what waits for a client: one that is late gets its events later, from the
 * history. Matching and order are the hub's.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type {
  ByteString,
  Delivery,
  StoreEvent,
  Watch,
  WatchHandle,
  WatcherHub,
} from "@etcd2/store";
import type { FlatHeaders } from "../http/answer.ts";
import type { BudgetedWatch, WatchBudget } from "./watch-budget.ts";
import { WATCH_QUEUE_BYTES_MAX } from "../ports/limits.ts";
import { sharedEventText } from "../json/event-json.ts";

/** What is watched, from the request. */
export interface WatchTarget {
  readonly path: ByteString;
  readonly recursive: boolean;
  readonly sinceIndex: number;
  readonly stream: boolean;
}

/** What watches share. */
export interface WatchHost {
  readonly hub: WatcherHub;
  readonly budget: WatchBudget;
}

/** One watch: takes events from the hub and writes them as far as the client reads. */
export class WatchStream implements Watch, BudgetedWatch {
  readonly path: ByteString;
  readonly recursive: boolean;
  readonly sinceIndex: number;
  readonly stream: boolean;
  readonly #res: ServerResponse;
  readonly #budget: WatchBudget;
  #handle: WatchHandle | undefined;
  #socket: Socket | undefined;
  #isOver = false;

  private constructor(res: ServerResponse, budget: WatchBudget, target: WatchTarget) {
    this.path = target.path;
    this.recursive = target.recursive;
    this.sinceIndex = target.sinceIndex;
    this.stream = target.stream;
    this.#res = res;
    this.#budget = budget;
  }

  get waitingBytes(): number {
    return this.#res.destroyed ? 0 : this.#res.writableLength;
  }

  get progress(): number {
    const socket = this.#res.socket as { _handle?: { writeQueueSize?: number } } | null;
    // What the system has taken of a large write shows here alone.
    return this.waitingBytes + (socket?._handle?.writeQueueSize ?? 0);
  }

  /**
   * Starts a watch and sends status and headers.
   * @throws EtcdError 401, with nothing sent.
   */
  static start(
    { hub, budget }: WatchHost,
    req: IncomingMessage,
    res: ServerResponse,
    headers: FlatHeaders,
    target: WatchTarget,
  ): void {
    // The client may have left while its credentials were checked.
    if (res.destroyed) return;
    const watch = new WatchStream(res, budget, target);
    // The hub calls the watch in later turns only.
    watch.#handle = hub.watch(watch);
    budget.enter(watch);
    watch.#socket = req.socket;
    res.writeHead(200, headers);
    res.flushHeaders();
    res.on("close", watch.#closed);
    // A client that shuts its sending side is done, as for etcd 2.3.8.
    req.socket.on("end", watch.#finish);
    if (req.socket.readableEnded) watch.#finish();
  }

  deliver(event: StoreEvent): Delivery {
    if (this.#isOver) return "refused";
    const res = this.#res;
    if (res.writableLength > WATCH_QUEUE_BYTES_MAX) return this.#later(0);
    const text = sharedEventText(event);
    if (!this.#budget.admits(text.length)) return this.#later(text.length);
    if (this.stream) {
      res.write(text, "latin1");
      return "taken";
    }
    this.#isOver = true;
    this.#release();
    res.end(text, "latin1");
    return "taken";
  }

  #later(bytes: number): Delivery {
    this.#budget.awaitRoom(this, bytes);
    return "later";
  }

  resume(): void {
    this.#handle?.resume();
  }

  cutOff(): void {
    if (this.#isOver) {
      // Its one event was written and nobody takes it.
      this.#budget.dropped();
      this.#res.destroy();
      return;
    }
    const handle = this.#handle;
    this.ended("slow");
    handle?.cancel();
  }

  congested(): boolean {
    const res = this.#res;
    if (this.#isOver || !res.writableNeedDrain) return false;
    this.#budget.lookAfter(this);
    res.once("drain", () => {
      this.#budget.caughtUp(this);
      this.#handle?.resume();
    });
    return true;
  }

  ended(reason: "delivered" | "slow" | "closed"): void {
    this.#handle = undefined;
    if (this.#isOver) return;
    if (reason === "slow") {
      this.#isOver = true;
      this.#release();
      this.#budget.dropped();
      this.#res.destroy();
    } else {
      this.#finish();
    }
  }

  /** Ends the response in order. */
  readonly #finish = (): void => {
    this.#leave();
    this.#res.end();
  };

  /** The connection is gone, or the client has all of the answer. */
  readonly #closed = (): void => {
    this.#leave();
    this.#budget.leave(this);
  };

  readonly #leave = (): void => {
    this.#isOver = true;
    this.#release();
    this.#handle?.cancel();
    this.#handle = undefined;
  };

  #release(): void {
    this.#socket?.removeListener("end", this.#finish);
    this.#socket = undefined;
  }
}
