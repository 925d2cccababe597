/**
 * A member that is killed again and again while it takes over a snapshot, under writes: at some moment
 * between the first byte and shortly after the state was replaced. In between it must always start; in
 * the end it holds what the others hold, and one generation of the store.
 *
 *   node --conditions=etcd2-source tools/cluster-faults/install.ts [--kills 15] [--keys 5000] [--seed N]
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pause, seededRandom, until } from "@etcd2/test-support";
import { Cluster } from "./cluster.ts";
import { contradictions, leaves, WriteLoad } from "./write-load.ts";

const FLAGS = ["--snapshot-count", "200", "--snapshot-catchup-entries", "10"];

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "15" },
      keys: { type: "string", default: "5000" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    },
  });
  const random = seededRandom(Number(values.seed));
  const cluster = await Cluster.start({ size: 3, flags: FLAGS, heartbeatMs: 50, electionMs: 500 });
  try {
    const [victim] = await cluster.followers();
    if (victim === undefined) throw new Error("no follower");
    const others = cluster.members.filter((member) => member !== victim);
    const urls = others.map((member) => member.clientUrl);
    await victim.end("SIGKILL");
    const load = new WriteLoad({ urls: () => urls, clients: 8, valueBytes: 2000 });
    await until("there is a state", () => load.acknowledged.length > Number(values.keys), 300_000);
    let [receiving, applied] = [0, 0];
    for (let kill = 0; kill < Number(values.kills); kill += 1) {
      victim.log = "";
      cluster.restart(victim);
      // Sometimes from the first byte on, sometimes from the moment the state was replaced.
      const sign = random() < 0.6 ? "receiving database snapshot" : "applied snapshot at";
      await victim.logged(sign, 60_000);
      await pause(random() * 120);
      await victim.end("SIGKILL");
      receiving += 1;
      if (victim.log.includes("applied snapshot at")) applied += 1;
      const count = load.acknowledged.length;
      await until("the log is cut", () => load.acknowledged.length > count + 450, 60_000);
    }
    victim.log = "";
    cluster.restart(victim);
    await cluster.ready(60_000);
    await load.stop();
    const tree = leaves(await cluster.sameTree("/load", 60_000));
    const problems = [...contradictions(load.acknowledged, tree)];
    const generations = readdirSync(join(victim.dataDir, "member", "store")).length - 1;
    if (generations !== 1) problems.push(`${String(generations)} generations are left`);
    console.log(
      `seed ${values.seed}: killed ${String(receiving)} times, ${String(applied)} of them after the state was replaced; ` +
        `${String(load.acknowledged.length)} writes acknowledged`,
    );
    for (const problem of problems.slice(0, 20)) console.log(problem);
    console.log(`${String(problems.length)} problems`);
    process.exitCode = problems.length === 0 ? 0 : 1;
  } catch (error) {
    for (const { name, log } of cluster.members) console.error(`${name}:\n${log.slice(-3000)}`);
    throw error;
  } finally {
    await cluster.close();
  }
}

await main();
