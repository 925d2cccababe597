/**
 * How long writes stand still when the leader of three members goes away: killed (its sockets are
 * reset), stopped (only time tells), or asked to leave (it hands over). Four clients write to the
 * other members and to the leader; the figure is the longest time without any acknowledgement.
 * Also what an idle member costs.
 *
 *   node --conditions=etcd2-source tools/cluster-faults/failover.ts
 *     [--runs 10] [--only kill,stop,term,idle]
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Cluster } from "./cluster.ts";
import type { MemberProcess } from "./member-process.ts";
import { pause, until } from "@etcd2/test-support";
import { WriteLoad } from "./write-load.ts";

/** Milliseconds; what the project promises for the median. */
const TARGETS = { kill: 400, stop: 1300, term: 300 } as const;
type Fault = keyof typeof TARGETS;

const SIGNALS = { kill: "SIGKILL", stop: "SIGSTOP", term: "SIGTERM" } as const;

const CLIENTS = 4;
const IDLE_SECONDS = 10;

/** User and system time of a process, in milliseconds. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function measureFault(cluster: Cluster, fault: Fault): Promise<number> {
  const leader = await cluster.leader();
  const urls = cluster.members.map((member) => member.clientUrl);
  const load = new WriteLoad({ urls: () => urls, clients: CLIENTS, timeoutMs: 15_000 });
  await until("the load runs", () => load.acknowledged.length > 200);
  const from = performance.now();
  leader.signal(SIGNALS[fault]);
  const before = load.acknowledged.length;
  await until(
    "writes go on",
    () => load.acknowledged.length > before + 200 && performance.now() > from + 2500,
    20_000,
  );
  const gap = load.longestGapMs(from - 50, performance.now());
  if (fault === "stop") leader.signal("SIGCONT");
  await load.stop();
  await recover(cluster, leader, fault);
  return gap;
}

async function recover(cluster: Cluster, leader: MemberProcess, fault: Fault): Promise<void> {
  if (fault !== "stop") {
    await leader.exited();
    cluster.restart(leader);
  }
  await cluster.ready(20_000);
  await cluster.sameTree("/load");
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? high : (high + (sorted[middle - 1] ?? high)) / 2;
}

async function measureIdle(cluster: Cluster): Promise<void> {
  await pause(2000);
  const before = cluster.members.map((member) => cpuMs(member.pid));
  await pause(IDLE_SECONDS * 1000);
  const shares = cluster.members.map(
    (member, at) => (cpuMs(member.pid) - (before[at] ?? 0)) / (IDLE_SECONDS * 10),
  );
  const shown = shares.map((share) => `${share.toFixed(1)} %`).join(", ");
  console.log(`idle: ${shown} of a core (target: under 2 %)`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "10" },
      only: { type: "string", default: "kill,stop,term,idle" },
    },
  });
  const wanted = values.only.split(",");
  const cluster = await Cluster.start({ size: 3 });
  try {
    if (wanted.includes("idle")) await measureIdle(cluster);
    for (const fault of ["kill", "stop", "term"] as const) {
      if (!wanted.includes(fault)) continue;
      const gaps: number[] = [];
      for (let run = 0; run < Number(values.runs); run += 1) {
        gaps.push(Math.round(await measureFault(cluster, fault)));
      }
      const target = TARGETS[fault];
      console.log(
        `${SIGNALS[fault]}: median ${String(median(gaps))} ms (target ${String(target)}), all: ${gaps.join(" ")}`,
      );
    }
  } catch (error) {
    for (const member of cluster.members) console.error(member.log.slice(-4000));
    throw error;
  } finally {
    await cluster.close();
  }
}

await main();
