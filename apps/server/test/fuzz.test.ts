/**
 * Both ports of a real server against whatever may arrive, for FUZZ_SECONDS each (a few by
 * default): afterwards it still serves, its data is what it was, its memory is bounded, and its log
 * knows of no failure inside it. SEED repeats a run.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { ChannelCredentials, Client } from "@grpc/grpc-js";
import { seedOfRun, until } from "@etcd2/test-support";
import { Chance } from "./fuzz/chance.ts";
import { httpAttack } from "./fuzz/http-attacks.ts";
import { callAttack, rawPeerAttack } from "./fuzz/peer-attacks.ts";
import type { Target } from "./fuzz/peer-attacks.ts";
import { ask, ServerProcess } from "./single-member/server-process.ts";

const seed = seedOfRun("fuzzing");
const seconds = Number(process.env["FUZZ_SECONDS"] ?? 1);
console.log(`fuzzing: FUZZ_SECONDS=${seconds}`);

/** Attacks under way at one time. */
const AT_ONCE = 8;
/** An attack that leaves its connection waiting is given up after this. */
const PATIENCE_MS = 150;
/** What the process may grow by: caches, compiled code and the heap's slack included. */
const GROWTH_MAX = 300 << 20;

let server: ServerProcess;
let kept = "";
let memoryBefore = 0;

function memory(): number {
  const status = readFileSync(`/proc/${server.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

before(async () => {
  server = await ServerProcess.start(["--heartbeat-interval", "20", "--election-timeout", "200"]);
  for (const key of ["a", "b/c", "b/d"]) {
    await ask("PUT", `${server.clientUrl}/v2/keys/kept/${key}`, `value=${key}`);
  }
  kept = await keptKeys();
  memoryBefore = memory();
});

after(() => server.dispose());

async function keptKeys(): Promise<string> {
  const url = `${server.clientUrl}/v2/keys/kept?recursive=true&sorted=true&quorum=true`;
  const { status, body } = await ask("GET", url);
  assert.equal(status, 200, body);
  return body;
}

/** What must hold after any attack. */
async function stillServes(): Promise<void> {
  await until("writes succeed", async () => {
    const { status } = await ask("PUT", `${server.clientUrl}/v2/keys/fuzz/after`, "value=1");
    return status === 200 || status === 201;
  });
  assert.equal(await keptKeys(), kept, "keys nobody wrote have changed");
  const { body } = await ask("GET", `${server.clientUrl}/v2/members`);
  assert.equal((JSON.parse(body) as { members: unknown[] }).members.length, 1, body);
  const growth = memory() - memoryBefore;
  assert.ok(growth < GROWTH_MAX, `memory grew by ${Math.round(growth / 2 ** 20)} MiB`);
  assert.doesNotMatch(server.log, /^\s+at .+[:)]\d*$|[Uu]ncaught|[Uu]nhandled|panic|FATAL/m);
  assert.ok(
    server.log.split("\n").every((line) => line.length < 20_000),
    "a line of the log is as long as somebody wished",
  );
}

/** Sends bytes, in pieces, and waits for the end of the connection, but not for long. */
function shoot(port: number, chance: Chance, bytes: Buffer): Promise<string> {
  const cuts = [...Array.from({ length: chance.below(4) }, () => chance.below(bytes.length + 1))];
  const cutsOff = chance.next() < 0.3;
  return new Promise((resolve) => {
    const socket: Socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let answer = "";
    const timer = setTimeout(() => socket.destroy(), PATIENCE_MS);
    socket.on("data", (part: Buffer) => {
      if (answer.length < 65_536) answer += part.toString("latin1");
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(answer);
    });
    let at = 0;
    for (const cut of cuts.sort((a, b) => a - b)) {
      socket.write(bytes.subarray(at, cut));
      at = cut;
    }
    socket.write(bytes.subarray(at));
    if (cutsOff) socket.end();
  });
}

/** Runs attacks until time is up; the order in which they are made is the seed's. */
async function barrage(attack: (chance: Chance) => Promise<void>): Promise<number> {
  const chance = new Chance(seed);
  const end = Date.now() + seconds * 1000;
  let count = 0;
  const worker = async (): Promise<void> => {
    while (Date.now() < end) {
      count++;
      // Each attack has chances of its own, so that none depends on when another ended.
      await attack(new Chance(chance.below(2 ** 31)));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return count;
}

describe("the client port", () => {
  it("survives what is no request, and what is one only nearly", async (t) => {
    const port = Number(new URL(server.clientUrl).port);
    const count = await barrage(async (chance) => {
      const { kind, bytes } = httpAttack(chance);
      const answer = await shoot(port, chance, bytes);
      const what = `${kind}: ${JSON.stringify(bytes.toString("latin1").slice(0, 300))}`;
      assert.doesNotMatch(answer, /^HTTP\/1\.1 500/m, what);
      assert.doesNotMatch(answer, /^X-Injected/im, what);
      assert.doesNotMatch(answer, /root:.*:0:0:|node_modules|file:\/\//, what);
    });
    t.diagnostic(`${count} attacks`);
    await stillServes();
  });
});

describe("the peer port", () => {
  let client: Client;
  let target: Target;
  before(async () => {
    const peerUrl = new URL(server.flags[server.flags.indexOf("--listen-peer-urls") + 1] ?? "");
    client = new Client(peerUrl.host, ChannelCredentials.createInsecure());
    const { headers } = await ask("GET", `${server.clientUrl}/v2/keys/kept`);
    const { body } = await ask("GET", `${server.clientUrl}/v2/members`);
    const [member] = (JSON.parse(body) as { members: { id: string }[] }).members;
    target = {
      clusterId: String(headers["x-etcd-cluster-id"]).padStart(16, "0"),
      memberId: (member?.id ?? "").padStart(16, "0"),
      term: Number(headers["x-raft-term"]),
    };
  });
  after(() => {
    client.close();
  });

  it("survives noise, broken HTTP/2 and floods", async (t) => {
    const peerUrl = new URL(server.flags[server.flags.indexOf("--listen-peer-urls") + 1] ?? "");
    const count = await barrage(async (chance) => {
      await shoot(Number(peerUrl.port), chance, rawPeerAttack(chance).bytes);
    });
    t.diagnostic(`${count} attacks`);
    await stillServes();
  });

  const call = (path: string, messages: readonly Buffer[]): Promise<void> =>
    new Promise((resolve) => {
      const same = (bytes: Buffer): Buffer => bytes;
      const stream = client.makeBidiStreamRequest<Buffer, Buffer>(path, same, same);
      const timer = setTimeout(() => {
        stream.cancel();
      }, PATIENCE_MS);
      stream.on("data", () => undefined);
      stream.on("error", () => undefined);
      stream.on("status", () => {
        clearTimeout(timer);
        resolve();
      });
      for (const message of messages) stream.write(message);
      stream.end();
    });

  it("survives strangers, liars and members that have lost their mind, and keeps its leader", async (t) => {
    const leads = async (): Promise<string> =>
      (await ask("GET", `${server.clientUrl}/v2/keys/kept`)).headers["x-raft-term"] as string;
    const term = await leads();
    const count = await barrage(async (chance) => {
      const { path, messages } = callAttack(chance, target);
      await call(path, messages);
    });
    t.diagnostic(`${count} attacks`);
    await stillServes();
    assert.equal(await leads(), term, "somebody brought about an election");
    const { body } = await ask("GET", `${server.clientUrl}/metrics`);
    assert.match(body, /^etcd2_raft_messages_refused_total [1-9]/m);
  });

  it("left nothing behind that stops the member from starting again", async () => {
    await server.kill("SIGKILL");
    await server.spawn();
    await stillServes();
  });
});
