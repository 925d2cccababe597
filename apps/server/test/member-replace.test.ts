/** A member is exchanged for another with etcdctl, on real processes, interrupted on the way. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { freePort, until } from "@etcd2/test-support";
import { ask, etcdctl, runToEnd, ServerProcess } from "./single-member/server-process.ts";

interface Listed {
  readonly id: string;
  readonly name: string;
  readonly clientURLs: readonly string[];
  readonly isLearner?: boolean;
}

const members: ServerProcess[] = [];
const peerUrls: string[] = [];
let endpoints: string;

async function prepare(state: "new" | "existing"): Promise<ServerProcess> {
  const server = new ServerProcess();
  members.push(server);
  server.clientUrl = `http://127.0.0.1:${await freePort()}`;
  peerUrls.push(`http://127.0.0.1:${await freePort()}`);
  const index = members.length - 1;
  const peerUrl = peerUrls[index] ?? "";
  server.flags = [
    ...["--name", `m${index}`, "--data-dir", server.dataDir, "--initial-cluster-state", state],
    ...["--listen-client-urls", server.clientUrl, "--advertise-client-urls", server.clientUrl],
    ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
  ];
  return server;
}

function start(server: ServerProcess): Promise<void> {
  const cluster = peerUrls.map((url, i) => `m${i}=${url}`).join(",");
  server.flags = [...server.flags, "--initial-cluster", cluster];
  return server.spawn();
}

async function listed(): Promise<readonly Listed[]> {
  const { body } = await ask("GET", `${members[0]?.clientUrl ?? ""}/v2/members`);
  return (JSON.parse(body) as { members: Listed[] }).members;
}

function run(...words: readonly string[]): ReturnType<typeof runToEnd> {
  return runToEnd(etcdctl, ["--endpoints", endpoints, ...words], "/");
}

before(async () => {
  for (let i = 0; i < 3; i++) await prepare("new");
  await Promise.all(members.map(start));
  endpoints = members.map(({ clientUrl }) => clientUrl).join(",");
  await until("the cluster has a leader", async () => (await run("set", "/k", "v")).status === 0);
  await until("all have published themselves", async () => {
    return (await listed()).every(({ clientURLs }) => clientURLs.length > 0);
  });
});

after(async () => {
  await Promise.all(members.filter(({ pid }) => pid > 0).map((server) => server.dispose()));
});

describe("etcdctl member replace", () => {
  it("exchanges a dead member, interrupted and run again, and waits for the new one", async () => {
    const [, , lost] = members;
    assert.ok(lost !== undefined);
    await lost.kill("SIGKILL");
    rmSync(lost.dataDir, { recursive: true });
    const oldId = (await listed()).find(({ name }) => name === "m2")?.id ?? "";
    const fresh = await prepare("existing");
    const words = ["--endpoints", endpoints, "member", "replace", oldId, "m3", peerUrls[3] ?? ""];

    const first = spawn(etcdctl, words, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    first.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    await until("it waits for the start", () => said.includes("it cannot vote"));
    // Nobody has lost or won a vote before the new member is there to cast it.
    const waiting = await until("the list has four", async () => {
      const list = await listed();
      return list.length === 4 && list;
    });
    assert.equal(waiting.find(({ name }) => name === "")?.isLearner, true);
    const ended = new Promise((resolve) => first.once("exit", resolve));
    first.kill("SIGKILL");
    await ended;

    await start(fresh);
    const second = await run("member", "replace", oldId, "m3", peerUrls[3] ?? "");
    assert.equal(second.status, 0, second.stderr);
    assert.match(second.stdout, /^Found member [0-9a-f]+ with /);
    assert.match(second.stdout, new RegExp(`Removed member ${oldId} from cluster\n$`));
    // The list is what the asked member has applied: a follower may be a heartbeat behind.
    await until("the list is without the old member, and the new one votes", async () => {
      const names = (await listed()).map(({ name, isLearner }) => `${name} ${String(isLearner)}`);
      return names.sort().join() === "m0 undefined,m1 undefined,m3 undefined";
    });
    const got = await runToEnd(
      etcdctl,
      ["--no-sync", "--endpoints", fresh.clientUrl, "get", "--quorum", "/k"],
      "/",
    );
    assert.equal(got.stdout, "v\n", got.stderr);

    const third = await run("member", "replace", oldId, "m3", peerUrls[3] ?? "");
    assert.equal(third.status, 0);
    assert.match(third.stdout, /nothing is left to do\n$/);
  });
});
