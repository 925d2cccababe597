// `npm test`: installs and builds what is missing, runs every test of every package, says after each
// package how far it is, prints what failed once more at the end, and totals.
import { spawn } from "node:child_process";
import { ensureInstalled, root } from "./ensure-installed.mjs";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { testedPackages, TestProgress } from "./test-progress.mjs";

/** Enough for a handful of failures with their stacks. */
const FAILURE_LINES_MAX = 120;

/** Where a whole run leaves how long it took, for the next one to say. */
const DURATION_FILE = join(root, ".nx", "test-seconds");

/** How long the last whole run here took, in seconds; undefined when there was none. */
function lastSeconds() {
  try {
    const seconds = Number(readFileSync(DURATION_FILE, "utf8"));
    return seconds > 0 ? seconds : undefined;
  } catch {
    return undefined;
  }
}

await ensureInstalled();
const given = process.argv.slice(2);
const packages = given.length === 0 ? testedPackages(root) : [];
const progress = new TestProgress(packages, given.length === 0 ? lastSeconds() : undefined);
console.log(progress.announcement());
const bin = join(root, "node_modules", ".bin");
const child = spawn(
  join(bin, "nx"),
  ["run-many", "-t", "test", "--output-style=static", "--nxBail=false", ...given],
  {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, PATH: `${bin}:${process.env.PATH ?? ""}` },
  },
);
/** What each package's run says of its failures: they would be lost among the lines of the others. */
const failures = [];
let inFailures = false;
let rest = "";
child.stdout.setEncoding("utf8");
child.stdout.on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    const plain = line.replace(/\u001b\[[0-9;]*m/g, "");
    console.log(line);
    const said = progress.read(plain);
    if (said !== undefined) console.log(said);
    // Its last part, up to what Nx says next.
    if (/^✖ failing tests:/.test(plain)) inFailures = true;
    else if (/^(> nx run |NX |Warning: command )/.test(plain.trimStart())) inFailures = false;
    else if (inFailures) failures.push(plain);
  }
});
child.on("close", (status) => {
  if (rest !== "") console.log(rest);
  const totals = progress.totals;
  if (failures.length > 0) {
    console.log(`\n✖ what failed:\n${failures.slice(0, FAILURE_LINES_MAX).join("\n").trimEnd()}`);
  }
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
  if (given.length === 0 && status === 0) {
    mkdirSync(join(root, ".nx"), { recursive: true });
    writeFileSync(DURATION_FILE, String(Math.ceil(progress.seconds())));
  }
  console.log(`\n${totals.pass} passed, ${totals.fail} failed${skipped}, in ${progress.elapsed()}`);
  if (status === 0 && totals.pass === 0) {
    console.error("no test was run");
    process.exit(1);
  }
  process.exit(status ?? 1);
});
