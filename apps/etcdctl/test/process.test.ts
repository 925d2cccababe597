/** What only a real process shows: streams, signals, terminals, time. */
import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { bundledProgram, type Outcome, Running, startBundle } from "./support/run.ts";
import { ScriptedServer } from "./support/scripted-server.ts";

const value =
  '{"action":"get","node":{"key":"/k","value":"v","modifiedIndex":7,"createdIndex":5}}\n';

function basic(credentials: string): string {
  return `Basic ${Buffer.from(credentials).toString("base64")}`;
}

describe("a process", () => {
  let server: ScriptedServer;
  before(async () => {
    server = await ScriptedServer.listen();
  });
  after(() => server.close());

  test("answers a get", async () => {
    server.begin([
      {
        method: "GET",
        path: "/v2/members",
        body: `{"members":[{"clientURLs":["${server.url}"]}]}`,
      },
      { method: "GET", path: "/v2/keys/k", body: value },
    ]);
    const running = startBundle(["--timeout", "30s", "--endpoints", server.url, "get", "/k"]);
    assert.equal((await running.outcome()).stdout, "v\n");
  });

  test("that lists more than a pipe holds loses nothing", async () => {
    const names = Array.from({ length: 40_000 }, (_, i) => `/dir/key-${i}`);
    const nodes = names.map((key) => ({ key }));
    const body = JSON.stringify({ action: "get", node: { dir: true, key: "/dir", nodes } });
    server.begin([{ method: "GET", path: "/v2/keys/dir", body }]);
    const words = ["--no-sync", "--endpoints", server.url, "ls", "/dir"];
    const { stdout, exit } = await startBundle(words).outcome();
    assert.equal(exit, 0);
    assert.equal(stdout, names.map((name) => `${name}\n`).join(""));
  });

  test("whose reader goes away ends without a complaint", async () => {
    const nodes = Array.from({ length: 40_000 }, (_, i) => ({ key: `/dir/key-${i}` }));
    const body = JSON.stringify({ action: "get", node: { dir: true, key: "/dir", nodes } });
    server.begin([{ method: "GET", path: "/v2/keys/dir", body }]);
    const running = startBundle(["--no-sync", "--endpoints", server.url, "ls", "/dir"]);
    running.child.stdout.destroy();
    const { exit, stderr } = await running.outcome();
    assert.deepEqual([exit, stderr], [141, ""]);
  });

  test("whose output cannot be written says so in a line", async () => {
    server.begin([{ method: "GET", path: "/v2/keys/k", body: value }]);
    const words = ["--no-sync", "--endpoints", server.url, "get", "/k"];
    const quoted = [process.execPath, bundledProgram(), ...words].map((w) => `'${w}'`).join(" ");
    const running = new Running(["sh", "-c", `${quoted} > /dev/full`], ".", {});
    const { exit, stderr } = await running.outcome();
    assert.match(stderr, /^cannot write the output: ENOSPC: no space left on device, write\n$/);
    assert.equal(exit, 1);
  });

  test("does not wait for an input that stays open", async () => {
    server.begin([{ method: "GET", path: "/v2/keys/k", body: value }]);
    const words = ["--no-sync", "--endpoints", server.url, "-u", "me", "get", "/k"];
    const running = startBundle(words);
    running.child.stdin.write("secret\n");
    const { exit, stdout } = await running.outcome(10_000);
    assert.deepEqual([exit, stdout], [0, "Password: \nv\n"]);
    assert.equal(server.received[0]?.authorization, basic("me:secret"));
  });

  test("reads a password and then a value from one input", async () => {
    server.begin([{ method: "PUT", path: "/v2/keys/k", body: value }]);
    const running = startBundle(["--no-sync", "--endpoints", server.url, "-u", "me", "set", "/k"]);
    running.child.stdin.end("secret\nthe value\n");
    assert.equal((await running.outcome()).exit, 0);
    assert.equal(server.received[0]?.body, "value=the+value%0A");
  });

  test("sends bytes that are no text as they are", async () => {
    server.begin([{ method: "PUT", path: "/v2/keys/k", body: value }]);
    const running = startBundle(["--no-sync", "--endpoints", server.url, "set", "/k"]);
    running.child.stdin.end(Buffer.of(0xff, 0x00, 0x41));
    assert.equal((await running.outcome()).exit, 0);
    assert.equal(server.received[0]?.body, "value=%FF%00A");
  });

  test("that is interrupted while it waits for an answer dies of the signal", async () => {
    server.begin([{ method: "GET", path: "/v2/keys/k", hang: true }]);
    const words = ["--no-sync", "--timeout", "0", "--endpoints", server.url, "get", "/k"];
    const running = startBundle(words);
    while (server.received.length === 0) await new Promise((resolve) => setImmediate(resolve));
    running.child.kill("SIGINT");
    await running.outcome();
    assert.equal(running.child.signalCode, "SIGINT");
  });
});

test("a watch prints an event within 20 ms of the write", async () => {
  let waiting: http.ServerResponse | undefined;
  let arrived = (): void => undefined;
  const server = http.createServer((_request, response) => {
    response.writeHead(200, { "X-Etcd-Index": "5" });
    response.flushHeaders();
    waiting = response;
    arrived();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const nextWait = (): Promise<void> => new Promise((resolve) => (arrived = resolve));
  let wait = nextWait();
  const running = startBundle(["--no-sync", "--endpoints", url, "watch", "--forever", "/k"]);
  const delays: number[] = [];
  for (let i = 1; i <= 9; i++) {
    await wait;
    wait = nextWait();
    const node = { key: "/k", value: String(i), modifiedIndex: i, createdIndex: i };
    const started = performance.now();
    waiting?.end(JSON.stringify({ action: "set", node }));
    await running.outputFits((text) => text.endsWith(`${i}\n`));
    delays.push(performance.now() - started);
  }
  running.child.kill("SIGINT");
  assert.equal((await running.outcome()).exit, 0);
  server.closeAllConnections();
  server.close();
  const median = delays.sort((a, b) => a - b)[4] ?? 0;
  console.log(`event to output: median ${median.toFixed(1)} ms`);
  // A few milliseconds on a quiet machine; held back by a buffer or a poll, it would be this at least.
  assert.ok(median <= 250, `${median} ms`);
});

describe("a terminal", () => {
  let server: ScriptedServer;
  before(async () => {
    server = await ScriptedServer.listen();
    server.begin([{ method: "GET", path: "/v2/keys/k", body: value }]);
  });
  after(() => server.close());

  /** Asks for a password on a pseudo terminal, types it, returns what the terminal showed. */
  async function askedFor(
    typed: string,
    command: readonly string[] = ["get", "/k"],
  ): Promise<Outcome> {
    const words = ["--no-sync", "--endpoints", server.url, "-u", "me", ...command];
    const quoted = [process.execPath, bundledProgram(), ...words].map((w) => `'${w}'`).join(" ");
    const running = new Running(["script", "-qec", quoted, "/dev/null"], ".", {});
    await running.outputFits((text) => text.includes("Password: "));
    running.child.stdin.write(typed);
    return running.outcome();
  }

  test("shows the prompt but not what is typed, and lets it be corrected", async () => {
    const { stdout, exit } = await askedFor("nonsense\x15sex\x7fcré\x7fet\r");
    assert.deepEqual([stdout, exit], ["Password: \r\nv\r\n", 0]);
    assert.equal(server.received.at(-1)?.authorization, basic("me:secret"));
  });

  test("is left at the prompt by Ctrl-C", async () => {
    const { stdout, exit } = await askedFor("abc\x03");
    assert.deepEqual([stdout, exit], ["Password: \r\n", 130]);
  });

  test("is left at the prompt by Ctrl-\\, which is no part of a password", async () => {
    const { stdout, exit } = await askedFor("abc\x1c");
    assert.deepEqual([stdout.slice(0, 12), exit], ["Password: \r\n", 131]);
  });

  test("keeps what is typed ahead for the next prompt", async () => {
    server.begin([
      { method: "GET", path: "/v2/auth/users/al", body: '{"user":"al","roles":[]}' },
      { method: "PUT", path: "/v2/auth/users/al", body: '{"user":"al","roles":[]}' },
    ]);
    const { stdout, exit } = await askedFor("secret\rnew\r", ["user", "passwd", "al"]);
    assert.equal(exit, 0, stdout);
    assert.equal(server.received.at(-1)?.authorization, basic("me:secret"));
    assert.match(server.received.at(-1)?.body ?? "", /"password":"new"/);
  });
});
