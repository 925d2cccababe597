// `npm test`: installs and builds what is missing, runs every test of every package, prints what
// failed once more at the end, and totals.
import { spawn } from "node:child_process";
import { ensureInstalled, root } from "./ensure-installed.mjs";
import { join } from "node:path";

/** Enough for a handful of failures with their stacks. */
const FAILURE_LINES_MAX = 120;

await ensureInstalled();
const bin = join(root, "node_modules", ".bin");
const child = spawn(
  join(bin, "nx"),
  ["run-many", "-t", "test", "--output-style=static", "--nxBail=false", ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, PATH: `${bin}:${process.env.PATH ?? ""}` },
  },
);
const totals = { pass: 0, fail: 0, skipped: 0 };
/** What each package's run says of its failures: they would be lost among the lines of the others. */
const failures = [];
let inFailures = false;
let rest = "";
child.stdout.setEncoding("utf8");
child.stdout.on("data", (text) => {
  process.stdout.write(text);
  const lines = (rest + text).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    const plain = line.replace(/\u001b\[[0-9;]*m/g, "");
    // The summary of node's test runner: "ℹ pass 12".
    const match = /^[^\w]*(pass|fail|skipped) (\d+)\s*$/.exec(plain);
    if (match) totals[match[1]] += Number(match[2]);
    // Its last part, up to what Nx says next.
    if (/^✖ failing tests:/.test(plain)) inFailures = true;
    else if (/^(> nx run |NX |Warning: command )/.test(plain.trimStart())) inFailures = false;
    else if (inFailures) failures.push(plain);
  }
});
child.on("close", (status) => {
  if (failures.length > 0) {
    console.log(`\n✖ what failed:\n${failures.slice(0, FAILURE_LINES_MAX).join("\n").trimEnd()}`);
  }
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
  console.log(`\n${totals.pass} passed, ${totals.fail} failed${skipped}`);
  if (status === 0 && totals.pass === 0) {
    console.error("no test was run");
    process.exit(1);
  }
  process.exit(status ?? 1);
});
