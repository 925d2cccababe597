/**
 * A cluster of two versions: three members of another build are upgraded to this one, one after another
 * and under writes, then rolled back, and so on; each step ends one member by SIGTERM or SIGKILL and
 * starts it from its disk with the build it is to have. After each step the members are ready and writes go
 * on; at the end of each direction all hold the same, and no acknowledged write is lost.
 *
 *   node --conditions=etcd2-source tools/cluster-faults/rolling.ts --other PATH
 *     [--rounds 1] [--members 3] [--writes 200] [--seed N]
 *   PATH is the `etcd` of the other build. --snapshots compacts the log every 200 entries.
 */
import { parseArgs } from "node:util";
import { seededRandom, until } from "@etcd2/test-support";
import { Cluster } from "./cluster.ts";
import type { MemberProcess } from "./member-process.ts";
import { contradictions, leaves, WriteLoad } from "./write-load.ts";

const READY_MS = 60_000;
const SNAPSHOTS = ["--snapshot-count", "200", "--snapshot-catchup-entries", "20"];

interface Rolling {
  readonly cluster: Cluster;
  readonly load: WriteLoad;
  /** Acknowledgements to wait for after each step. */
  readonly writes: number;
  readonly random: () => number;
}

function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

async function change(rolling: Rolling, member: MemberProcess, binary: string): Promise<string> {
  const { cluster, load, writes, random } = rolling;
  const signal = random() < 0.5 ? "SIGTERM" : "SIGKILL";
  const wasLeader = (await cluster.leader(READY_MS)) === member;
  const before = load.acknowledged.length;
  await member.end(signal);
  await until("writes go on without it", () => load.acknowledged.length > before + 20, READY_MS);
  member.binary = binary;
  cluster.restart(member);
  await cluster.ready(READY_MS);
  const started = load.acknowledged.length;
  await until("writes go on", () => load.acknowledged.length > started + writes, READY_MS);
  if (!member.isRunning) throw new Error(`${member.name} ended by itself`);
  return `${member.name}${wasLeader ? " (the leader)" : ""} by ${signal}`;
}

async function roll(rolling: Rolling, direction: string, binary: string): Promise<void> {
  const steps: string[] = [];
  for (const member of shuffled(rolling.cluster.members, rolling.random)) {
    steps.push(await change(rolling, member, binary));
  }
  console.log(`${direction}: ${steps.join(", ")}`);
}

async function run(): Promise<readonly string[]> {
  const { values } = parseArgs({
    options: {
      other: { type: "string", default: "" },
      rounds: { type: "string", default: "1" },
      members: { type: "string", default: "3" },
      writes: { type: "string", default: "200" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
      snapshots: { type: "boolean", default: false },
    },
  });
  if (values.other === "") throw new Error("name the etcd of the other build: --other PATH");
  console.log(`seed ${values.seed}`);
  const flags = values.snapshots ? SNAPSHOTS : [];
  const cluster = await Cluster.reserve({ size: Number(values.members), flags });
  const [own = ""] = cluster.members.map(({ binary }) => binary);
  try {
    for (const member of cluster.members) {
      member.binary = values.other;
      cluster.found(member);
    }
    await cluster.ready(READY_MS);
    const urls = (): readonly string[] => cluster.members.map(({ clientUrl }) => clientUrl);
    const load = new WriteLoad({ urls, clients: 4, valueBytes: 100 });
    const random = seededRandom(Number(values.seed));
    const rolling: Rolling = { cluster, load, writes: Number(values.writes), random };
    for (let round = 0; round < Number(values.rounds); round += 1) {
      await roll(rolling, "upgraded", own);
      await roll(rolling, "rolled back", values.other);
    }
    await roll(rolling, "upgraded", own);
    await load.stop();
    const tree = leaves(await cluster.sameTree("/load", READY_MS));
    console.log(
      `${String(load.acknowledged.length)} writes acknowledged, ${String(load.failures)} failed`,
    );
    return contradictions(load.acknowledged, tree);
  } catch (error) {
    for (const { name, log } of cluster.members) console.error(`${name}:\n${log.slice(-4000)}`);
    throw error;
  } finally {
    await cluster.close();
  }
}

const problems = await run();
for (const problem of problems.slice(0, 40)) console.log(problem);
console.log(`${String(problems.length)} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;
