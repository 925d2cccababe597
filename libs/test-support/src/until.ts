/** Waiting for a condition with a deadline: the only way tests and fault runs wait. */

const POLL_MS = 20;

/**
 * Asks again and again until the answer is neither undefined nor false; an error counts as "not yet".
 * @throws Error naming what was waited for and the last error.
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  let last = "";
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      last = error instanceof Error ? `: ${error.message}` : "";
    }
    if (performance.now() > deadline) {
      throw new Error(`waited ${String(deadlineMs)} ms in vain until ${what}${last}`);
    }
    await pause(POLL_MS);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
