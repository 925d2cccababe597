/** A member whose clients are served by threads of their own keeps every promise of one without. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort, until } from "@etcd2/test-support";
import { ask, ServerProcess } from "../single-member/server-process.ts";

const THREADS = ["--gateway-threads", "2"];

interface Response {
  readonly status: number;
  readonly index: number;
  readonly body: string;
}

/** Connections that stay: the kernel gives some of them to each thread. */
class Connections {
  readonly #agents = Array.from(
    { length: 12 },
    () => new Agent({ keepAlive: true, maxSockets: 1 }),
  );
  readonly #base: string;
  #next = 0;
  constructor(base: string) {
    this.#base = base;
  }

  /** Each call takes the next connection. */
  async call(method: string, path: string, form = "", headers = {}): Promise<Response> {
    const agent = this.#agents[this.#next % this.#agents.length];
    this.#next += 1;
    const type = form === "" ? {} : { "Content-Type": "application/x-www-form-urlencoded" };
    return new Promise((resolve, reject) => {
      const call = request(
        `${this.#base}${path}`,
        { method, agent, headers: { ...type, ...headers } },
        (response) => {
          let body = "";
          response.setEncoding("utf8");
          response.on("data", (part: string) => (body += part));
          response.on("end", () => {
            const index = Number(response.headers["x-etcd-index"]);
            resolve({ status: response.statusCode ?? 0, index, body });
          });
        },
      );
      call.on("error", reject);
      call.end(form);
    });
  }

  /** One request on every connection. */
  async each(method: string, path: string, headers = {}): Promise<readonly Response[]> {
    const answers: Response[] = [];
    for (let n = 0; n < this.#agents.length; n += 1)
      answers.push(await this.call(method, path, "", headers));
    return answers;
  }

  close(): void {
    for (const agent of this.#agents) agent.destroy();
  }
}

/** A stream of events, as long as it is open. */
function stream(url: string): { readonly events: unknown[]; readonly close: () => void } {
  const events: unknown[] = [];
  let text = "";
  const call = request(url, (response) => {
    response.setEncoding("utf8");
    response.on("data", (part: string) => {
      text += part;
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) events.push(JSON.parse(line));
    });
    response.on("error", () => undefined);
  });
  call.on("error", () => undefined);
  call.end();
  return { events, close: () => call.destroy() };
}

interface Event {
  readonly action: string;
  readonly node: { readonly key: string; readonly modifiedIndex: number };
}

async function watchers(server: ServerProcess): Promise<number> {
  const { body } = await ask("GET", `${server.clientUrl}/v2/stats/store`);
  return (JSON.parse(body) as { watchers: number }).watchers;
}

describe("threads that serve clients", () => {
  let server: ServerProcess;
  let all: Connections;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "etcd2-gateways-"));
    server = await ServerProcess.start([...THREADS, "--access-log", join(folder, "access")]);
    all = new Connections(server.clientUrl);
  });
  after(async () => {
    all.close();
    await server.dispose();
    rmSync(folder, { recursive: true });
  });

  it("see a write that was acknowledged through another one, and an index no newer than the node", async () => {
    for (let n = 0; n < 200; n += 1) {
      const path = `/v2/keys/seen/${"k".repeat((n % 3) * 2000)}${n % 7}`;
      const { status, index } = await all.call("PUT", path, `value=${n}`);
      assert.ok(status < 300);
      const { body, index: seen } = await all.call("GET", path);
      const { node } = JSON.parse(body) as { node: { value: string; modifiedIndex: number } };
      assert.equal(node.value, String(n));
      assert.equal(seen, index);
      assert.ok(node.modifiedIndex <= seen);
    }
  });

  it("answer refusals with the same words and indexes as one another", async () => {
    await all.call("PUT", "/v2/keys/refused", "value=1");
    const swap = await all.call("PUT", "/v2/keys/refused?prevValue=2", "value=3");
    assert.equal(swap.status, 412);
    assert.match(swap.body, /"errorCode":101,"message":"Compare failed","cause":"\[2 != 1\]"/);
    for (const { status, body, index } of await all.each("GET", "/v2/keys/none")) {
      assert.equal(status, 404);
      assert.match(body, new RegExp(`"cause":"/none","index":${index}`));
    }
  });

  it("tell every watch every event once and in order", async () => {
    const streams = Array.from({ length: 8 }, () =>
      stream(`${server.clientUrl}/v2/keys/told?wait=true&stream=true&recursive=true`),
    );
    await until("all watch", async () => (await watchers(server)) === 8);
    const indexes: number[] = [];
    await Promise.all(
      Array.from({ length: 300 }, async (_, n) => {
        const { body } = await all.call("PUT", `/v2/keys/told/${n}`, "value=x");
        indexes.push((JSON.parse(body) as Event).node.modifiedIndex);
      }),
    );
    indexes.sort((a, b) => a - b);
    for (const { events, close } of streams) {
      await until("it has all", () => events.length >= 300);
      assert.deepEqual(
        (events as Event[]).map(({ node }) => node.modifiedIndex),
        indexes,
      );
      close();
    }
    await until("none watches", async () => (await watchers(server)) === 0);
  });

  it("tell watches of the past, and of names that went with a large directory", async () => {
    for (let n = 0; n < 600; n += 1) await all.call("PUT", `/v2/keys/large/d/${n}`, "value=x");
    const url = `${server.clientUrl}/v2/keys/large/d`;
    const was = stream(`${url}/599?wait=true&stream=true`);
    const neverWas = stream(`${url}/never?wait=true&stream=true`);
    await until("both watch", async () => (await watchers(server)) === 2);
    const { body } = await all.call("DELETE", "/v2/keys/large/d?recursive=true");
    const { modifiedIndex } = (JSON.parse(body) as Event).node;
    for (const { status } of await all.each("GET", "/v2/keys/large/d/5")) assert.equal(status, 404);
    for (const { body: text } of await all.each("GET", "/v2/keys/large?recursive=true")) {
      assert.doesNotMatch(text, /large\/d/);
    }
    await until("the one that was is told", () => was.events.length === 1);
    await all.call("PUT", "/v2/keys/large/d/never", "value=1");
    await until("the other is told of what it became", () => neverWas.events.length === 1);
    assert.equal((neverWas.events[0] as Event).action, "set");
    const past = await all.call("GET", `/v2/keys/large/d/599?wait=true&waitIndex=${modifiedIndex}`);
    assert.equal((JSON.parse(past.body) as Event).action, "delete");
    for (const each of [was, neverWas]) each.close();
  });

  it("count for the whole member, in metrics and in the access log", async () => {
    const figure = async (): Promise<number> => {
      const { body } = await ask("GET", `${server.clientUrl}/metrics`);
      const line = /^etcd_http_received_total\{method="HEAD"\} (\d+)$/m.exec(body);
      return Number(line?.[1] ?? 0);
    };
    const before = await figure();
    const answers = await all.each("HEAD", "/v2/keys/counted");
    assert.equal(await figure(), before + answers.length);
    await until("all are in the log", () => {
      const lines = readFileSync(join(folder, "access"), "utf8").match(/"key":"\/counted"/g);
      return lines?.length === answers.length;
    });
  });

  it("serve what is no key as ever: methods, bodies and targets nobody knows included", async () => {
    const members = await all.call("GET", "/v2/members");
    assert.match(members.body, /"clientURLs"/);
    assert.equal((await all.call("BREW", "/v2/members")).status, 405);
    assert.equal((await all.call("GET", "/nothing")).status, 404);
    const level = await fetch(`${server.clientUrl}/config/local/log`, {
      method: "PUT",
      body: '{"Level":"INFO"}',
    });
    assert.equal(level.status, 204);
    const self = await all.call("GET", "/v2/stats/self");
    assert.match(self.body, /"state":"StateLeader"/);
  });

  it("take access rules to heart with the request after the one that changed them", async () => {
    const root = { Authorization: `Basic ${Buffer.from("root:pw").toString("base64")}` };
    const made = await all.call("PUT", "/v2/auth/users/root", '{"user":"root","password":"pw"}');
    assert.equal(made.status, 201);
    assert.equal((await all.call("PUT", "/v2/auth/enable")).status, 200);
    const revoke = '{"role":"guest","revoke":{"kv":{"read":["/*"],"write":["/*"]}}}';
    assert.equal((await all.call("PUT", "/v2/auth/roles/guest", revoke, root)).status, 200);
    for (const { status } of await all.each("GET", "/v2/keys/a")) assert.equal(status, 401);
    for (const { status } of await all.each("GET", "/v2/keys/a", root)) assert.equal(status, 404);
    assert.equal((await all.call("DELETE", "/v2/auth/enable", "", root)).status, 200);
    for (const { status } of await all.each("GET", "/v2/keys/a")) assert.equal(status, 404);
  });
});

describe("limits and ends of a member with threads", () => {
  it("hold for all threads together", async () => {
    const server = await ServerProcess.start([
      ...[...THREADS, "--max-client-watchers", "3", "--max-connections", "12"],
    ]);
    try {
      const url = `${server.clientUrl}/v2/keys/x?wait=true&stream=true`;
      const open = [stream(url), stream(url), stream(url)];
      await until("they watch", async () => (await watchers(server)) === 3);
      for (let n = 0; n < 6; n += 1) assert.equal((await ask("GET", url)).status, 503);
      for (const each of open) each.close();
      const port = Number(new URL(server.clientUrl).port);
      const sockets = Array.from({ length: 40 }, () => connect(port, "127.0.0.1"));
      let closed = 0;
      for (const socket of sockets) {
        socket.on("error", () => undefined);
        socket.on("close", () => (closed += 1));
      }
      await until("28 or more are closed at once", () => closed >= 28);
      for (const socket of sockets) socket.destroy();
      await until(
        "there is room again",
        async () => (await ask("GET", url.replace(/\?.*/, ""))).status,
      );
    } finally {
      await server.dispose();
    }
  });

  it("a port that another member has is refused with one line", async () => {
    const server = await ServerProcess.start(THREADS);
    const other = new ServerProcess();
    try {
      const peer = `http://127.0.0.1:${await freePort()}`;
      other.clientUrl = "http://127.0.0.1:1";
      other.flags = [
        ...[...THREADS, "--data-dir", other.dataDir, "--listen-client-urls", server.clientUrl],
        ...["--advertise-client-urls", server.clientUrl, "--listen-peer-urls", peer],
        ...["--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`],
      ];
      await assert.rejects(other.spawn(), /bind: address already in use/);
      assert.equal((await other.exited()).status, 1);
    } finally {
      await server.dispose();
      await other.dispose();
    }
  });

  it("SIGTERM ends watches in order, and the process with status 0", async () => {
    const server = await ServerProcess.start(THREADS);
    try {
      const polls = Array.from({ length: 6 }, () =>
        ask("GET", `${server.clientUrl}/v2/keys/x?wait=true`),
      );
      await until("they watch", async () => (await watchers(server)) === 6);
      const { status } = await server.kill("SIGTERM");
      for (const poll of polls) assert.equal((await poll).status, 200);
      assert.ok(status === 0 || status === null, server.log);
    } finally {
      await server.dispose();
    }
  });

  it("a member that gets its state as a snapshot goes on with it in all threads", async () => {
    const leader = await ServerProcess.start([
      ...THREADS,
      "--snapshot-count",
      "10",
      "--snapshot-catchup-entries",
      "5",
    ]);
    const learner = new ServerProcess();
    try {
      const keys = new Connections(leader.clientUrl);
      for (let n = 0; n < 60; n += 1) await keys.call("PUT", `/v2/keys/k/${n}`, `value=${n}`);
      const peerUrl = `http://127.0.0.1:${await freePort()}`;
      const added = await fetch(`${leader.clientUrl}/v2/members`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ peerURLs: [peerUrl], isLearner: true }),
      });
      assert.equal(added.status, 201);
      learner.clientUrl = `http://127.0.0.1:${await freePort()}`;
      const first = leader.flags[leader.flags.indexOf("--initial-cluster") + 1] ?? "";
      learner.flags = [
        ...[...THREADS, "--name", "second", "--data-dir", learner.dataDir],
        ...[
          "--listen-client-urls",
          learner.clientUrl,
          "--advertise-client-urls",
          learner.clientUrl,
        ],
        ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
        ...[
          "--initial-cluster",
          `${first},second=${peerUrl}`,
          "--initial-cluster-state",
          "existing",
        ],
      ];
      await learner.spawn();
      const there = new Connections(learner.clientUrl);
      await until("it has everything", async () => {
        const answers = await there.each("GET", "/v2/keys/k/59");
        return answers.every(({ status }) => status === 200);
      });
      assert.match(learner.log, /applied snapshot at index/);
      const watch = stream(`${learner.clientUrl}/v2/keys/k/new?wait=true&stream=true`);
      await until("it watches", async () => (await watchers(learner)) === 1);
      await keys.call("PUT", "/v2/keys/k/new", "value=1");
      await until("the watch is told", () => watch.events.length === 1);
      for (const { status } of await there.each("GET", "/v2/keys/k/new")) assert.equal(status, 200);
      for (const each of [keys, there, watch]) each.close();
    } finally {
      await learner.dispose();
      await leader.dispose();
    }
  });
});
