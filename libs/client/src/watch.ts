/**
 * Watches as asynchronous iterables: one long poll for each event, resumed by index over broken
 * connections, other members and restarts, so that no event is missed while the server keeps it. Where
 * it does not (error 401), the watch says so and goes on.
 */
import type { CallOptions, Cluster } from "./cluster.ts";
import { encodeForm, keyPath } from "./encoding.ts";
import {
  ClusterError,
  ClusterIdError,
  EmptyAnswerError,
  errorCodes,
  type EtcdClientError,
  isEtcdError,
  ProtocolError,
} from "./errors.ts";
import { decodeKeysAnswer, type KeyAction, type KeyNode, type KeysResponse } from "./keys.ts";
import { pause } from "./signals.ts";

export interface WatchOptions extends CallOptions {
  /** Everything below the key too. Default false. */
  readonly recursive?: boolean;
  /** Events after this index, as a read shows it. Default: from when the server has the watch. */
  readonly afterIndex?: number;
  /** Milliseconds after which a quiet poll is made anew. Default 0: never; long polls may last. */
  readonly idleMs?: number;
  /** Told of every failure that the watch survives. */
  readonly onRetry?: (error: EtcdClientError) => void;
}

/** A change of a key, or the end of its life. */
export interface ChangeEvent {
  readonly type: "change";
  readonly action: Exclude<KeyAction, "get">;
  readonly node: KeyNode;
  readonly prevNode: KeyNode | undefined;
  /** The store index of the change. */
  readonly index: number;
}

/**
 * Events from `missedFrom` on are no longer known to the server: read again what you watch. The watch
 * goes on with what comes after `index`, so a read from now on misses nothing.
 */
export interface ClearedEvent {
  readonly type: "cleared";
  readonly missedFrom: number;
  readonly index: number;
}

export type WatchEvent = ChangeEvent | ClearedEvent;

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5000;

/** The wait before try `failures` (from 1), some of it random so that clients spread. */
function backOffMs(failures: number): number {
  const longest = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 16));
  return longest / 2 + Math.random() * (longest / 2);
}

class Watch {
  readonly #cluster: Cluster;
  readonly #key: string;
  readonly #options: WatchOptions;
  readonly #signal: AbortSignal;
  /** The index to wait from; 0 before the server has named one. */
  #waitIndex: number;
  /** The index as of which the server took the poll under way; 0 before it said so. */
  #servedFrom = 0;

  constructor(cluster: Cluster, key: string, options: WatchOptions, signal: AbortSignal) {
    this.#cluster = cluster;
    this.#key = key;
    this.#options = options;
    this.#signal = signal;
    this.#waitIndex = options.afterIndex === undefined ? 0 : options.afterIndex + 1;
  }

  async *events(): AsyncGenerator<WatchEvent, void> {
    let failures = 0;
    for (;;) {
      let event: WatchEvent | undefined;
      try {
        event = await this.#poll();
        failures = 0;
      } catch (error) {
        if (this.#signal.aborted || !this.#survives(error)) throw error;
        this.#options.onRetry?.(error);
        failures += 1;
        this.#cluster.moveOn();
        await pause(backOffMs(failures), this.#signal);
      }
      if (event !== undefined) yield event;
    }
  }

  /** One long poll; undefined when it grew old without an event. */
  async #poll(): Promise<WatchEvent | undefined> {
    const waitIndex = this.#waitIndex;
    this.#servedFrom = 0;
    const { recursive, idleMs = 0 } = this.#options;
    const idle = new AbortController();
    const signal = idleMs > 0 ? AbortSignal.any([this.#signal, idle.signal]) : this.#signal;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const query = encodeForm({
      wait: true,
      recursive: recursive === true ? true : undefined,
      waitIndex: waitIndex === 0 ? undefined : waitIndex,
    });
    try {
      const answer = await this.#cluster.send(
        { method: "GET", path: keyPath(this.#key), query, isWait: true },
        { ...this.#options, signal },
        (header) => {
          if (header.status !== 200) return;
          this.#servedFrom = Number(header.header("x-etcd-index") ?? 0);
          if (idleMs > 0) {
            timer = setTimeout(() => {
              idle.abort();
            }, idleMs);
          }
        },
      );
      return this.#changed(decodeKeysAnswer(answer));
    } catch (error) {
      if (idle.signal.aborted && !this.#signal.aborted) {
        // What the history held would have come at once.
        if (this.#servedFrom > 0) this.#waitIndex = Math.max(waitIndex, this.#servedFrom + 1);
        return undefined;
      }
      if (isEtcdError(error, errorCodes.eventIndexCleared)) {
        this.#waitIndex = error.index + 1;
        return { type: "cleared", missedFrom: waitIndex, index: error.index };
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #changed({ action, node, prevNode }: KeysResponse): ChangeEvent {
    if (action === "get") throw new ProtocolError("the server does not wait");
    this.#waitIndex = node.modifiedIndex + 1;
    return { type: "change", action, node, prevNode, index: node.modifiedIndex };
  }

  /** Whether the watch goes on after a failure; moves its index to where nothing can be missed. */
  #survives(error: unknown): error is EtcdClientError {
    const isBroken = error instanceof EmptyAnswerError || error instanceof ClusterError;
    const isCleared = isEtcdError(error, errorCodes.watcherCleared);
    if (!isBroken && !isCleared) return false;
    if (error instanceof ClusterError && error.causes.every((e) => e instanceof ClusterIdError)) {
      return false;
    }
    // A watch without an index begins where the server took it. One with an index stays with it: its
    // event may have been on its way.
    if (this.#waitIndex === 0 && this.#servedFrom > 0) this.#waitIndex = this.#servedFrom + 1;
    return true;
  }
}

/**
 * The events of a key, without end: until the loop is left, or the signal is aborted, whose reason the
 * iteration then throws. Each iteration is a watch of its own.
 */
export function watchKey(
  cluster: Cluster,
  key: string,
  options: WatchOptions = {},
): AsyncIterable<WatchEvent> {
  return {
    [Symbol.asyncIterator](): AsyncIterator<WatchEvent, void> {
      const own = new AbortController();
      const signal =
        options.signal === undefined ? own.signal : AbortSignal.any([options.signal, own.signal]);
      const events = new Watch(cluster, key, options, signal).events();
      const done = { done: true, value: undefined } as const;
      return {
        async next() {
          try {
            return await events.next();
          } catch (error) {
            // Left while a poll was under way.
            if (own.signal.aborted) return done;
            throw error;
          }
        },
        return() {
          own.abort();
          events.return().catch(() => undefined);
          return Promise.resolve(done);
        },
      };
    },
  };
}
