/** How long work is cut into slices: each runs in a turn of its own, others come in between. */

/** Runs a function in a later turn. */
export type Schedule = (slice: () => void) => void;

/** Runs each slice in the next turn of the event loop. */
export const defaultSchedule: Schedule = (slice) => {
  setImmediate(slice);
};

/** Resolves in a later turn. */
export function yieldTurn(schedule: Schedule): Promise<void> {
  return new Promise((resolve) => {
    schedule(resolve);
  });
}
