/**
 * Everything at once against real processes: writes, watchers that move from member to member, keys
 * with TTLs; members killed, stopped, asked to leave, all killed together, cut off in both directions or
 * one, logs cut so short that members catch up by snapshot, and (with --clock) wall clocks that jump.
 * In the end no acknowledged write is lost, members are equal, no watcher missed or repeated an event,
 * and no key ended early.
 *
 *   node --conditions=etcd2-source tools/cluster-faults/storm.ts
 *     [--members 3] [--seconds 30] [--seed N] [--partitions] [--clock] [--verbose]
 *   --partitions needs root, ip and iptables; --clock needs libfaketime (FAKETIME_LIB= says where).
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Cluster, put } from "./cluster.ts";
import { Faults } from "./faults.ts";
import { freePort, seededRandom } from "@etcd2/test-support";
import type { Place } from "./member-process.ts";
import { Network } from "./network.ts";
import { Follower, Mortals } from "./storm-clients.ts";
import { onInterrupt } from "./interrupt.ts";
import { pause } from "@etcd2/test-support";
import { contradictions, leaves, WriteLoad } from "./write-load.ts";

const FLAGS = ["--snapshot-count", "300", "--snapshot-catchup-entries", "20"];
const FAKETIME =
  process.env["FAKETIME_LIB"] ?? "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/** Wall clocks of the members: one file each, which the fake clock reads anew all the time. */
class Clocks {
  readonly #directory = mkdtempSync(join(tmpdir(), "etcd2-clocks-"));
  readonly #random: () => number;
  readonly #timer: NodeJS.Timeout;
  readonly #size: number;
  readonly #forget = onInterrupt(() => {
    this.close();
  });

  constructor(size: number, random: () => number) {
    this.#size = size;
    this.#random = random;
    for (let at = 1; at <= size; at += 1) this.#set(at, 0);
    this.#timer = setInterval(() => {
      const at = 1 + Math.floor(this.#random() * this.#size);
      this.#set(at, Math.floor((this.#random() - 0.5) * 20_000));
    }, 700);
  }

  /** The words that put a process under its clock. */
  command(at: number): readonly string[] {
    return [
      "env",
      `LD_PRELOAD=${FAKETIME}`,
      `FAKETIME_TIMESTAMP_FILE=${this.#file(at)}`,
      "FAKETIME_NO_CACHE=1",
      "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ];
  }

  close(): void {
    this.#forget();
    clearInterval(this.#timer);
    rmSync(this.#directory, { recursive: true });
  }

  #file(at: number): string {
    return join(this.#directory, String(at));
  }

  #set(at: number, seconds: number): void {
    writeFileSync(this.#file(at), `${seconds < 0 ? "" : "+"}${String(seconds)}s\n`);
  }
}

interface StormOptions {
  readonly members: number;
  readonly seconds: number;
  readonly seed: number;
  readonly network: Network | undefined;
  readonly clocks: Clocks | undefined;
  readonly verbose: boolean;
}

async function placesOf({ members, network, clocks }: StormOptions): Promise<readonly Place[]> {
  const places: Place[] = [];
  for (let at = 1; at <= members; at += 1) {
    const [client, peer] = [await freePort(), await freePort()];
    const plain: Place = {
      clientUrl: `http://127.0.0.1:${String(client)}`,
      peerUrl: `http://127.0.0.1:${String(peer)}`,
      command: [],
    };
    const place = network?.place(at) ?? plain;
    places.push({ ...place, command: [...place.command, ...(clocks?.command(at) ?? [])] });
  }
  return places;
}

/** What is wrong with what a follower saw, given what was acknowledged. */
function watchProblems(
  name: string,
  follower: Follower,
  acknowledged: ReadonlyMap<string, number>,
): string[] {
  const problems = follower.problems.map((problem) => `${name}: ${problem}`);
  const keys = new Map(follower.seen.map(({ key, index }) => [key, index]));
  if (keys.size !== follower.seen.length) problems.push(`${name}: an event came twice`);
  let last = 0;
  for (const { index } of follower.seen) {
    if (index <= last) problems.push(`${name}: ${String(index)} after ${String(last)}`);
    last = index;
  }
  const missed = [...acknowledged].filter(([key, index]) => keys.get(key) !== index);
  if (missed.length > 0) {
    problems.push(`${name}: missed ${String(missed.length)}, such as ${String(missed[0])}`);
  }
  return problems;
}

function ttlProblems(mortals: Mortals): { problems: readonly string[]; summary: string } {
  const problems: string[] = [];
  const lateness: number[] = [];
  for (const { key, ttlMs, sentAt, answeredAt, goneAt } of mortals.keys.values()) {
    if (goneAt === undefined) problems.push(`${key} never ended`);
    else {
      const livedMs = goneAt - sentAt;
      if (livedMs < ttlMs - 5) {
        problems.push(`${key} ended early: ${livedMs.toFixed(0)} of ${String(ttlMs)} ms`);
      }
      lateness.push(goneAt - answeredAt - ttlMs);
    }
  }
  lateness.sort((a, b) => a - b);
  const part = (share: number): string =>
    (lateness[Math.floor(lateness.length * share)] ?? 0).toFixed(0);
  const worst = (lateness.at(-1) ?? 0).toFixed(0);
  const summary = `${String(lateness.length)} TTLs, late by ${part(0.5)} ms (median), ${part(0.95)} (95 %), ${worst} (worst)`;
  return { problems, summary };
}

async function storm(options: StormOptions): Promise<readonly string[]> {
  const { members, seconds, seed, network, verbose } = options;
  const places = await placesOf(options);
  const cluster = await Cluster.start({
    size: members,
    flags: FLAGS,
    heartbeatMs: 50,
    electionMs: 500,
    place: (at) => places[at - 1] ?? { clientUrl: "", peerUrl: "", command: [] },
  });
  try {
    const urls = (): readonly string[] => cluster.members.map((member) => member.clientUrl);
    const index = (await put(cluster.any(), "/begin", "1")) + 1;
    const followers = cluster.members.map((_, at) => new Follower(urls, "/load", { at, index }));
    const mortals = new Mortals(urls, seededRandom(seed + 2));
    const mourner = new Follower(urls, "/mortal", { at: 0, index }, mortals.ended);
    const load = new WriteLoad({ urls, clients: 4, timeoutMs: 5000, valueBytes: 300 });
    const faults = new Faults(cluster, {
      random: seededRandom(seed),
      restMs: 900,
      killsAll: true,
      ...(verbose && {
        onFault: (text: string) => {
          console.log(text);
        },
      }),
      ...(network !== undefined && {
        setPeerLink: (at: number, state: "up" | "down") => {
          network.setPeerLink(at, state);
        },
        setOneWay: (at: number, state: "deaf" | "mute" | "well") => {
          network.setOneWay(at, state);
        },
      }),
    });
    await faults.run(seconds * 1000);
    await cluster.ready(30_000);
    await Promise.all([load.stop(), mortals.stop()]);
    await pause(4000);
    await Promise.all([...followers, mourner].map((follower) => follower.stop()));
    const tree = leaves(await cluster.sameTree("/load", 30_000));
    const acknowledged = new Map(load.acknowledged.map(({ key, index: at }) => [key, at]));
    const ttls = ttlProblems(mortals);
    const installs = cluster.members.map(({ log }) => log.split("applied snapshot at").length - 1);
    console.log(
      `seed ${String(seed)}: ${String(faults.count)} faults, ${String(acknowledged.size)} writes acknowledged, ` +
        `${String(load.failures)} failed, ${installs.join("+")} snapshots installed, ${ttls.summary}`,
    );
    return [
      ...contradictions(load.acknowledged, tree),
      ...followers.flatMap((follower, at) =>
        watchProblems(`watcher ${String(at)}`, follower, acknowledged),
      ),
      ...mourner.problems,
      ...ttls.problems,
      ...consoleProblems(cluster),
    ];
  } catch (error) {
    const consoles = cluster.members.map(({ name, log }) => `${name}:\n${log.slice(-6000)}`);
    throw new Error([String(error), ...consoles].join("\n----\n"), { cause: error });
  } finally {
    await cluster.close();
  }
}

/** Last words of members that ended by themselves. */
function consoleProblems(cluster: Cluster): readonly string[] {
  return cluster.members.flatMap(({ name, log }) =>
    log
      .split("\n")
      .filter((line) => / C \| |Error:|^\s+at /.test(line))
      .map((line) => `${name}: ${line}`),
  );
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      members: { type: "string", default: "3" },
      seconds: { type: "string", default: "30" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
      partitions: { type: "boolean", default: false },
      clock: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
    },
  });
  const [members, seed] = [Number(values.members), Number(values.seed)];
  const network = values.partitions ? Network.create(members) : undefined;
  const clocks = values.clock ? new Clocks(members, seededRandom(seed + 1)) : undefined;
  try {
    const problems = await storm({
      ...{ members, seed, network, clocks },
      seconds: Number(values.seconds),
      verbose: values.verbose,
    });
    for (const problem of problems.slice(0, 40)) console.log(problem);
    console.log(`${String(problems.length)} problems`);
    process.exitCode = problems.length === 0 ? 0 : 1;
  } finally {
    network?.close();
    clocks?.close();
  }
}

await main();
