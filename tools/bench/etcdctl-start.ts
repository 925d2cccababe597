/**
 * `npm run bench:etcdctl`: how long `etcdctl get` takes as a whole process, median and worst of a
 * number of runs, against a server of ours that it starts and ends.
 *
 *   npm run bench:etcdctl -- [--runs 31]
 */
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";

const root = join(import.meta.dirname, "..", "..");
const run = promisify(execFile);
const client = "http://127.0.0.1:23890";
const peer = "http://127.0.0.1:23891";
const { values } = parseArgs({ options: { runs: { type: "string", default: "31" } } });

const directory = mkdtempSync(join(tmpdir(), "bench-etcdctl-"));
const server = spawn(
  join(root, "apps/server/bin/etcd"),
  [
    ...["--data-dir", join(directory, "data"), "--listen-client-urls", client],
    ...["--advertise-client-urls", client, "--listen-peer-urls", peer],
    ...["--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`],
  ],
  { stdio: "ignore" },
);
try {
  const etcdctl = join(root, "apps/etcdctl/bin/etcdctl");
  const call = (...args: string[]) => run(etcdctl, ["--endpoints", client, ...args]);
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      await call("set", "/k", "v");
      break;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
  const times: number[] = [];
  for (let n = 0; n < Number(values.runs); n += 1) {
    const started = performance.now();
    await call("get", "/k");
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)] ?? 0;
  const worst = times.at(-1) ?? 0;
  console.log(`etcdctl get: median ${median.toFixed(0)} ms, worst ${worst.toFixed(0)} ms`);
} finally {
  server.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
}
