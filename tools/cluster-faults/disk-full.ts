/**
 * Runs real members on real file systems that fill up: below the reserve, and to the last byte
 * under load before anybody notices, alone and in a cluster of three. Checks that nothing
 * acknowledged is lost, that the member says what is wrong, and that it recovers by itself or
 * after a restart. Needs root, for mounts; not part of `npm test`.
 *
 *     node --conditions=etcd2-source tools/cluster-faults/disk-full.ts [rounds]
 */
import assert from "node:assert/strict";
import { pause, until } from "@etcd2/test-support";
import { Cluster } from "./cluster.ts";
import type { MemberProcess } from "./member-process.ts";
import { WriteLoad, contradictions, leaves } from "./write-load.ts";
import { SmallDisk } from "./small-disk.ts";

const MIB = 1024 ** 2;
const DISK_MIB = 320;

interface Setting {
  readonly cluster: Cluster;
  readonly disks: readonly SmallDisk[];
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Starts a cluster, each member on a small disk of its own, and cleans up after the work. */
async function withCluster(
  size: number,
  flags: readonly string[],
  work: (setting: Setting) => Promise<void>,
): Promise<void> {
  const cluster = await Cluster.reserve({ size, flags });
  const disks = cluster.members.map((member) => {
    const disk = new SmallDisk(`${cluster.directory}/disk-${member.name}`, DISK_MIB);
    member.dataDir = `${disk.path}/data`;
    return disk;
  });
  try {
    for (const member of cluster.members) cluster.found(member);
    await cluster.ready();
    await work({ cluster, disks });
  } finally {
    for (const member of cluster.members) await member.end();
    for (const disk of disks) disk.unmount();
    await cluster.close();
  }
}

function first<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined) throw new Error("there is none");
  return item;
}

const put = (member: MemberProcess, key: string, value: string) =>
  member.send(`/v2/keys/${key}`, { method: "PUT", form: { value } });

/** Nothing that was acknowledged is missing or different. */
async function checkKept(member: MemberProcess, load: WriteLoad): Promise<void> {
  const { body } = await member.send("/v2/keys/?recursive=true&quorum=true");
  assert.deepEqual(contradictions(load.acknowledged, leaves(body)), []);
}

async function alarmOf(member: MemberProcess): Promise<number> {
  const { body } = await member.send("/metrics");
  return Number(/^etcd2_alarm\{type="diskLow"\} (\d)/m.exec(body)?.[1]);
}

async function belowReserve(): Promise<void> {
  await withCluster(1, [], async ({ cluster, disks }) => {
    const [member, disk] = [first(cluster.members), first(disks)];
    assert.equal((await put(member, "before", "x")).status, 201);
    disk.fill(20 * MIB);
    const from = performance.now();
    const refusal = await until("writes are refused", async () => {
      const answer = await put(member, "more", "x");
      return answer.status === 500 && answer.body;
    });
    say(`  refused after ${(performance.now() - from).toFixed(0)} ms: ${refusal.trim()}`);
    assert.match(refusal, /"errorCode":310.*database space exceeded: disk space is low/);
    assert.equal((await member.send("/v2/keys/before?quorum=true")).status, 200);
    const health = await member.send("/health");
    assert.equal(health.status, 503);
    assert.match(health.body, /"reason": "disk space is low/);
    assert.equal(await alarmOf(member), 1);
    await pause(2000);
    assert.equal(member.log.match(/disk space is low/g)?.length, 1, "one line in the log");
    disk.free();
    const freed = performance.now();
    await until(
      "writes are taken again",
      async () => (await put(member, "more", "x")).status < 300,
    );
    say(`  recovered after ${(performance.now() - freed).toFixed(0)} ms`);
    assert.equal((await member.send("/health")).status, 200);
    assert.equal(await alarmOf(member), 0);
  });
}

/** Space vanishes at once and the reserve is off: the log or the store meets the end of the disk. */
async function fullUnderLoad(round: number): Promise<void> {
  const flags = ["--disk-reserve-bytes", "0", "--snapshot-count", "500"];
  await withCluster(1, flags, async ({ cluster, disks }) => {
    const [member, disk] = [first(cluster.members), first(disks)];
    const valueBytes = [100, 8000, 200_000][round % 3] ?? 100;
    const load = new WriteLoad({
      urls: () => [member.clientUrl],
      clients: 8,
      valueBytes,
      timeoutMs: 3000,
    });
    await until("there is load", () => load.acknowledged.length > 50);
    await pause(round * 37);
    disk.fill(0);
    await pause(3000);
    await load.stop();
    const isDown = !member.isRunning;
    const said = member.log.split("\n").filter((line) => /no space|ENOSPC|exceeded/i.test(line));
    say(
      `  ${load.acknowledged.length} writes of ${valueBytes} bytes, then ` +
        `${isDown ? `ended with ${String((await member.exited()).code)}` : "went on"}: ${said.join(" | ")}`,
    );
    if (isDown) {
      assert.equal(said.length, 1, member.log);
      disk.free();
    } else {
      // Reads are served, and what could not be written was not acknowledged.
      await checkKept(member, load);
      disk.free();
      await member.end();
    }
    cluster.restart(member, ...flags);
    await cluster.ready();
    await checkKept(member, load);
    assert.equal((await put(member, "after", "x")).status, 201);
  });
}

/** One of three has no space: the others go on, and it comes back by itself or after a restart. */
async function oneOfThree(who: "leader" | "follower", reserve: boolean): Promise<void> {
  const flags = [...(reserve ? [] : ["--disk-reserve-bytes", "0"]), "--snapshot-count", "500"];
  await withCluster(3, flags, async ({ cluster, disks }) => {
    const leader = await cluster.leader();
    const victim = who === "leader" ? leader : first(await cluster.followers());
    const disk = disks[cluster.members.indexOf(victim)];
    assert.ok(disk !== undefined);
    const others = cluster.members.filter((member) => member !== victim);
    const load = new WriteLoad({
      urls: () => others.map(({ clientUrl }) => clientUrl),
      clients: 8,
      valueBytes: 4000,
      timeoutMs: 3000,
    });
    await until("there is load", () => load.acknowledged.length > 50);
    const from = performance.now();
    disk.fill(reserve ? 20 * MIB : 0);
    await pause(4000);
    const before = load.acknowledged.length;
    await until("the others go on", () => load.acknowledged.length > before + 50);
    await load.stop();
    say(
      `  longest gap ${load.longestGapMs(from, performance.now()).toFixed(0)} ms, ` +
        `the member ${victim.isRunning ? "runs" : "has stopped"}, leader is ` +
        ((await cluster.leader()) === victim ? "the same" : "another"),
    );
    disk.free();
    if (!victim.isRunning) cluster.restart(victim, ...flags);
    await cluster.ready(30_000);
    await cluster.sameTree("/load", 30_000);
    for (const member of cluster.members) await checkKept(member, load);
  });
}

const rounds = Number(process.argv[2] ?? 3);
say("below the reserve");
await belowReserve();
for (let round = 0; round < rounds; round += 1) {
  say(`full under load, round ${String(round + 1)}`);
  await fullUnderLoad(round);
}
for (const who of ["follower", "leader"] as const) {
  for (const reserve of [true, false]) {
    say(`a ${who} of three ${reserve ? "below its reserve" : "with a full disk"}`);
    await oneOfThree(who, reserve);
  }
}
say("nothing acknowledged was lost");
