/**
 * Watching a subtree of a running v2 server from now on. Reads as fast as the server sends, since
 * old servers silently drop a watcher that lags by a hundred events, and hands the events out from
 * a bounded queue.
 */
import { decodeWatchEvent, LineSplitter } from "./watch-event.ts";
import type { WatchEvent } from "./watch-event.ts";
import type { V2Client } from "./v2-client.ts";

/** Events held for a mirror that is behind; more than that and a new copy is the better way. */
const QUEUE_MAX = 200_000;

export type WatchEnd = "closed" | "overflow" | "failed";

export class LiveWatch {
  /** Store index when the watch began: every later event comes through it. */
  readonly startIndex: number;
  readonly clusterId: string;
  /** Event texts: decoding waits until they are taken, reading must not. */
  #queue: Buffer[] = [];
  #end: WatchEnd | undefined;
  #wake: () => void = () => undefined;
  readonly #close: () => void;

  private constructor(startIndex: number, clusterId: string, close: () => void) {
    this.startIndex = startIndex;
    this.clusterId = clusterId;
    this.#close = close;
  }

  /** Undefined when the server cannot be reached just now or refuses. */
  static async open(
    client: V2Client,
    root: string,
    signal: AbortSignal,
  ): Promise<LiveWatch | undefined> {
    const query = { wait: "true", recursive: "true", stream: "true" };
    try {
      const stream = await client.stream({ method: "GET", key: root, query }, signal);
      if (stream.status !== 200) {
        stream.close();
        client.nextEndpoint(`answers ${stream.status} to a watch`);
        return undefined;
      }
      client.reached();
      const watch = new LiveWatch(stream.etcdIndex, stream.clusterId, () => {
        stream.close();
      });
      void watch.#read(stream.chunks);
      return watch;
    } catch (error) {
      if (!signal.aborted) client.nextEndpoint(error instanceof Error ? error.message : "");
      return undefined;
    }
  }

  /** Why it ended; undefined while it runs. Events may be left in the queue. */
  get end(): WatchEnd | undefined {
    return this.#end;
  }

  /** Whether events were received and not taken. */
  hasEvents(): boolean {
    return this.#queue.length > 0;
  }

  /** Takes up to `max` events. */
  take(max: number): readonly WatchEvent[] {
    if (this.#queue.length <= max) {
      const all = this.#queue;
      this.#queue = [];
      return all.map(decodeWatchEvent);
    }
    return this.#queue.splice(0, max).map(decodeWatchEvent);
  }

  /** Resolves when there is something to take, when it ended, or after `timeoutMs`. */
  async changed(timeoutMs: number): Promise<void> {
    if (this.#queue.length > 0 || this.#end !== undefined) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => undefined;
  }

  close(): void {
    this.#finish("closed");
  }

  async #read(chunks: AsyncIterable<Buffer>): Promise<void> {
    const splitter = new LineSplitter();
    try {
      for await (const chunk of chunks) {
        for (const line of splitter.push(chunk)) this.#queue.push(line);
        if (this.#queue.length > QUEUE_MAX) this.#finish("overflow");
        if (this.#end !== undefined) return;
        this.#wake();
      }
      this.#finish("failed");
    } catch {
      this.#finish("failed");
    }
  }

  #finish(end: WatchEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#close();
    this.#wake();
  }
}
