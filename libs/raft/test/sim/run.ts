/**
 * Runs many seeds of the cluster simulator: --seeds N (default 1000), --start S (default 1). Each
 * failing seed is printed with the rule it broke; `--seeds 1 --start SEED --trace` repeats one and
 * prints what the adversary did; --amnesia has one member of each run forget what it had promised. Ends with status 1 when a seed failed.
 */
import { parseArgs } from "node:util";
import { simulate, SimulationFailure } from "./simulation.ts";

function print(line: string): void {
  console.log(line);
}

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    start: { type: "string", default: "1" },
    trace: { type: "boolean", default: false },
    amnesia: { type: "boolean", default: false },
  },
});
const seeds = Number(values.seeds);
const start = Number(values.start);
const began = performance.now();
const totals = {
  ...{ committed: 0, acknowledged: 0, reads: 0, elections: 0 },
  ...{ messages: 0, lost: 0, crashes: 0, snapshots: 0, retired: 0 },
};
let failed = 0;
let slowest = 0;
for (let seed = start; seed < start + seeds; seed += 1) {
  try {
    const trace = values.trace ? { trace: print } : {};
    const amnesia = values.amnesia ? { amnesia: "guarded" as const } : {};
    const result = simulate({ seed, ...trace, ...amnesia });
    for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += result[key];
    slowest = Math.max(slowest, result.convergence);
  } catch (error) {
    if (!(error instanceof SimulationFailure)) throw error;
    failed += 1;
    console.log(error.message);
    if (values.trace) console.log(error.cause);
  }
}
const seconds = ((performance.now() - began) / 1000).toFixed(1);
console.log(
  `${seeds - failed} of ${seeds} seeds from ${start} clean in ${seconds} s; longest agreement ${slowest} ticks`,
);
console.log(totals);
process.exitCode = failed === 0 ? 0 : 1;
