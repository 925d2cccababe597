/**
 * Members that come and go while clients write: added, started and removed again and again; the leader
 * removed by itself; a stopped member removed; learners promoted, at times just when the leader dies.
 * No acknowledged write may be lost, and the cluster must end
 * with the members it began with.
 *
 *   node --conditions=etcd2-source tools/cluster-faults/membership.ts [--rounds 20] [--seed N] [--verbose]
 */
import { parseArgs } from "node:util";
import { freePort, seededRandom, until } from "@etcd2/test-support";
import { Cluster, quorumGet } from "./cluster.ts";
import type { MemberProcess } from "./member-process.ts";
import { contradictions, leaves, WriteLoad } from "./write-load.ts";

const FLAGS = ["--snapshot-count", "500", "--snapshot-catchup-entries", "50"];
const DEADLINE_MS = 20_000;

class Rounds {
  readonly #cluster: Cluster;
  readonly #random: () => number;

  constructor(cluster: Cluster, random: () => number) {
    this.#cluster = cluster;
    this.#random = random;
  }

  /** Asks any member, again until it is done; another may have done it already. */
  async #change(path: string, method: string, done: readonly number[]): Promise<void> {
    let last = "";
    await until(
      `${method} ${path}`,
      async () => {
        const running = this.#cluster.running;
        const asked = running[Math.floor(this.#random() * running.length)];
        const answer = await asked?.send(path, { method, timeoutMs: 4000 });
        last = `${String(answer?.status)} ${answer?.body ?? ""}`;
        return answer !== undefined && done.includes(answer.status);
      },
      DEADLINE_MS,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; last answer ${last}`);
    });
  }

  #remove(id: string): Promise<void> {
    return this.#change(`/v2/members/${id}`, "DELETE", [204, 410]);
  }

  #forget(member: MemberProcess): void {
    this.#cluster.members.splice(this.#cluster.members.indexOf(member), 1);
  }

  async #serves(member: MemberProcess): Promise<void> {
    await until(
      `${member.name} serves`,
      async () => {
        await quorumGet(member, "/nothing");
        return true;
      },
      DEADLINE_MS,
    );
  }

  /** Every kind of round leaves one member more behind than it found, at the end of `members`. */
  readonly kinds: Readonly<Record<string, () => Promise<void>>> = {
    "joins and is removed": async () => {
      const { id, member } = await this.#cluster.join();
      await this.#serves(member);
      await this.#remove(id);
      await this.#gone(member);
    },
    "joins, and the leader is removed": async () => {
      const { member } = await this.#cluster.join();
      await this.#serves(member);
      const leader = await this.#cluster.leader();
      await this.#remove((await leader.selfStats()).id);
      await this.#gone(leader);
    },
    "joins, and a stopped member is removed": async () => {
      const { member } = await this.#cluster.join();
      await this.#serves(member);
      const [stopped] = await this.#cluster.followers();
      if (stopped === undefined) throw new Error("no follower");
      const { id } = await stopped.selfStats();
      stopped.signal("SIGSTOP");
      await this.#remove(id);
      stopped.signal("SIGCONT");
      await this.#gone(stopped);
    },
    "joins as a learner and is promoted while the leader dies": async () => {
      const { id, member } = await this.#cluster.join({ learner: true });
      await this.#serves(member);
      const leader = await this.#cluster.leader();
      const promoted = this.#change(`/v2/members/${id}/promote`, "POST", [204, 409, 412]);
      if (this.#random() < 0.7) {
        await leader.end("SIGKILL");
        this.#cluster.restart(leader);
      }
      await promoted;
      await this.#serves(leader);
      await this.#change(`/v2/members/${id}/promote`, "POST", [204, 409, 412]);
      await this.#remove(id);
      await this.#gone(member);
    },
    "is added, never starts, and is removed": async () => {
      const ghost = `http://127.0.0.1:${String(await freePort())}`;
      const answer = await until(
        "it is added",
        async () => {
          const added = await this.#cluster
            .any()
            .send("/v2/members", { method: "POST", json: { peerURLs: [ghost] }, timeoutMs: 4000 });
          return added.status === 201 || added.status === 409 ? added : undefined;
        },
        DEADLINE_MS,
      );
      const listed = (await this.#cluster.memberList()).find(({ peerURLs }) =>
        peerURLs.includes(ghost),
      );
      if (listed === undefined) throw new Error(`added, but not there: ${answer.body}`);
      await this.#remove(listed.id);
    },
  };

  async #gone(member: MemberProcess): Promise<void> {
    await until(`${member.name} ends`, () => !member.isRunning, DEADLINE_MS);
    if (!member.log.includes("permanently removed")) {
      throw new Error(`${member.name} ended otherwise:\n${member.log.slice(-2000)}`);
    }
    this.#forget(member);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "20" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
      verbose: { type: "boolean", default: false },
    },
  });
  const random = seededRandom(Number(values.seed));
  const cluster = await Cluster.start({ size: 3, flags: FLAGS, heartbeatMs: 50, electionMs: 500 });
  try {
    const urls = (): readonly string[] => cluster.running.map(({ clientUrl }) => clientUrl);
    const load = new WriteLoad({ urls, clients: 3, timeoutMs: 8000, valueBytes: 100 });
    const rounds = new Rounds(cluster, random);
    const kinds = Object.entries(rounds.kinds);
    const from = performance.now();
    for (let round = 0; round < Number(values.rounds); round += 1) {
      const [what, run] = kinds[round % kinds.length] ?? ["", () => Promise.resolve()];
      const startedAt = performance.now();
      await run();
      const ms = performance.now() - startedAt;
      const gap = load.longestGapMs(startedAt, performance.now());
      if (values.verbose)
        console.log(`${what}: ${ms.toFixed(0)} ms, no write for ${gap.toFixed(0)} ms`);
    }
    const gap = load.longestGapMs(from, performance.now());
    await load.stop();
    await cluster.ready(DEADLINE_MS);
    const list = await cluster.memberList();
    const tree = leaves(await cluster.sameTree("/load", DEADLINE_MS));
    const problems = [...contradictions(load.acknowledged, tree)];
    if (
      list.length !== cluster.members.length ||
      list.some(({ clientURLs }) => clientURLs.length === 0)
    ) {
      problems.push(`members: ${JSON.stringify(list)}`);
    }
    console.log(
      `seed ${values.seed}: ${values.rounds} rounds, ${String(load.acknowledged.length)} writes acknowledged, ${String(load.failures)} failed, ` +
        `longest gap ${gap.toFixed(0)} ms`,
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
