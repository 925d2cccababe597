/**
 * The pace of long work that shares the event loop with requests: full speed while nobody else needs
 * the loop, short rests while somebody does. Knows nothing about what the pieces are.
 */
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";

/** Time as the pace sees it; tests bring their own. */
export interface PaceClock {
  /** Milliseconds. */
  now(): number;
  /** Resolves in the next turn of the loop. */
  turn(): Promise<void>;
  rest(ms: number): Promise<void>;
}

const loopClock: PaceClock = {
  now: () => performance.now(),
  turn: () => nextTurn(),
  rest: (ms) => delay(ms),
};

/** A turn in which others took this long was not an idle one; sending a piece takes less. */
const BUSY_TURN_MS = 0.5;

/** For so long after such a turn, more requests are expected. */
const BUSY_MS = 100;

/** What a request needs are several turns, each of which would meet a piece: rests are longer than pieces. */
const REST_FACTOR = 3;
const REST_MS_MIN = 2;
const REST_MS_MAX = 30;

/** The same pieces, with rests between them while others need the loop. */
export async function* paced<T>(
  pieces: AsyncIterable<T>,
  clock: PaceClock = loopClock,
): AsyncGenerator<T, void> {
  let busyAt = -Infinity;
  let begun = clock.now();
  for await (const piece of pieces) {
    const made = clock.now();
    yield piece;
    const before = clock.now();
    await clock.turn();
    const now = clock.now();
    if (now - before >= BUSY_TURN_MS) busyAt = now;
    if (now - busyAt < BUSY_MS) {
      const ms = (made - begun) * REST_FACTOR;
      await clock.rest(Math.min(Math.max(ms, REST_MS_MIN), REST_MS_MAX));
    }
    begun = clock.now();
  }
}
