// `npm test`: installs and builds what is missing, runs every test of every package, prints totals.
import { spawn } from "node:child_process";
import { ensureInstalled, root } from "./ensure-installed.mjs";
import { join } from "node:path";

ensureInstalled();
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
let rest = "";
child.stdout.setEncoding("utf8");
child.stdout.on("data", (text) => {
  process.stdout.write(text);
  const lines = (rest + text).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    // The summary of node's test runner: "ℹ pass 12".
    const match = /^[^\w]*(pass|fail|skipped) (\d+)\s*$/.exec(
      line.replace(/\u001b\[[0-9;]*m/g, ""),
    );
    if (match) totals[match[1]] += Number(match[2]);
  }
});
child.on("close", (status) => {
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
  console.log(`\n${totals.pass} passed, ${totals.fail} failed${skipped}`);
  if (status === 0 && totals.pass === 0) {
    console.error("no test was run");
    process.exit(1);
  }
  process.exit(status ?? 1);
});
