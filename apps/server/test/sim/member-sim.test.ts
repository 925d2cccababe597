/** The simulated cluster of real members: seeds run clean, repeat exactly, and catch what is planted. */
import "./runtime.ts";
import "./simulated-fs.ts";
import assert from "node:assert/strict";
import { test } from "node:test";

const { planOf, simulate } = await import("./simulation.ts");
const { shrink } = await import("./shrink.ts");

const SEEDS = 40;
const first = Number(process.env["SEED"] ?? 1);
const count = process.env["SEED"] === undefined ? SEEDS : 1;

test("seeds of faults break no rule, and healed clusters agree", async () => {
  const totals = { acknowledged: 0, told: 0, crashes: 0, snapshots: 0 };
  for (let seed = first; seed < first + count; seed += 1) {
    const plan = planOf(seed);
    const { problems, acknowledged, told, crashes, snapshots } = await simulate({ plan });
    if (problems.length > 0) {
      const small = await shrink(plan);
      assert.fail(`SEED=${seed}: ${problems.join("\n")}\nsmaller: ${JSON.stringify(small)}`);
    }
    totals.acknowledged += acknowledged;
    totals.told += told;
    totals.crashes += crashes;
    totals.snapshots += snapshots;
  }
  // A run in which nothing happens proves nothing.
  if (count < SEEDS) return;
  assert.ok(totals.acknowledged > 4000, JSON.stringify(totals));
  assert.ok(totals.told > 2000, JSON.stringify(totals));
  assert.ok(totals.crashes > 100, JSON.stringify(totals));
  assert.ok(totals.snapshots > 5, JSON.stringify(totals));
});

test("one seed is one run, event for event", async () => {
  const plan = planOf(7);
  const lines: string[][] = [[], []];
  const digests: number[] = [];
  for (const into of lines) {
    const result = await simulate({ plan, trace: (line) => into.push(line) });
    digests.push(result.digest, result.events);
  }
  assert.deepEqual(lines[0], lines[1]);
  assert.deepEqual(digests.slice(0, 2), digests.slice(2));
  assert.ok((lines[0]?.length ?? 0) > 100);
  assert.notEqual((await simulate({ plan: planOf(8) })).digest, digests[0]);
});
