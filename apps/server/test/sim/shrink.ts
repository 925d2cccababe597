/**
 * Makes a failing plan smaller: leaves out faults, many at a time and then fewer, as long as what is
 * left fails, and ends the run where it fails.
 */
import type { Plan } from "./faults.ts";
import { simulate } from "./simulation.ts";

const RUNS_MAX = 80;

export interface Shrunk {
  readonly plan: Plan;
  readonly problem: string;
}

/** @returns The smallest plan found that fails, and how; the plan itself if it does not fail again. */
export async function shrink(plan: Plan): Promise<Shrunk> {
  let runs = 0;
  const failure = async (candidate: Plan): Promise<string | undefined> => {
    runs += 1;
    return (await simulate({ plan: candidate })).problems[0];
  };
  let problem = (await failure(plan)) ?? "it did not fail again";
  let best = plan;
  for (let size = Math.ceil(best.faults.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < best.faults.length && runs < RUNS_MAX;) {
      const faults = [...best.faults.slice(0, from), ...best.faults.slice(from + size)];
      const found = await failure({ ...best, faults });
      if (found === undefined) from += size;
      else {
        best = { ...best, faults };
        problem = found;
      }
    }
  }
  return { plan: best, problem };
}
