/** One seed for the random tests of a process: printed, and taken from SEED= to repeat a run. */
import type { TestContext } from "node:test";
import type { Parameters } from "fast-check";
import { seedOfRun } from "@etcd2/test-support";

const SEED = seedOfRun();

/** Settings for fc.assert; notes the seed in the test's output. */
export function seeded<T>(t: TestContext, numRuns = 300): Parameters<T> {
  t.diagnostic(`SEED=${SEED}`);
  return { seed: SEED, numRuns };
}
