/**
 * A bounded first-in-first-out window of things on their way, each ending at an index and weighing
 * some bytes: unacknowledged append messages of one follower, or uncommitted proposals of a
 * leader. Owns the counting only; who waits for what is decided by its users.
 */
import { invariant } from "../model/invariant.ts";
import type { Index } from "../model/types.ts";

/** Bounds of a window; Infinity for none. */
export interface InflightsLimits {
  readonly countMax: number;
  readonly bytesMax: number;
}

/** A ring of (last index, bytes), in ascending order of index. */
export class Inflights {
  readonly #limits: InflightsLimits;
  /** Parallel rings; their capacity is a power of two and grows to what is really used. */
  #lasts: Index[] = [0, 0, 0, 0];
  #sizes: number[] = [0, 0, 0, 0];
  #start = 0;
  #count = 0;
  #bytes = 0;

  constructor(limits: InflightsLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** True when nothing more may be sent. The last item may exceed the bytes: it was let in. */
  get isFull(): boolean {
    return this.#count >= this.#limits.countMax || this.#bytes >= this.#limits.bytesMax;
  }

  /** True when `bytes` more stay within the bound; an empty window takes anything. */
  fits(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= this.#limits.bytesMax;
  }

  add(last: Index, bytes: number): void {
    invariant(this.#count < this.#limits.countMax, "the window is full");
    if (this.#count === this.#lasts.length) this.#grow();
    const slot = (this.#start + this.#count) & (this.#lasts.length - 1);
    this.#lasts[slot] = last;
    this.#sizes[slot] = bytes;
    this.#count += 1;
    this.#bytes += bytes;
  }

  /** Frees everything that ends at or before `index`. */
  freeTo(index: Index): void {
    const mask = this.#lasts.length - 1;
    while (this.#count > 0 && (this.#lasts[this.#start] ?? 0) <= index) {
      this.#bytes -= this.#sizes[this.#start] ?? 0;
      this.#start = (this.#start + 1) & mask;
      this.#count -= 1;
    }
  }

  clear(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #grow(): void {
    const mask = this.#lasts.length - 1;
    const lasts: Index[] = [];
    const sizes: number[] = [];
    for (let i = 0; i < this.#count; i += 1) {
      const slot = (this.#start + i) & mask;
      lasts.push(this.#lasts[slot] ?? 0);
      sizes.push(this.#sizes[slot] ?? 0);
    }
    for (let i = this.#count; i < 2 * this.#count; i += 1) {
      lasts.push(0);
      sizes.push(0);
    }
    this.#lasts = lasts;
    this.#sizes = sizes;
    this.#start = 0;
  }
}
