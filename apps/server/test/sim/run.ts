/**
 * npm run sim:member -- --seeds N [--seed S] [--trace] [--plan FILE] [--first]: runs seeds S, S+1, ... of the
 * simulated cluster of real members. A seed that fails is printed, repeated, and made smaller.
 */
import "./runtime.ts";
import "./simulated-fs.ts";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Plan } from "./faults.ts";

const { planOf, simulate } = await import("./simulation.ts");
const { shrink } = await import("./shrink.ts");

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    trace: { type: "boolean", default: false },
    plan: { type: "string" },
    shrink: { type: "boolean", default: true },
    /** Ends with the first seed that fails. */
    first: { type: "boolean", default: false },
  },
  allowNegative: true,
});
const trace = values.trace
  ? (line: string): void => {
      console.log(line);
    }
  : undefined;
const first = Number(values.seed);
const plans: Iterable<Plan> =
  values.plan === undefined
    ? Array.from({ length: Number(values.seeds) }, (_, at) => planOf(first + at))
    : [JSON.parse(readFileSync(values.plan, "utf8")) as Plan];
const totals = { seeds: 0, acknowledged: 0, operations: 0, told: 0, crashes: 0, snapshots: 0 };
const started = process.hrtime();
let failed = 0;
for (const plan of plans) {
  const result = await simulate({ plan, trace });
  totals.seeds += 1;
  totals.acknowledged += result.acknowledged;
  totals.operations += result.operations;
  totals.told += result.told;
  totals.crashes += result.crashes;
  totals.snapshots += result.snapshots;
  if (values.trace) console.log(JSON.stringify(result));
  if (result.problems.length === 0) continue;
  failed += 1;
  console.log(`seed ${plan.seed} failed: ${result.problems.slice(0, 3).join("\n  ")}`);
  if (values.first) break;
  if (!values.shrink) continue;
  const small = await shrink(plan);
  console.log(`with ${small.plan.faults.length} of ${plan.faults.length} faults: ${small.problem}`);
  console.log(`  repeat it: --plan FILE, with ${JSON.stringify(small.plan)}`);
}
const [seconds, nanoseconds] = process.hrtime(started);
const took = seconds + nanoseconds / 1e9;
const counts = Object.entries(totals).map(([name, count]) => `${count} ${name}`);
console.log(`${counts.join(", ")} in ${took.toFixed(1)} s, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
