/**
 * Decides where the next sync runs: on this thread or on the thread pool.
 *
 * On a fast disk a synchronous fdatasync is several times cheaper than the round trip through the
 * pool; on a slow one it would freeze the event loop. The policy keeps a running estimate of what
 * a sync costs and stays on this thread while it is small. The pool's figures include the round
 * trip, so while the pool is in use a sync is tried here now and then. Knows no files.
 */

/** Above this estimate, in seconds, syncs move to the pool. */
const INLINE_SECONDS_MAX = 0.0005;
/** A sync on the pool that takes longer leaves no doubt that the disk is slow. */
const PROBE_POOL_SECONDS_MAX = 0.0015;
/** Weight of the newest sample. */
const WEIGHT = 0.125;
/** One outlier, whatever its size, must not move the estimate across the bound by itself. */
const SAMPLE_SECONDS_MAX = INLINE_SECONDS_MAX * 4;
/** Syncs on the pool between two tries on this thread, on a disk that seems fast or slow. */
const PROBE_EVERY_FAST = 64;
const PROBE_EVERY_SLOW = 1024;

/** "adaptive" measures; "inline" stays on this thread whatever it costs. */
export type SyncMode = "adaptive" | "inline";

/** Decides from the latest syncs whether the next may block the event loop. */
export class SyncPolicy {
  readonly #mode: SyncMode;
  #inlineSeconds = 0;
  #poolSeconds = 0;
  #usesPool = false;
  #sinceProbe = 0;

  constructor(mode: SyncMode) {
    this.#mode = mode;
  }

  /** What a sync is expected to take, in seconds, where syncs run at present. */
  get estimateSeconds(): number {
    return this.#usesPool ? this.#poolSeconds : this.#inlineSeconds;
  }

  /** Whether the next sync is to run on this thread. */
  get isInline(): boolean {
    if (!this.#usesPool || this.#mode === "inline") return true;
    const every = this.#poolSeconds < PROBE_POOL_SECONDS_MAX ? PROBE_EVERY_FAST : PROBE_EVERY_SLOW;
    return this.#sinceProbe >= every;
  }

  /** Reports a sync that ran on this thread. */
  ranInline(seconds: number): void {
    if (this.#usesPool) {
      this.#sinceProbe = 0;
      // Halfway towards each probe: two or three fast ones in a row bring syncs back.
      this.#inlineSeconds = (this.#inlineSeconds + Math.min(seconds, SAMPLE_SECONDS_MAX)) / 2;
    } else {
      this.#inlineSeconds = weighted(this.#inlineSeconds, Math.min(seconds, SAMPLE_SECONDS_MAX));
    }
    const usesPool = this.#mode === "adaptive" && this.#inlineSeconds > INLINE_SECONDS_MAX;
    if (usesPool && !this.#usesPool) this.#poolSeconds = seconds;
    this.#usesPool = usesPool;
  }

  /** Reports a sync that ran on the pool. */
  ranOnPool(seconds: number): void {
    this.#sinceProbe += 1;
    this.#poolSeconds = weighted(this.#poolSeconds, seconds);
  }
}

function weighted(estimate: number, sample: number): number {
  return estimate === 0 ? sample : estimate + (sample - estimate) * WEIGHT;
}
