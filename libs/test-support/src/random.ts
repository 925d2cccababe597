/** Chance that can be had again: one seed for the random tests of a process, and what follows from it. */

/** The largest seed that is chosen when none is given, exclusive. */
const SEED_END = 2 ** 31;

/**
 * The seed of this run: that of SEED in the environment, else a new one; printed, so that the run can
 * be repeated.
 * @param what - said before it, where several files of a package print one
 * @throws Error when SEED is no whole number
 */
export function seedOfRun(what = ""): number {
  const given = process.env["SEED"];
  const seed = given === undefined ? Math.floor(Math.random() * SEED_END) : Number(given);
  if (!Number.isSafeInteger(seed)) throw new Error(`SEED is no whole number: ${String(given)}`);
  console.log(`${what === "" ? "" : `${what}: `}SEED=${String(seed)}`);
  return seed;
}

/** A small, fast source of numbers from 0 to below 1 (mulberry32): the same for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Choices that follow from a seed. */
export class SeededRandom {
  /** The next number, from 0 to below 1. */
  readonly next: () => number;

  constructor(seed: number) {
    this.next = seededRandom(seed);
  }

  /** A whole number from 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** True with this probability, from 0 to 1. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** @throws Error when there is nothing to pick from */
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("there is nothing to pick from");
    return item;
  }
}
