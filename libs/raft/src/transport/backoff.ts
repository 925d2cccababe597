/** The waiting times between attempts to reach a peer: exponential, with jitter, bounded. */
import type { Random } from "../core/model/types.ts";

/** The range of the waits; minMs must not exceed maxMs. */
export interface BackoffLimits {
  /** The first wait. */
  readonly minMs: number;
  /** The longest wait, jitter included. */
  readonly maxMs: number;
}

/** The waits between the attempts to reach one peer. */
export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #random: Random;
  #attempt = 0;

  constructor(limits: BackoffLimits, random: Random) {
    this.#limits = limits;
    this.#random = random;
  }

  /** Milliseconds to wait now; doubles with each call, less up to a third so that peers spread. */
  next(): number {
    const { minMs, maxMs } = this.#limits;
    const full = Math.min(maxMs, minMs * 2 ** Math.min(this.#attempt, 16));
    this.#attempt++;
    return Math.max(minMs, full * (1 - this.#random() / 3));
  }

  reset(): void {
    this.#attempt = 0;
  }
}
