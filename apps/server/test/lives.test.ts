/**
 * Clusters of three real members of which one comes back without what it had promised: wiped, or
 * with an earlier copy of its own data. It must not be counted, acknowledged writes must not be
 * lost, and who runs it must be told.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { freePort, until } from "@etcd2/test-support";
import { ask, etcdctl, runToEnd, ServerProcess } from "./single-member/server-process.ts";

interface Trio {
  readonly all: readonly ServerProcess[];
  readonly peerUrls: readonly string[];
}

const running: ServerProcess[] = [];

afterEach(async () => {
  for (const server of running.splice(0)) {
    if (server.pid > 0) await server.dispose();
    else rmSync(server.directory, { recursive: true, force: true });
  }
});

/** Three members, prepared and not started. */
async function prepare(): Promise<Trio> {
  const all: ServerProcess[] = [];
  const peerUrls: string[] = [];
  for (let n = 0; n < 3; n++) peerUrls.push(`http://127.0.0.1:${await freePort()}`);
  for (const [n, peerUrl] of peerUrls.entries()) {
    const server = new ServerProcess();
    server.clientUrl = `http://127.0.0.1:${await freePort()}`;
    server.flags = [
      ...["--name", `m${n}`, "--data-dir", server.dataDir],
      ...["--initial-cluster", peerUrls.map((url, at) => `m${at}=${url}`).join(",")],
      ...["--listen-client-urls", server.clientUrl, "--advertise-client-urls", server.clientUrl],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
    ];
    all.push(server);
    running.push(server);
  }
  return { all, peerUrls };
}

/** Three members that have published themselves and know each other's data directories. */
async function found(): Promise<Trio> {
  const trio = await prepare();
  await Promise.all(trio.all.map((server) => server.spawn()));
  for (const server of trio.all) {
    await until("the member has met the others", async () => {
      const { body } = await ask("GET", `${server.clientUrl}/v2/members`);
      const { members } = JSON.parse(body) as { members: { clientURLs: string[] }[] };
      return (
        members.length === 3 &&
        members.every(({ clientURLs }) => clientURLs.length > 0) &&
        existsSync(join(server.dataDir, "member", "peers"))
      );
    });
  }
  return trio;
}

async function put(server: ServerProcess, key: string, value: string): Promise<void> {
  await until(`${key} is written`, async () => {
    const { status } = await ask("PUT", `${server.clientUrl}/v2/keys/${key}`, `value=${value}`);
    return status < 300;
  });
}

async function valueAt(server: ServerProcess, key: string): Promise<string | undefined> {
  const { body } = await ask("GET", `${server.clientUrl}/v2/keys/${key}?quorum=true`);
  return (JSON.parse(body) as { node?: { value: string } }).node?.value;
}

async function isHealthy(server: ServerProcess): Promise<boolean> {
  const { body } = await ask("GET", `${server.clientUrl}/health`);
  return (JSON.parse(body) as { health: string }).health === "true";
}

/** The member leads from now on. */
async function makeLeader(server: ServerProcess): Promise<void> {
  const self = async (): Promise<{ state: string; id: string }> => {
    const { body } = await ask("GET", `${server.clientUrl}/v2/stats/self`);
    return JSON.parse(body) as { state: string; id: string };
  };
  await until("the member leads", async () => {
    const { state } = await self();
    if (state === "StateLeader") return true;
    const words = ["--endpoints", server.clientUrl, "move-leader", (await self()).id];
    await runToEnd(etcdctl, words, "/");
    return false;
  });
}

function pickThree({ all }: Trio): readonly [ServerProcess, ServerProcess, ServerProcess] {
  const [a, b, c] = all;
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  return [a, b, c];
}

/** Starts a server that will be refused, perhaps before it has answered anybody. */
async function spawnDoomed(server: ServerProcess): Promise<void> {
  await server.spawn().catch((error: unknown) => {
    assert.match(String(error), /the server ended/);
  });
}

async function mustBeRefused(server: ServerProcess, reason: RegExp): Promise<void> {
  const { status } = await server.exited();
  assert.equal(status, 1, server.log);
  assert.match(server.log, reason);
  assert.match(server.log, /etcdctl member remove/);
}

describe("a founder that lost its data", () => {
  it("founds nothing while the others are down, and is refused when they are back", async () => {
    const [a, b, c] = pickThree(await found());
    await put(a, "kept", "1");
    await Promise.all([a.kill("SIGKILL"), b.kill("SIGKILL"), c.kill("SIGKILL")]);
    rmSync(b.dataDir, { recursive: true });
    await b.spawn();
    await until("it says what it waits for", () =>
      b.log.includes("takes part in no election until a majority"),
    );
    assert.equal(await isHealthy(b), false);
    await spawnDoomed(a);
    await mustBeRefused(b, /came back with another data directory/);
    await c.spawn();
    assert.equal(await until("the write is there", () => valueAt(c, "kept")), "1");
  });

  it("founds nothing with the others silent, and is refused when they speak again", async () => {
    const [a, b, c] = pickThree(await found());
    await put(a, "kept", "1");
    await b.kill("SIGKILL");
    process.kill(a.pid, "SIGSTOP");
    process.kill(c.pid, "SIGSTOP");
    rmSync(b.dataDir, { recursive: true });
    const started = spawnDoomed(b);
    await until("it gave up asking", () => b.log.includes("starting member"));
    await started;
    await until("it waits", () => b.log.includes("takes part in no election"));
    process.kill(a.pid, "SIGCONT");
    process.kill(c.pid, "SIGCONT");
    await mustBeRefused(b, /came back with another data directory/);
    assert.equal(await until("the write is there", () => valueAt(a, "kept")), "1");
  });

  it("is what a first start without one of three is not", async () => {
    const [a, b] = pickThree(await prepare());
    await Promise.all([a.spawn(), b.spawn()]);
    await put(a, "first", "1");
    assert.match(a.log + b.log, /founding without [0-9a-f]+: waiting a moment/);
  });
});

describe("a member that is put back to an earlier copy of its data", () => {
  it("is refused while the leader lives", async () => {
    const [a, b] = pickThree(await found());
    const copy = join(b.directory, "copy");
    await b.kill("SIGTERM");
    cpSync(b.dataDir, copy, { recursive: true });
    await b.spawn();
    await put(b, "later", "1");
    await b.kill("SIGTERM");
    rmSync(b.dataDir, { recursive: true });
    renameSync(copy, b.dataDir);
    await spawnDoomed(b);
    await mustBeRefused(b, /came back with an earlier (?:copy|state) of its data/);
    assert.equal(await valueAt(a, "later"), "1");
  });

  it("is refused by what it had acknowledged, when the copy was taken while it ran", async () => {
    const [a, b] = pickThree(await found());
    const copy = join(b.directory, "copy");
    process.kill(b.pid, "SIGSTOP");
    cpSync(b.dataDir, copy, { recursive: true });
    process.kill(b.pid, "SIGCONT");
    for (let n = 0; n < 20; n++) await put(b, "later", String(n));
    await b.kill("SIGKILL");
    rmSync(b.dataDir, { recursive: true });
    renameSync(copy, b.dataDir);
    await spawnDoomed(b);
    await mustBeRefused(b, /it had acknowledged index \d+ in term \d+/);
    assert.equal(await valueAt(a, "later"), "19");
  });

  it("elects nobody when the leader is dead and the third never heard of the writes", async () => {
    const [a, b, c] = pickThree(await found());
    const copy = join(b.directory, "copy");
    await makeLeader(a);
    await b.kill("SIGTERM");
    cpSync(b.dataDir, copy, { recursive: true });
    await c.kill("SIGKILL");
    await b.spawn();
    for (let n = 0; n < 20; n++) await put(a, "later", String(n));
    await b.kill("SIGTERM");
    await a.kill("SIGKILL");
    rmSync(b.dataDir, { recursive: true });
    renameSync(copy, b.dataDir);
    await Promise.all([b.spawn(), c.spawn()]);
    await until("it says what it waits for", () => b.log.includes("data directory is a copy"));
    await until("the third has tried to be elected", () => c.log.includes("became pre-candidate"));
    assert.equal((await isHealthy(b)) || (await isHealthy(c)), false);
    await spawnDoomed(a);
    await mustBeRefused(b, /came back with an earlier (?:copy|state) of its data/);
    assert.equal(await until("the writes are there", () => valueAt(c, "later")), "19");
  });
});

describe("a data directory", () => {
  it("that was moved to another disk serves on, one member after the other", async () => {
    const { all } = await found();
    for (const server of all) {
      await server.kill("SIGTERM");
      const copy = join(server.directory, "copy");
      cpSync(server.dataDir, copy, { recursive: true });
      rmSync(server.dataDir, { recursive: true });
      renameSync(copy, server.dataDir);
      await server.spawn();
      await until("it is healthy", () => isHealthy(server));
      await put(server, "moved", "1");
    }
  });

  it("that was moved serves on at once where there is nobody to ask", async () => {
    const server = await ServerProcess.start();
    running.push(server);
    await put(server, "kept", "1");
    await server.kill("SIGTERM");
    const copy = join(server.directory, "copy");
    cpSync(server.dataDir, copy, { recursive: true });
    rmSync(server.dataDir, { recursive: true });
    renameSync(copy, server.dataDir);
    await server.spawn();
    await until("it is healthy", () => isHealthy(server));
    assert.equal(await valueAt(server, "kept"), "1");
  });

  it("of an earlier version, without an incarnation, gets one at its first start", async () => {
    const { all } = await found();
    await Promise.all(all.map((server) => server.kill("SIGTERM")));
    for (const { dataDir } of all) {
      rmSync(join(dataDir, "member", "life"));
      rmSync(join(dataDir, "member", "peers"));
    }
    await Promise.all(all.map((server) => server.spawn()));
    for (const server of all) {
      await put(server, "upgraded", "1");
      assert.ok(existsSync(join(server.dataDir, "member", "life")));
    }
  });
});

describe("a member whose committed entries the leader contradicts", () => {
  it("serves nothing any more, says so, and does not start again", async () => {
    const [a, b, c] = pickThree(await found());
    const copy = join(b.directory, "copy");
    await b.kill("SIGTERM");
    cpSync(b.dataDir, copy, { recursive: true });
    await c.kill("SIGTERM");
    await b.spawn();
    for (let n = 0; n < 20; n++) await put(a, "history", `first ${n}`);
    await Promise.all([a.kill("SIGTERM"), b.kill("SIGTERM")]);
    // Everything that would have prevented it is taken away.
    rmSync(b.dataDir, { recursive: true });
    renameSync(copy, b.dataDir);
    for (const { dataDir } of [a, b, c]) {
      rmSync(join(dataDir, "member", "life"));
      rmSync(join(dataDir, "member", "peers"), { force: true });
    }
    // The second time they elect in a term that the first history does not know.
    for (const value of ["second", "second again"]) {
      await Promise.all([b.spawn(), c.spawn()]);
      await put(b, "history", value);
      if (value === "second") await Promise.all([b.kill("SIGKILL"), c.kill("SIGKILL")]);
    }
    for (let n = 0; n < 30; n++) await put(b, "history", `second ${n}`);
    await a.spawn();
    await until("it has found out", () => a.log.includes("contradicts the cluster's"));
    await until("it is unhealthy", async () => !(await isHealthy(a)));
    for (const query of ["", "?quorum=true"]) {
      const read = await ask("GET", `${a.clientUrl}/v2/keys/history${query}`);
      assert.equal(read.status, 503);
      assert.match(read.body, /"errorCode":300.*contradicts the cluster's/);
    }
    const write = await ask("PUT", `${a.clientUrl}/v2/keys/history`, "value=third");
    assert.equal(write.status, 503);
    const { body } = await ask("GET", `${a.clientUrl}/metrics`);
    assert.match(body, /^etcd2_data_diverged 1$/m);
    assert.equal(await valueAt(b, "history"), "second 29");
    await a.kill("SIGTERM");
    await spawnDoomed(a);
    await mustBeRefused(a, /contradicts the cluster's/);
  });
});
