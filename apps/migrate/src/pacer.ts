/**
 * Lets a long synchronous job give way to signals and the progress bar now and then, and stop when
 * asked to.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { MigrateError } from "./errors.ts";

const SLICE_MS = 30;
const CHECK_EVERY = 256;

export class Pacer {
  readonly #signal: AbortSignal | undefined;
  #count = 0;
  #sliceStart = performance.now();

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** True when pause() should be awaited. Cheap: looks at the clock every few hundred calls. */
  due(): boolean {
    if (++this.#count % CHECK_EVERY !== 0) return false;
    return performance.now() - this.#sliceStart > SLICE_MS;
  }

  /** @throws MigrateError "interrupted" when the signal has fired. */
  async pause(): Promise<void> {
    await nextTurn();
    if (this.#signal?.aborted === true) throw new MigrateError("interrupted", "interrupted");
    this.#sliceStart = performance.now();
  }
}
