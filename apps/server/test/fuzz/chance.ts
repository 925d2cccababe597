/** Seeded chance: everything a fuzzing run does follows from one number. */

export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1) (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number in [0, max). */
  below(max: number): number {
    return Math.floor(this.next() * max);
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }

  /** Up to `max` random bytes. */
  bytes(max: number): Buffer {
    const bytes = Buffer.alloc(this.below(max + 1));
    for (let at = 0; at < bytes.length; at++) bytes[at] = this.below(256);
    return bytes;
  }

  /** Flips, inserts, removes, repeats or cuts a few bytes. */
  mutate(given: Buffer): Buffer {
    let bytes = Buffer.from(given);
    for (let count = 1 + this.below(4); count > 0; count--) {
      const at = this.below(bytes.length + 1);
      const end = Math.min(bytes.length, at + 1 + this.below(8));
      const before = bytes.subarray(0, at);
      switch (this.below(5)) {
        case 0:
          bytes = Buffer.concat([before, this.bytes(4), bytes.subarray(end)]);
          break;
        case 1:
          bytes = Buffer.concat([before, this.bytes(8), bytes.subarray(at)]);
          break;
        case 2:
          bytes = Buffer.concat([before, bytes.subarray(end)]);
          break;
        case 3:
          bytes = Buffer.concat([before, bytes.subarray(at, end), bytes.subarray(at)]);
          break;
        default:
          bytes = Buffer.from(before);
      }
    }
    return bytes;
  }
}
