/** Which nodes are gone although their rows are still there: those below a directory being swept. */
import type { ByteString } from "../model/byte-string.ts";
import { isBelow } from "../tree/watch-rule.ts";

/** The removal of everything below a path. */
export interface SubtreeRemoval {
  readonly path: ByteString;
  /** Nodes below that were created at this index or before are gone. */
  readonly etcdIndex: number;
}

/** Whether one of these removals took a node away. */
export function isSweptBy(
  removals: readonly SubtreeRemoval[],
  path: ByteString,
  createdIndex: number,
): boolean {
  for (const removal of removals) {
    if (createdIndex <= removal.etcdIndex && isBelow(path, removal.path)) return true;
  }
  return false;
}

/** The removals pending at one moment. */
export class SweepFilter {
  readonly #removals: readonly SubtreeRemoval[];
  constructor(removals: readonly SubtreeRemoval[]) {
    this.#removals = removals;
  }

  /** Whether the node at a path, created at an index, is gone although its row is there. */
  isSwept(path: ByteString, createdIndex: number): boolean {
    return this.#removals.length > 0 && isSweptBy(this.#removals, path, createdIndex);
  }
}
