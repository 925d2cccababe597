/** FUZZ_ROUNDS sets the rounds per directory, SEED repeats a run. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Worker } from "node:worker_threads";
import { seedOfRun } from "@etcd2/test-support";

const FIXTURES = [
  "0.4.9-log-snapshot",
  "0.4.9-ttl-create",
  "2.0.0-rc.1-snapshot",
  "2.0.0-wal",
  "2.3.8-auth",
  "2.3.8-snapshot",
  "2.3.8-wal",
  "3.4.23-v2",
  "3.4.23-v2-snapshot",
];

const ROUNDS = Number(process.env["FUZZ_ROUNDS"] ?? 60);

/** No single damaged directory may keep the program this long. */
const ROUND_DEADLINE_MS = 20_000;

const seed = seedOfRun();

/** Runs the rounds of one fixture; what it comes to is undefined when all is well. */
function fuzz(fixture: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const worker = new Worker(join(import.meta.dirname, "support", "fuzz-worker.ts"), {
      workerData: { fixture, seed, rounds: ROUNDS },
    });
    let last = "start";
    const hangs = (): void => {
      void worker.terminate().then(() => {
        resolve(`hangs: ${last}`);
      });
    };
    let timer = setTimeout(hangs, ROUND_DEADLINE_MS);
    worker.on("message", (message: { kind: string; what: string; problem: string | undefined }) => {
      clearTimeout(timer);
      if (message.kind === "done") {
        void worker.terminate();
        resolve(message.problem);
        return;
      }
      last = message.what;
      timer = setTimeout(hangs, ROUND_DEADLINE_MS);
    });
    worker.on("error", (error) => {
      clearTimeout(timer);
      resolve(`${last}: ${String(error)}`);
    });
  });
}

describe(`damage at random, seed ${seed}`, () => {
  for (const fixture of FIXTURES) {
    it(`of ${fixture} is refused or owned up to, never a crash, never a hang`, async () => {
      assert.equal(await fuzz(fixture), undefined);
    });
  }
});
