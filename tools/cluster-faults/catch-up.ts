/**
 * How a member that lost its place in the log comes back: fills three members with keys, takes one
 * down until the log behind it is gone, starts it again while writes go on, and measures how long
 * it takes to hold what the others hold and how much the writers notice.
 *
 *   node --conditions=etcd2-source tools/cluster-faults/catch-up.ts [--keys 200000] [--value 256]
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Cluster } from "./cluster.ts";
import type { MemberProcess } from "./member-process.ts";
import { until } from "@etcd2/test-support";
import { contradictions, leaves, WriteLoad } from "./write-load.ts";

const CLIENTS = 32;

/** Peak resident memory of a process in MB. */
function peakMb(member: MemberProcess): number {
  const status = readFileSync(`/proc/${String(member.pid)}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}

async function fill(cluster: Cluster, keys: number, valueBytes: number): Promise<void> {
  const leader = await cluster.leader();
  let next = 0;
  const load = new WriteLoad({
    urls: () => [leader.clientUrl],
    clients: CLIENTS,
    prefix: "/fill",
    valueBytes,
  });
  await until(
    "the keys are written",
    () => {
      const count = load.acknowledged.length;
      if (count >= next) {
        console.log(`${String(count)} keys`);
        next += 50_000;
      }
      return count >= keys;
    },
    600_000,
  );
  await load.stop();
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      keys: { type: "string", default: "200000" },
      value: { type: "string", default: "256" },
    },
  });
  const flags = ["--snapshot-count", "10000", "--snapshot-catchup-entries", "1000"];
  const cluster = await Cluster.start({ size: 3, flags });
  try {
    const [behind] = await cluster.followers();
    if (behind === undefined) throw new Error("no follower");
    await behind.end("SIGKILL");
    await fill(cluster, Number(values.keys), Number(values.value));
    const urls = cluster.running.map((member) => member.clientUrl);
    const load = new WriteLoad({ urls: () => urls, clients: 4, prefix: "/during" });
    await until("writes run", () => load.acknowledged.length > 100);
    behind.log = "";
    const from = performance.now();
    const before = load.acknowledged.length;
    cluster.restart(behind);
    await behind.logged(/applied snapshot at index \d+/, 120_000);
    const applied = performance.now();
    await until("it serves quorum reads", async () => {
      const { status } = await behind.send("/health", { timeoutMs: 1000 });
      return status === 200;
    });
    const to = performance.now();
    const writes = load.acknowledged.length - before;
    const gap = load.longestGapMs(from, to);
    await load.stop();
    const tree = leaves(await cluster.sameTree("/during", 60_000));
    const wrong = contradictions(load.acknowledged, tree);
    console.log(
      `snapshot applied after ${((applied - from) / 1000).toFixed(1)} s, healthy after ${((to - from) / 1000).toFixed(1)} s; ` +
        `meanwhile ${String(writes)} writes, longest gap ${gap.toFixed(0)} ms; ` +
        `peak memory ${cluster.members.map((member) => `${member.name} ${peakMb(member).toFixed(0)} MB`).join(", ")}; ` +
        `${String(wrong.length)} contradictions`,
    );
    if (wrong.length > 0) process.exitCode = 1;
  } catch (error) {
    for (const member of cluster.members) console.error(member.log.slice(-3000));
    throw error;
  } finally {
    await cluster.close();
  }
}

await main();
