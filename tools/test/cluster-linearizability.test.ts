/** Real processes under faults: a short run of tools/cluster-faults/linearizability.ts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seedOfRun } from "@etcd2/test-support";
import { runUnderFaults } from "../cluster-faults/linearizability-run.ts";

describe("three members under kills, stops and restarts", () => {
  it("answer as one register per key would, and end up equal", async () => {
    const seed = seedOfRun();
    const verdict = await runUnderFaults({
      members: 3,
      clients: 5,
      keys: 3,
      durationMs: 5000,
      atLeast: { operations: 201, faults: 2, withinMs: 60_000 },
      seed,
      heartbeatMs: 50,
      electionMs: 500,
      flags: ["--snapshot-count", "200", "--snapshot-catchup-entries", "20"],
    });
    assert.deepEqual(verdict.wrongKeys, []);
    // Enough happened for the verdict to mean something.
    assert.ok(verdict.operations.length > 200, `${String(verdict.operations.length)} operations`);
    assert.ok(verdict.faults >= 2, `${String(verdict.faults)} faults`);
  });
});
