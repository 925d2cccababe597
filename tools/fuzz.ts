/**
 * `npm run fuzz -- [--seconds N] [--seed S] [--rounds R]`: the fuzz tests of the server, longer
 * than `npm test` runs them. Each round has a seed of its own, printed; --seed repeats one. Needs
 * a built server (`npm run build`).
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string" },
    rounds: { type: "string", default: "1" },
  },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
if (!(seconds > 0) || !(rounds > 0)) {
  console.error("--seconds and --rounds must be positive numbers");
  process.exit(2);
}
const cwd = join(import.meta.dirname, "..", "apps", "server");
for (let round = 0; round < rounds; round++) {
  const seed =
    values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed) + round;
  console.log(`round ${round + 1} of ${rounds}: SEED=${seed}`);
  const { status } = spawnSync(
    process.execPath,
    ["--conditions=etcd2-source", "--test", "test/fuzz.test.ts"],
    {
      cwd,
      stdio: "inherit",
      env: { ...process.env, SEED: String(seed), FUZZ_SECONDS: String(seconds) },
    },
  );
  if (status !== 0) process.exit(status ?? 1);
}
