/**
 * How long three members take from the start of their processes to their first leader: newly founded,
 * and all started again on their data directories; in brackets how much of it has passed since two of
 * them run raft, which is what the election takes. Prints every run and the medians.
 *
 *   node --conditions=etcd2-source tools/cluster-faults/start.ts [--runs 5]
 *
 * CLUSTER_BINARY names another build, to compare with.
 */
import { parseArgs } from "node:util";
import { pause } from "@etcd2/test-support";
import { Cluster } from "./cluster.ts";

const DEADLINE_MS = 60_000;
const LOOK_MS = 10;

interface Run {
  readonly totalMs: number;
  readonly electionMs: number;
}

/** Until one member says that it leads, to within the time between two looks. */
async function untilLeader(cluster: Cluster, start: () => void): Promise<Run> {
  for (const member of cluster.members) member.log = "";
  const from = performance.now();
  let majorityAt: number | undefined;
  start();
  while (performance.now() - from < DEADLINE_MS) {
    const started = cluster.members.filter(({ log }) => log.includes("newRaft"));
    if (started.length >= 2) majorityAt ??= performance.now();
    const all = cluster.running.map((member) => member.selfStats().catch(() => undefined));
    for (const stats of await Promise.all(all)) {
      if (stats?.state !== "StateLeader") continue;
      const now = performance.now();
      return { totalMs: now - from, electionMs: now - (majorityAt ?? now) };
    }
    await pause(LOOK_MS);
  }
  throw new Error("no leader\n" + cluster.members.map(({ log }) => log).join("\n----\n"));
}

function median(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor(sorted.length / 2)] ?? 0).toFixed(0);
}

function summary(what: string, runs: readonly Run[]): string {
  const shown = runs.map((run) => `${run.totalMs.toFixed(0)} (${run.electionMs.toFixed(0)})`);
  const total = median(runs.map(({ totalMs }) => totalMs));
  const election = median(runs.map(({ electionMs }) => electionMs));
  return `${what}: median ${total} (${election}) ms, all: ${shown.join(", ")}`;
}

const { values } = parseArgs({ options: { runs: { type: "string", default: "5" } } });
const founded: Run[] = [];
const restarted: Run[] = [];
for (let run = 0; run < Number(values.runs); run += 1) {
  const cluster = await Cluster.reserve({ size: 3 });
  try {
    const found = (): void => {
      for (const member of cluster.members) cluster.found(member);
    };
    founded.push(await untilLeader(cluster, found));
    await cluster.ready(DEADLINE_MS);
    await Promise.all(cluster.members.map((member) => member.end("SIGKILL")));
    const restart = (): void => {
      for (const member of cluster.members) cluster.restart(member);
    };
    restarted.push(await untilLeader(cluster, restart));
  } finally {
    await cluster.close();
  }
}
console.log(summary("founded", founded));
console.log(summary("restarted", restarted));
