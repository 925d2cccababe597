/** Chance that can be had again. */
import assert from "node:assert/strict";
import { afterEach, describe, it, mock } from "node:test";
import { SeededRandom, seededRandom, seedOfRun } from "../src/random.ts";

describe("a seeded source", () => {
  it("gives the same numbers for the same seed, from 0 to below 1, and others for another", () => {
    const take = (seed: number): number[] => Array.from({ length: 1000 }, seededRandom(seed));
    assert.deepEqual(take(7), take(7));
    assert.notDeepEqual(take(7), take(8));
    assert.ok(take(7).every((number) => number >= 0 && number < 1));
    const mean = take(7).reduce((sum, number) => sum + number, 0) / 1000;
    assert.ok(Math.abs(mean - 0.5) < 0.05, String(mean));
  });

  it("picks every item and nothing else, and fails where there is none", () => {
    const random = new SeededRandom(1);
    const picked = Array.from({ length: 200 }, () => random.pick(["a", "b", "c"]));
    assert.deepEqual([...new Set(picked)].sort(), ["a", "b", "c"]);
    assert.throws(() => random.pick([]), /nothing to pick from/);
  });

  it("is certain at the ends", () => {
    const random = new SeededRandom(2);
    for (let round = 0; round < 100; round++) {
      assert.equal(random.chance(0), false);
      assert.equal(random.chance(1), true);
      assert.equal(random.below(1), 0);
    }
  });
});

describe("the seed of a run", () => {
  const before = process.env["SEED"];
  afterEach(() => {
    mock.restoreAll();
    if (before === undefined) delete process.env["SEED"];
    else process.env["SEED"] = before;
  });

  it("is the one that SEED gives, and is printed", () => {
    const log = mock.method(console, "log", () => undefined);
    process.env["SEED"] = "42";
    assert.equal(seedOfRun(), 42);
    assert.equal(seedOfRun("fuzzing"), 42);
    assert.deepEqual(
      log.mock.calls.map(({ arguments: [line] }) => line as unknown),
      ["SEED=42", "fuzzing: SEED=42"],
    );
  });

  it("is a new one where SEED gives none", () => {
    mock.method(console, "log", () => undefined);
    delete process.env["SEED"];
    assert.ok(Number.isSafeInteger(seedOfRun()));
  });

  it("is refused where SEED is no whole number", () => {
    for (const text of ["x", "1.5", "1e400"]) {
      process.env["SEED"] = text;
      assert.throws(() => seedOfRun(), /SEED is no whole number/);
    }
  });
});
