/**
 * npm run mutants -- [--only TEXT] [--seeds N]: plants bugs in the real sources, one at a time and only in
 * the memory of a process of their own, runs the simulated cluster of real members with them, and
 * prints which check caught each. One that survives is a gap in the checks, and the exit status is 1.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MUTANTS } from "./mutants/list.ts";
import type { Mutant } from "./mutants/list.ts";

const root = join(import.meta.dirname, "..");
/** A bug may also keep a run from ever ending. */
const TIMEOUT_MS = 300_000;

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    seeds: { type: "string", default: "40" },
  },
});

interface Verdict {
  readonly isCaught: boolean;
  readonly how: string;
}

function run(mutant: Mutant): Promise<Verdict> {
  const hook = join(import.meta.dirname, "mutants", "hook.mjs");
  const simulation = join(root, "apps/server/test/sim/run.ts");
  const options = ["--seeds", values.seeds, "--no-shrink", "--first"];
  const child = spawn(
    process.execPath,
    ["--conditions=etcd2-source", "--import", hook, simulation, ...options],
    { env: { ...process.env, MUTANT: JSON.stringify(mutant) }, timeout: TIMEOUT_MS },
  );
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (part: string) => (text += part));
  }
  return new Promise((resolve) => {
    child.on("close", (status, signal) => {
      const said = /seed \d+ failed: .*/.exec(text)?.[0] ?? text.trim().split("\n").at(-1) ?? "";
      const how = signal === null ? said : `it did not end in ${TIMEOUT_MS / 1000} s`;
      resolve({ isCaught: status !== 0, how: how.slice(0, 160) });
    });
  });
}

const chosen = MUTANTS.filter(({ id }) => id.includes(values.only));
for (const { id, file, find } of chosen) {
  const count = readFileSync(join(root, file), "utf8").split(find).length - 1;
  if (count === 1) continue;
  console.error(`${id}: its place occurs ${count} times in ${file}, not once: put the list right`);
  process.exit(1);
}
let survivors = 0;
for (const mutant of chosen) {
  const { isCaught, how } = await run(mutant);
  if (!isCaught) survivors += 1;
  console.log(`${isCaught ? "caught  " : "SURVIVED"} ${mutant.id.padEnd(34)} ${how}`);
}
console.log(`${chosen.length} planted, ${chosen.length - survivors} caught, ${survivors} survived`);
process.exit(survivors === 0 ? 0 : 1);
