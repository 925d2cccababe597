/**
 * The cluster simulator (sim/simulation.ts) over a few hundred seeds, and the simulator itself put
 * to the test with planted bugs. SEED= moves the start of the seeds; sim/run.ts runs many more.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MUTATIONS } from "./mutation.ts";
import { simulate, SimulationFailure } from "./simulation.ts";
import type { SimulationOptions } from "./simulation.ts";

const START = Number(process.env["SEED"] ?? 1);
const SEEDS = 300;
const RESET_SEEDS = 60;
/** Seeds within which every planted bug must show. */
const MUTATION_SEEDS = 400;

/** What the first failing seed has to say, if any fails. */
function firstFailure(options: Omit<SimulationOptions, "seed">): SimulationFailure | undefined {
  for (let seed = 1; seed <= MUTATION_SEEDS; seed += 1) {
    try {
      simulate({ ...options, seed });
    } catch (error) {
      if (error instanceof SimulationFailure) return error;
      throw error;
    }
  }
  return undefined;
}

describe("the simulated cluster", () => {
  it(`breaks no rule and agrees in the end, for ${SEEDS} seeds`, (t) => {
    t.diagnostic(`SEED=${START}`);
    const totals = { acknowledged: 0, reads: 0, elections: 0, crashes: 0, snapshots: 0, lost: 0 };
    for (let seed = START; seed < START + SEEDS; seed += 1) {
      const result = simulate({ seed });
      for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += result[key];
    }
    t.diagnostic(JSON.stringify(totals));
    for (const [what, count] of Object.entries(totals)) {
      assert.ok(count > SEEDS / 2, `the runs prove little: ${count} ${what}`);
    }
  });

  it("loses nothing when one member is wiped, or put back to an earlier image of its disk", (t) => {
    t.diagnostic(`SEED=${START}`);
    let retired = 0;
    for (let seed = START; seed < START + SEEDS; seed += 1) {
      retired += simulate({ seed, amnesia: "guarded" }).retired;
    }
    t.diagnostic(`${retired} members were refused`);
    assert.ok(retired > SEEDS / 4, `the runs prove little: ${retired} members were refused`);
  });

  it("would lose writes if such a member were taken as it comes", () => {
    assert.ok(firstFailure({ amnesia: "unguarded" }) !== undefined);
  });

  it("keeps its leader and its term when connections to a live leader are reset", () => {
    for (let seed = START; seed < START + RESET_SEEDS; seed += 1) {
      const result = simulate({ seed, onlyResets: true });
      assert.ok(result.acknowledged > 0, `seed ${seed} wrote nothing`);
    }
  });

  it("replays a seed exactly", () => {
    for (let seed = START; seed < START + 5; seed += 1) {
      const lines: string[][] = [[], []];
      const results = lines.map((trace) =>
        simulate({
          seed,
          trace: (line) => {
            trace.push(line);
          },
        }),
      );
      assert.deepEqual(results[0], results[1]);
      assert.deepEqual(lines[0], lines[1]);
    }
  });
});

describe("the simulator", () => {
  for (const mutation of MUTATIONS) {
    it(`finds the planted bug ${mutation}`, (t) => {
      // Nobody keeps a lease where leaders change all the time.
      const duels = mutation !== "pauseLeases";
      const failure = firstFailure({ mutation, duels });
      assert.ok(failure !== undefined, `${MUTATION_SEEDS} seeds did not show it`);
      t.diagnostic(failure.message.slice(0, 160));
      const again = { seed: failure.seed, mutation, duels };
      assert.throws(() => simulate(again), { message: failure.message });
    });
  }
});
