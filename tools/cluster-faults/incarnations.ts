/**
 * Members that come back without what they had promised: in each round a new cluster takes writes, and one
 * member, leader or follower, is wiped or put back to an earlier copy of its data, taken at rest or while it
 * ran, with the others up, down, or silent for a while; or a copy of its live directory is started beside
 * it; or it, or every founder, is killed again and again while it starts. Afterwards all that was
 * acknowledged must be there, the others must serve, and a member that ended must have said why and what to do.
 *
 *   node --conditions=etcd2-source tools/cluster-faults/incarnations.ts [--rounds 20] [--members 3] [--seed N] [--only KIND]
 *   KIND is wiped, earlier, running, beside, killed or founding.
 */
import { cpSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePort, pause, seededRandom, until } from "@etcd2/test-support";
import { Cluster } from "./cluster.ts";
import { MemberProcess } from "./member-process.ts";
import { contradictions, leaves, WriteLoad } from "./write-load.ts";

const READY_MS = 90_000;
const KINDS = ["wiped", "earlier", "running", "beside", "killed", "founding"] as const;
const OTHERS = ["up", "down", "silent"] as const;
/** Longer than a founder waits for those that do not answer. */
const SILENCE_MS = 8000;
const KILLS = 8;
const LONGEST_LIFE_MS = 900;
const REFUSED = /(?:refused by the cluster: |has already been bootstrapped).*etcdctl member remove/;

interface Round {
  readonly cluster: Cluster;
  readonly load: WriteLoad;
  readonly random: () => number;
  readonly victim: MemberProcess;
  readonly others: readonly MemberProcess[];
  readonly state: (typeof OTHERS)[number];
}

function pick<T>(items: readonly T[], random: () => number): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

async function moreWrites({ load }: Round, count: number): Promise<void> {
  const before = load.acknowledged.length;
  await until("writes go on", () => load.acknowledged.length >= before + count, READY_MS);
}

/** Copies the directory while its process stands still, or has ended. */
function copyOf(member: MemberProcess, name: string): string {
  const copy = join(member.dataDir, "..", name);
  cpSync(member.dataDir, copy, { recursive: true });
  return copy;
}

async function takeBack(round: Round, kind: "wiped" | "earlier" | "running"): Promise<void> {
  const { cluster, victim, random } = round;
  let copy: string | undefined;
  if (kind === "earlier") {
    await victim.end(random() < 0.5 ? "SIGTERM" : "SIGKILL");
    copy = copyOf(victim, "earlier");
    await moreWrites(round, 20);
    cluster.restart(victim);
    await cluster.ready(READY_MS);
  } else if (kind === "running") {
    victim.signal("SIGSTOP");
    copy = copyOf(victim, "running");
    victim.signal("SIGCONT");
  }
  await moreWrites(round, 100);
  const { state, others } = round;
  if (state === "down") await Promise.all(others.map((member) => member.end("SIGKILL")));
  if (state === "silent") for (const member of others) member.signal("SIGSTOP");
  await victim.end("SIGKILL");
  rmSync(victim.dataDir, { recursive: true });
  if (copy !== undefined) renameSync(copy, victim.dataDir);
  cluster.found(victim);
  if (state !== "up") await pause(random() * SILENCE_MS);
  for (const member of others.toSorted(() => random() - 0.5)) {
    if (state === "down") cluster.restart(member);
    if (state === "silent") member.signal("SIGCONT");
    if (state !== "up") await pause(random() * 1000);
  }
}

/**
 * A wiped member must be turned away. One with a copy may be let in by others that were killed before they
 * noted what it had answered for: then it has caught up before it votes, and holds what they hold.
 */
async function mustBeHarmless(member: MemberProcess, mayBeLetIn: boolean): Promise<string> {
  const isLetIn = async (): Promise<boolean> =>
    mayBeLetIn && (await member.send("/health").catch(() => undefined))?.status === 200;
  const isSettled = async (): Promise<boolean> => !member.isRunning || isLetIn();
  await until("it is turned away or let in", isSettled, READY_MS).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${member.log}`);
  });
  await pause(mayBeLetIn ? 2000 : 0);
  if (member.isRunning) return "it was let in";
  const { code } = await member.exited();
  if (code !== 1 || !REFUSED.test(member.log)) {
    throw new Error(`${member.name} ended with ${String(code)}:\n${member.log}`);
  }
  return "it was turned away";
}

/** The original must go on; the copy must be turned away, or do no harm until it is ended. */
async function startBeside(round: Round): Promise<string> {
  const { cluster, victim } = round;
  victim.signal("SIGSTOP");
  const copy = copyOf(victim, "beside");
  victim.signal("SIGCONT");
  const [client, peer] = [await freePort(), await freePort()];
  const word = (port: number): string => `http://127.0.0.1:${String(port)}`;
  const twin = await MemberProcess.reserve(victim.name, cluster.directory, {
    ...{ clientUrl: word(client), peerUrl: word(peer), command: [] },
  });
  twin.dataDir = copy;
  try {
    cluster.restart(twin);
    await moreWrites(round, 100);
    const leader = await cluster.leader(READY_MS);
    if (leader !== victim) {
      await leader.end("SIGKILL");
      await pause(3000);
      cluster.restart(leader);
    }
    await moreWrites(round, 100);
    await pause(3000);
    if (!victim.isRunning) throw new Error(`the original ended:\n${victim.log}`);
    return twin.isRunning
      ? "the copy waits"
      : `the copy ended with ${String((await twin.exited()).code)}`;
  } finally {
    await twin.end("SIGKILL");
  }
}

async function killAtStart(round: Round): Promise<void> {
  const { cluster, victim, random } = round;
  for (let count = 0; count < KILLS; count += 1) {
    await victim.end("SIGKILL");
    cluster.restart(victim);
    await pause(random() * LONGEST_LIFE_MS);
  }
  if (!victim.isRunning) throw new Error(`${victim.name} ended by itself:\n${victim.log}`);
  await moreWrites(round, 100);
}

async function foundUnderKills(cluster: Cluster, random: () => number): Promise<void> {
  for (const member of cluster.members) cluster.found(member);
  for (let count = 0; count < KILLS; count += 1) {
    await pause(random() * LONGEST_LIFE_MS);
    const member = pick(cluster.members, random);
    await member.end("SIGKILL");
    cluster.found(member);
  }
  await cluster.ready(READY_MS);
}

async function faults(round: Round, kind: (typeof KINDS)[number]): Promise<string> {
  if (kind === "beside") return startBeside(round);
  if (kind === "killed") await killAtStart(round);
  else if (kind !== "founding") {
    await takeBack(round, kind);
    return mustBeHarmless(round.victim, kind !== "wiped");
  }
  return "all came back";
}

async function run(
  size: number,
  kind: (typeof KINDS)[number],
  random: () => number,
): Promise<string> {
  const cluster = await Cluster.reserve({ size });
  try {
    if (kind === "founding") await foundUnderKills(cluster, random);
    else for (const member of cluster.members) cluster.found(member);
    await cluster.ready(READY_MS);
    const leader = await cluster.leader(READY_MS);
    const isLeader = random() < 0.5;
    const victim = isLeader
      ? leader
      : pick(
          cluster.members.filter((m) => m !== leader),
          random,
        );
    const load = new WriteLoad({
      urls: () => cluster.running.map(({ clientUrl }) => clientUrl),
      ...{ clients: 3, timeoutMs: 3000 },
    });
    const others = cluster.members.filter((member) => member !== victim);
    const state = pick(OTHERS, random);
    const round = { cluster, load, random, victim, others, state };
    let note: string;
    try {
      await moreWrites(round, 50);
      note = await faults(round, kind);
      await moreWrites(round, 50);
    } finally {
      await load.stop();
    }
    for (const member of others) {
      if (!member.isRunning) throw new Error(`${member.name} ended by itself:\n${member.log}`);
    }
    await until(
      "the rest is healthy",
      async () => {
        const answers = await Promise.all(others.map((member) => member.send("/health")));
        return answers.every(({ status }) => status === 200);
      },
      READY_MS,
    );
    const found = contradictions(
      load.acknowledged,
      leaves(await cluster.sameTree("/load", READY_MS)),
    );
    if (found.length > 0)
      throw new Error(`${String(found.length)} lost:\n${found.slice(0, 20).join("\n")}`);
    const role = isLeader ? "the leader" : "a follower";
    return `${kind}, ${role}, others ${state}: ${String(load.acknowledged.length)} writes are there; ${note}`;
  } finally {
    await cluster.close();
  }
}

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    members: { type: "string", default: "3" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    only: { type: "string", default: "" },
  },
});
console.log(`seed ${values.seed}`);
let faultsFound = 0;
for (let round = 0; round < Number(values.rounds); round += 1) {
  const random = seededRandom(Number(values.seed) + round);
  const kinds = KINDS.filter((kind) => values.only === "" || kind === values.only);
  const kind = pick(kinds, random);
  try {
    console.log(`${String(round + 1)}: ${await run(Number(values.members), kind, random)}`);
  } catch (error) {
    faultsFound += 1;
    console.log(
      `FAULT in round ${String(round + 1)} (--seed ${String(Number(values.seed) + round)} --rounds 1 --only ${kind}): ${String(error)}`,
    );
  }
}
console.log(faultsFound === 0 ? "no fault" : `${String(faultsFound)} faults`);
process.exitCode = faultsFound === 0 ? 0 : 1;
