/**
 * Watches endpoints that are suspected to hang: each is asked again and again whether it answers at
 * all, until it does or belongs to no member any more. Owns the time after which an endpoint counts
 * as hung, so that streams from it end instead of being silent for ever.
 */
import type { Logger } from "@etcd2/observability";
import type { Endpoint } from "./endpoint.ts";

const PROBE_INTERVAL_MS = 1000;

/** A stream from an endpoint ends once it has been silent on probes this long. */
const HUNG_AFTER_MS = 5000;

/** An endpoint that stays silent is no longer asked after this time, until suspected again. */
const FORGET_AFTER_MS = 60_000;

export interface SuspectsOptions {
  /** Whether an endpoint answers; its own time-out is its business. */
  readonly probe: (endpoint: Endpoint) => Promise<boolean>;
  /** The first probe of a suspect was not answered. */
  readonly onSilent: (endpoint: Endpoint) => void;
  readonly log: Logger;
  readonly now: () => number;
}

export class Suspects {
  readonly #options: SuspectsOptions;
  readonly #watched = new Set<string>();
  readonly #callbacks = new Map<string, Set<() => void>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #isClosed = false;

  constructor(options: SuspectsOptions) {
    this.#options = options;
  }

  /** Begins to ask an endpoint; nothing happens while it is being asked already. */
  add(endpoint: Endpoint): void {
    if (this.#isClosed || this.#watched.has(endpoint.text)) return;
    this.#watched.add(endpoint.text);
    void this.#follow(endpoint).finally(() => {
      this.#watched.delete(endpoint.text);
    });
  }

  /** Calls back once if the endpoint is found to hang; returns how to unsubscribe. */
  onHang({ text }: Endpoint, callback: () => void): () => void {
    const callbacks = this.#callbacks.get(text) ?? new Set();
    this.#callbacks.set(text, callbacks);
    callbacks.add(callback);
    return () => {
      callbacks.delete(callback);
      if (callbacks.size === 0 && this.#callbacks.get(text) === callbacks)
        this.#callbacks.delete(text);
    };
  }

  /** Asks nobody any more. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  async #follow(endpoint: Endpoint): Promise<void> {
    const { probe, onSilent, log, now } = this.#options;
    const sinceMs = now();
    for (let silences = 0; ; silences++) {
      const answers = await probe(endpoint);
      if (this.#isClosed) return;
      if (answers) {
        if (silences > 0) log.notice(`endpoint ${endpoint.text} answers again`);
        return;
      }
      if (silences === 0) {
        log.warning(`endpoint ${endpoint.text} does not answer: others are asked before it`);
        onSilent(endpoint);
      }
      const silentMs = now() - sinceMs;
      if (silentMs >= HUNG_AFTER_MS) this.#tell(endpoint);
      if (silentMs >= FORGET_AFTER_MS) return;
      await this.#pause();
    }
  }

  #tell({ text }: Endpoint): void {
    const callbacks = this.#callbacks.get(text);
    this.#callbacks.delete(text);
    for (const callback of callbacks ?? []) callback();
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        resolve();
      }, PROBE_INTERVAL_MS);
      timer.unref();
      this.#timers.add(timer);
    });
  }
}
