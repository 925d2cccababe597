/**
 * Whether nodes lived as long as they were promised: never shorter, by true time. How much longer is a
 * matter of bounds that the caller knows.
 */
import type { KnownHistory } from "./events.ts";

/** A life that somebody asked for. */
export interface GrantedLife {
  readonly text: string;
  /** The index at which it was granted. */
  readonly index: number;
  /** Before it was asked for, in milliseconds of true time. */
  readonly call: number;
  readonly ttlMs: number;
}

/**
 * @param expiredAt when the change at an index was first carried out anywhere, in true milliseconds.
 * @param rateMax how much too fast a clock may go; 1 for clocks that are right.
 */
export function checkLives(
  history: KnownHistory,
  lives: readonly GrantedLife[],
  expiredAt: (index: number) => number | undefined,
  rateMax: number,
): readonly string[] {
  const byIndex = new Map(lives.map((life) => [life.index, life]));
  const problems: string[] = [];
  for (const { action, prevNode, index } of history.events) {
    if (action !== "expire" || prevNode === undefined) continue;
    const life = byIndex.get(prevNode.modifiedIndex);
    const at = expiredAt(index);
    if (life === undefined || at === undefined) continue;
    const lived = at - life.call;
    if (lived >= life.ttlMs / rateMax) continue;
    problems.push(
      `${life.text} at ${life.index} ended at index ${index} after ${lived.toFixed(0)} of ${life.ttlMs} ms`,
    );
  }
  return problems;
}
