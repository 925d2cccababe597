import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runInside, startBundle } from "../support/run.ts";
import { ScriptedServer } from "../support/scripted-server.ts";
import { closedAddress } from "../support/transcripts.ts";

const value =
  '{"action":"get","node":{"key":"/k","value":"v","modifiedIndex":7,"createdIndex":5}}\n';
const getRoute = { method: "GET", path: "/v2/keys/k", body: value };

async function listen(server: Server | http.Server, host = "127.0.0.1"): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return (server.address() as AddressInfo).port;
}

describe("failover", () => {
  let server: ScriptedServer;
  before(async () => {
    server = await ScriptedServer.listen();
  });
  after(() => server.close());

  test("a dead endpoint among live ones is passed over", async () => {
    server.begin([getRoute]);
    const list = `http://${await closedAddress()},${server.url},http://${await closedAddress()}`;
    for (let i = 0; i < 6; i++) {
      const outcome = await runInside(["--no-sync", "--endpoints", list, "get", "/k"]);
      assert.deepEqual(outcome, { exit: 0, stdout: "v\n", stderr: "" });
    }
  });

  test("a member that cannot serve is passed over, one that answers is not", async () => {
    const other = await ScriptedServer.listen();
    try {
      server.begin([getRoute]);
      other.begin([{ ...getRoute, status: 503, body: '{"message":"no"}' }]);
      const words = ["--no-sync", "--endpoints", `${other.url},${server.url}`, "get", "/k"];
      for (let i = 0; i < 4; i++) assert.equal((await runInside(words)).stdout, "v\n");
      const error = '{"errorCode":100,"message":"Key not found","cause":"/k","index":1}';
      other.begin([{ ...getRoute, status: 404, body: error }]);
      server.begin([{ ...getRoute, status: 404, body: error }]);
      await runInside(words);
      assert.equal(other.received.length + server.received.length, 1);
    } finally {
      await other.close();
    }
  });

  test("the endpoint that worked is tried first from then on", async () => {
    const closed = `http://${await closedAddress()}`;
    // The order is random: among so many that are closed, the live one is hardly ever first.
    const urls = [...Array.from({ length: 30 }, () => closed), server.url];
    const members = JSON.stringify({ members: [{ id: "1", clientURLs: urls }] });
    const imported = { Root: { Children: { a: { Value: "1" }, b: { Value: "2" } } } };
    server.begin([
      { method: "GET", path: "/v2/members", body: members },
      { method: "PUT", path: "/v2/keys/a", body: value },
      { method: "PUT", path: "/v2/keys/b", body: value },
    ]);
    const directory = mkdtempSync(join(tmpdir(), "etcdctl-"));
    writeFileSync(`${directory}/s`, JSON.stringify(imported));
    const words = ["--debug", "--endpoints", server.url, "import", "--snap", `${directory}/s`];
    const { exit, stderr } = await runInside([...words, "-c", "1"]);
    rmSync(directory, { recursive: true });
    assert.equal(exit, 0);
    assert.ok(!stderr.includes(`PUT ${closed}/v2/keys/b`), stderr);
  });

  test("a redirect without a host stays with the endpoint", async () => {
    server.begin([
      { ...getRoute, status: 307, headers: { Location: "/v2/keys/moved?x=1" } },
      { method: "GET", path: "/v2/keys/moved", body: value },
    ]);
    const outcome = await runInside(["--no-sync", "--endpoints", server.url, "get", "/k"]);
    assert.equal(outcome.stdout, "v\n");
    assert.equal(server.received[1]?.query, "x=1");
  });

  test("ten redirects are followed, and not one more", async () => {
    for (const [count, exit] of [
      [10, 0],
      [11, 4],
    ] as const) {
      const hops = Array.from({ length: count }, (_, hop) => ({
        method: "GET",
        path: hop === 0 ? "/v2/keys/k" : `/v2/keys/${hop}`,
        status: 307,
        headers: { Location: `/v2/keys/${hop + 1}` },
        body: "",
      }));
      server.begin([...hops, { method: "GET", path: `/v2/keys/${count}`, body: value }]);
      const outcome = await runInside(["--no-sync", "--endpoints", server.url, "get", "/k"]);
      assert.equal(outcome.exit, exit, outcome.stderr);
    }
  });

  test("no endpoint list makes the client fail without a word about itself", async () => {
    const outcome = await runInside(["--endpoints", ",", "--no-sync", "get", "/k"]);
    assert.equal(outcome.exit, 4);
    assert.match(outcome.stderr, /error #0: http: no Host in request URL\n/);
  });
});

describe("servers that do not answer", () => {
  let mute: Server;
  let url: string;
  const sockets = new Set<Socket>();
  before(async () => {
    mute = createServer((socket) => sockets.add(socket));
    url = `http://127.0.0.1:${await listen(mute)}`;
  });
  after(() => {
    for (const socket of sockets) socket.destroy();
    mute.close();
  });

  async function timed(
    words: readonly string[],
  ): Promise<{ ms: number; exit: number | null; stderr: string }> {
    const started = performance.now();
    const { exit, stderr } = await runInside(words);
    return { ms: performance.now() - started, exit, stderr };
  }

  test("discovery ends by --timeout, twice at most", async () => {
    const { ms, exit, stderr } = await timed([
      "--timeout",
      "200ms",
      "--endpoints",
      url,
      "get",
      "/k",
    ]);
    assert.equal(exit, 4);
    assert.equal(
      stderr,
      "Error:  client: etcd cluster is unavailable or misconfigured\n" +
        `error #0: client: endpoint ${url} exceeded header timeout\n\n`,
    );
    assert.ok(ms >= 390 && ms < 20_000, String(ms));
  });

  test("discovery ends by --total-timeout when --timeout is unlimited", async () => {
    const words = ["--timeout", "0", "--total-timeout", "300ms", "--endpoints", url, "get", "/k"];
    const { ms, exit, stderr } = await timed(words);
    assert.equal(exit, 2);
    assert.equal(stderr, "Error:  context deadline exceeded\n");
    assert.ok(ms >= 290 && ms < 20_000, String(ms));
  });

  test("cluster-health reports a mute member after a bounded wait", async () => {
    const server = await ScriptedServer.listen();
    const members = `{"members":[{"id":"a1","name":"m","clientURLs":["${url}"]}]}`;
    server.begin([{ method: "GET", path: "/v2/members", body: members }]);
    const words = ["--total-timeout", "300ms", "--endpoints", server.url, "cluster-health"];
    const outcome = await runInside(words);
    await server.close();
    assert.deepEqual(outcome, {
      exit: 5,
      stderr: "",
      stdout:
        `failed to check the health of member a1 on ${url}: Get ${url}/health: ` +
        "timeout awaiting the answer\n" +
        `member a1 is unreachable: [${url}] are all unreachable\ncluster is unhealthy\n`,
    });
  });

  test("a connection that is closed instead of answered is no cluster", async () => {
    const closing = createServer((socket) => socket.once("data", () => socket.end()));
    const port = await listen(closing);
    const words = ["--no-sync", "--endpoints", `http://127.0.0.1:${port}`, "get", "/k"];
    const { exit, stderr } = await runInside(words);
    closing.close();
    assert.equal(exit, 4);
    assert.match(stderr, /error #0: EOF\n/);
  });

  test("an answer that is no HTTP is named so", async () => {
    const odd = createServer((socket) => socket.once("data", () => socket.end("SSH-2.0-x\r\n")));
    const port = await listen(odd);
    const words = ["--no-sync", "--endpoints", `http://127.0.0.1:${port}`, "get", "/k"];
    const { exit, stderr } = await runInside(words);
    odd.close();
    assert.equal(exit, 4);
    assert.match(stderr, /error #0: malformed HTTP response\n/);
  });

  test("a body that breaks off is an error, not half an answer", async () => {
    const broken = http.createServer((_request, response) => {
      response.writeHead(200, { "Content-Length": "1000" });
      response.write('{"action":"get",', () => response.destroy());
    });
    const port = await listen(broken);
    const words = ["--no-sync", "--endpoints", `http://127.0.0.1:${port}`, "get", "/k"];
    const { exit, stdout, stderr } = await runInside(words);
    broken.close();
    assert.deepEqual([exit, stdout], [4, ""]);
    assert.match(stderr, /error #0: unexpected EOF\n/);
  });
});

/** Listens with a short queue and never accepts: prints its port, then stands still. */
const swallowing = `require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 },
  function () {
    require("node:fs").writeSync(1, this.address().port + "\\n");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  })`;

test("a host that swallows connections is not reached: bounded wait, status 2", async () => {
  const child = spawn(process.execPath, ["-e", swallowing], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const fillers: Socket[] = [];
  try {
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const port = Number(line.toString());
    // These fill the queue of connections nobody accepts.
    for (let i = 0; i < 8; i++) {
      const filler = connect(port, "127.0.0.1");
      filler.on("error", () => undefined);
      fillers.push(filler);
    }
    await Promise.all(fillers.slice(0, 2).map((filler) => once(filler, "connect")));
    const url = `http://127.0.0.1:${port}`;
    const words = ["--timeout", "300ms", "--endpoints", url, "get", "/k"];
    const { exit, stderr } = await runInside(words);
    assert.equal(stderr, `Error:  dial tcp 127.0.0.1:${port}: i/o timeout\n`);
    assert.equal(exit, 2);
    const patient = ["--no-sync", "--timeout", "0", "--total-timeout", "300ms", "--endpoints", url];
    const watching = await runInside([...patient, "watch", "/k"]);
    assert.equal(watching.exit, 4);
    assert.match(watching.stderr, /error #0: dial tcp \S+: i\/o timeout\n/);
  } finally {
    for (const filler of fillers) filler.destroy();
    child.kill();
  }
});

describe("localhost", () => {
  const answering = (): http.Server =>
    http.createServer((_request, response) => response.end(value));

  test("is dialled as 127.0.0.1", async () => {
    const server = answering();
    const port = await listen(server);
    const words = ["--no-sync", "--endpoints", `http://localhost:${port}`, "get", "/k"];
    assert.equal((await runInside(words)).stdout, "v\n");
    server.close();
  });

  test("is dialled as ::1 when 127.0.0.1 refuses", async () => {
    const server = answering();
    const port = await listen(server, "::1");
    const words = ["--no-sync", "--endpoints", `http://localhost:${port}`, "get", "/k"];
    assert.equal((await runInside(words)).stdout, "v\n");
    server.close();
  });

  test("that refuses on both is reported as 127.0.0.1", async () => {
    const port = (await closedAddress()).split(":")[1] ?? "";
    const { stderr, exit } = await runInside([
      "--endpoints",
      `http://localhost:${port}`,
      "get",
      "/k",
    ]);
    assert.equal(exit, 2);
    assert.match(stderr, new RegExp(`error #0: dial tcp 127.0.0.1:${port}: connection refused\n`));
  });
});

test("a kept connection the server has closed meanwhile is replaced for a GET", async () => {
  let requests = 0;
  const server = http.createServer((request, response) => {
    requests++;
    if (request.url === "/v2/members") {
      const body = `{"members":[{"id":"1","clientURLs":["http://127.0.0.1:${port}"]}]}`;
      response.end(body);
      return;
    }
    // The first attempt comes over the kept connection and finds it closed.
    if (requests === 2) request.socket.destroy();
    else response.end(value);
  });
  const port = await listen(server);
  const outcome = await runInside(["--endpoints", `http://127.0.0.1:${port}`, "get", "/k"]);
  server.close();
  assert.deepEqual(outcome, { exit: 0, stdout: "v\n", stderr: "" });
  assert.equal(requests, 3);
});

test("a GET given up over a kept connection is not sent again", async () => {
  const server = await ScriptedServer.listen();
  const members = `{"members":[{"id":"1","clientURLs":["${server.url}"]}]}`;
  server.begin([
    { method: "GET", path: "/v2/members", body: members },
    { method: "GET", path: "/v2/keys/k", hang: true },
  ]);
  const words = ["--timeout", "1s", "--endpoints", server.url, "get", "--quorum", "/k"];
  const outcome = await startBundle(words).outcome();
  assert.equal(
    outcome.stderr,
    "Error:  client: etcd cluster is unavailable or misconfigured\n" +
      `error #0: client: endpoint ${server.url} exceeded header timeout\n\n`,
  );
  assert.equal(outcome.exit, 4);
  assert.equal(server.received.length, 2);
  await server.close();
});

describe("watching", () => {
  test("with several events goes on from each, and an empty answer is asked again", async () => {
    const server = await ScriptedServer.listen();
    const event = (action: string, index: number, dir = false): string =>
      JSON.stringify({ action, node: { key: "/d/x", value: "v", dir, modifiedIndex: index } });
    server.begin([
      { method: "GET", path: "/v2/keys/d", body: "", times: 1 },
      { method: "GET", path: "/v2/keys/d", body: event("set", 9, true), times: 1 },
      { method: "GET", path: "/v2/keys/d", body: event("expire", 20), times: 1 },
    ]);
    const words = ["--no-sync", "--endpoints", server.url, "watch", "--recursive", "/d"];
    const outcome = await runInside(words);
    assert.deepEqual(outcome, { exit: 0, stdout: "[expire] /d/x\nv\n", stderr: "" });
    const indexes = server.received.map(({ query }) => new URLSearchParams(query).get("waitIndex"));
    assert.deepEqual(indexes, ["0", "0", "10"]);
    await server.close();
  });
});

describe("rare options", () => {
  let server: ScriptedServer;
  before(async () => {
    server = await ScriptedServer.listen();
  });
  after(() => server.close());

  test("a user without a name is nobody", async () => {
    for (const user of [":", ":secret"]) {
      server.begin([getRoute]);
      await runInside(["--no-sync", "--endpoints", server.url, "-u", user, "get", "/k"]);
      assert.deepEqual(
        server.received.map(({ authorization }) => authorization),
        [undefined],
      );
    }
  });

  test("time limits beyond the reach of a timer do not end at once", async () => {
    server.begin([getRoute]);
    const limits = ["--timeout", "1000h", "--total-timeout", "1000h"];
    const words = [...limits, "--no-sync", "--endpoints", server.url, "get", "/k"];
    assert.deepEqual(await runInside(words), { exit: 0, stdout: "v\n", stderr: "" });
  });

  test("watching after -1 begins now, as 64 bits without a sign have it", async () => {
    server.begin([getRoute]);
    const options = ["--no-sync", "--endpoints", server.url];
    await runInside([...options, "watch", "--after-index", "-1", "/k"]);
    assert.equal(server.received[0]?.query, "recursive=false&wait=true&waitIndex=0");
  });

  test("exec-watch without a program is refused before it waits", async () => {
    server.begin([getRoute]);
    const words = ["--no-sync", "--endpoints", server.url, "exec-watch", "/k", "--"];
    assert.deepEqual(await runInside(words), {
      exit: 1,
      stdout: "",
      stderr: "Error:  key and command to exec required\n",
    });
  });

  test("a port that cannot be is a failed connection", async () => {
    const words = ["--endpoints", "http://127.0.0.1:99999", "get", "/k"];
    const { exit, stderr } = await runInside(words);
    assert.equal(exit, 2);
    assert.match(stderr, /\nerror #0: dial tcp: address 99999: invalid port\n\n$/);
  });

  test("--debug shows addresses without a host as etcdctl 2.3.8 does", async () => {
    const shown = async (endpoint: string): Promise<string | undefined> => {
      const words = ["--debug", "--no-sync", "--endpoints", endpoint, "get", "/k"];
      return /curl -X GET (\S*)\?/.exec((await runInside(words)).stderr)?.[1];
    };
    assert.equal(await shown(","), "http:///v2/keys/k");
    assert.equal(await shown("localhost:1"), "localhost:1");
    assert.equal(await shown("ftp://h:1"), "ftp://h:1/v2/keys/k");
  });

  test("cluster-health reports unusable certificates like a failed cluster", async () => {
    for (const [options, complaint] of [
      [["--ca-file", "/nope"], "open /nope: no such file or directory"],
      [["--ca-file", "/"], "read /: is a directory"],
      [["--key-file", "k"], "KeyFile and CertFile must both be present[key: k, cert: ]"],
    ] as const) {
      assert.deepEqual(await runInside([...options, "cluster-health"]), {
        exit: 4,
        stdout: "",
        stderr: `Error:  ${complaint}\n`,
      });
    }
  });

  test("cluster-health asks for the members without a limit of its own", async () => {
    const members = `{"members":[{"id":"a1","clientURLs":["${server.url}"]}]}`;
    server.begin([
      { method: "GET", path: "/v2/members", body: members },
      { method: "GET", path: "/health", body: '{"health": "true"}' },
    ]);
    const words = ["--total-timeout", "0", "--endpoints", server.url, "cluster-health"];
    assert.equal((await runInside(words)).exit, 0);
  });
});
