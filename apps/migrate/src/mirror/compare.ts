/**
 * Comparing two sorted listings node by node, in bounded memory. Says what differs; does nothing
 * about it.
 */
import type { ShownNode } from "./listing.ts";

export type Difference =
  /** Only the source has it. */
  | { readonly kind: "missing"; readonly source: ShownNode }
  /** Only the target has it. */
  | { readonly kind: "extra"; readonly target: ShownNode }
  /** Both have it, not alike. */
  | { readonly kind: "changed"; readonly source: ShownNode; readonly target: ShownNode };

/** Differences of `ttl` up to this are rounding and transit. */
const TTL_TOLERANCE_SECONDS = 3;

/** Walks both listings. `ageSeconds`: how much later the target's was taken. */
export function* compareListings(
  source: Iterable<ShownNode>,
  target: Iterable<ShownNode>,
  ageSeconds: number,
): Generator<Difference> {
  const left = source[Symbol.iterator]();
  const right = target[Symbol.iterator]();
  let a = left.next();
  let b = right.next();
  while (a.done !== true || b.done !== true) {
    if (b.done === true || (a.done !== true && comparePaths(a.value.key, b.value.key) < 0)) {
      if (a.done !== true) yield { kind: "missing", source: a.value };
      a = left.next();
    } else if (a.done === true || comparePaths(a.value.key, b.value.key) > 0) {
      yield { kind: "extra", target: b.value };
      b = right.next();
    } else {
      if (!isAlike(a.value, b.value, ageSeconds)) {
        yield { kind: "changed", source: a.value, target: b.value };
      }
      a = left.next();
      b = right.next();
    }
  }
}

/** Whether two nodes of the same key show the same to a user. */
export function isAlike(source: ShownNode, target: ShownNode, ageSeconds: number): boolean {
  if (source.dir !== target.dir || source.value !== target.value) return false;
  if (source.ttl === undefined || target.ttl === undefined) return source.ttl === target.ttl;
  const expected = source.ttl - ageSeconds;
  return Math.abs(target.ttl - expected) <= TTL_TOLERANCE_SECONDS;
}

/** Order of a sorted listing: depth first, names by their bytes. */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // A name that ends sorts before one that goes on.
    if (x === SLASH) return -1;
    if (y === SLASH) return 1;
    return x - y;
  }
  return a.length - b.length;
}

const SLASH = 0x2f;

/** Whether `key` lies below the directory `above`. */
export function isBelow(key: string, above: string): boolean {
  return above === "/" ? key !== "/" : key.startsWith(`${above}/`);
}

/** Whether a name between `root` and `key` is hidden: listings leave such nodes out. */
export function isHiddenBelow(key: string, root: string): boolean {
  return key.slice(root === "/" ? 0 : root.length).includes("/_");
}
