import assert from "node:assert/strict";
import { after, before, describe, it, test } from "node:test";
import { writeCommand } from "@etcd2/store";
import { WATCH_QUEUE_BYTES_MAX } from "../../src/ports/limits.ts";
import { RawConnection, type RawTarget } from "@etcd2/test-support/traces";
import { startFakeServer, until, type RunningFake } from "../fake-server.ts";

let running: RunningFake;
before(async () => {
  running = await startFakeServer();
});
after(() => running.close());

const open = (): Promise<RawConnection> => RawConnection.open(running.baseUrl);

/** One write, from a connection of its own. */
async function write(method: string, target: string, value = ""): Promise<number> {
  const connection = await open();
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  const request = { method, target: `/v2/keys${target}`, headers, body: `value=${value}` };
  const response = await connection.exchange(request);
  connection.close();
  assert.ok(
    response.status < 300,
    `${method} ${target}: ${String(response.status)} ${response.body}`,
  );
  return Number(response.headers.get("x-etcd-index"));
}

/** Bodies of the first `count` documents of a watch. */
async function documents(target: string, count: number): Promise<string[]> {
  const connection = await open();
  connection.send({ method: "GET", target: `/v2/keys${target}` });
  const response = await connection.head(5000);
  assert.equal(response.status, 200);
  const lines = (): string[] => response.body.split("\n").slice(0, -1);
  assert.ok(await connection.receive(5000, () => lines().length >= count));
  connection.close();
  return lines();
}

const keysOf = (lines: string[]): string[] =>
  lines.map((line) => {
    const event = JSON.parse(line) as { action: string; node: { key: string } };
    return `${event.action} ${event.node.key}`;
  });

test("a quorum read does not wait", async () => {
  const index = await write("PUT", "/qw", "1");
  for (const extra of ["", "&stream=true&recursive=true", `&waitIndex=${String(index)}`]) {
    const connection = await open();
    const target = `/v2/keys/qw?wait=true&quorum=true${extra}`;
    const response = await connection.exchange({ method: "GET", target }, 5000);
    assert.match(response.body, /^\{"action":"get","node":\{"key":"\/qw","value":"1",/);
    connection.close();
  }
});

test("a stream from a past index gives all missed events, then live ones", async () => {
  const first = await write("PUT", "/hs/a", "1");
  await write("PUT", "/hs/b", "2");
  await write("DELETE", "/hs/a");
  const connection = await open();
  const target = `/v2/keys/hs?wait=true&recursive=true&stream=true&waitIndex=${String(first)}`;
  connection.send({ method: "GET", target });
  const response = await connection.head(5000);
  const lines = (): string[] => response.body.split("\n").slice(0, -1);
  assert.ok(await connection.receive(5000, () => lines().length >= 3));
  await write("PUT", "/hs/c", "3");
  assert.ok(await connection.receive(5000, () => lines().length >= 4));
  assert.deepEqual(keysOf(lines()), ["set /hs/a", "set /hs/b", "delete /hs/a", "set /hs/c"]);
  connection.close();
});

test("a recursive search of the history finds the watched key itself", async () => {
  const other = await write("PUT", "/hr-other", "1");
  await write("PUT", "/hr", "1");
  const target = `/hr?wait=true&recursive=true&waitIndex=${String(other)}`;
  assert.deepEqual(keysOf(await documents(target, 1)), ["set /hr"]);
});

test("hidden keys are hidden in the history as they are live", async () => {
  const hidden = await write("PUT", "/hh/_x/y", "1");
  await write("PUT", "/hh/z", "2");
  const since = `waitIndex=${String(hidden)}`;
  assert.deepEqual(keysOf(await documents(`/hh?wait=true&recursive=true&${since}`, 1)), [
    "set /hh/z",
  ]);
  assert.deepEqual(keysOf(await documents(`/hh/_x?wait=true&recursive=true&${since}`, 1)), [
    "set /hh/_x/y",
  ]);
});

test("a deleted directory in the history is told by path element, to names that existed", async () => {
  await write("PUT", "/hd/a", "1");
  await write("PUT", "/hdx", "1");
  const gone = await write("DELETE", "/hd?recursive=true");
  await write("PUT", "/hdx", "2");
  await write("PUT", "/hd/never", "3");
  const since = `wait=true&waitIndex=${String(gone)}`;
  assert.deepEqual(keysOf(await documents(`/hdx?${since}`, 1)), ["set /hdx"]);
  assert.deepEqual(keysOf(await documents(`/hd/a?${since}`, 1)), ["delete /hd"]);
  assert.deepEqual(keysOf(await documents(`/hd/never?${since}`, 1)), ["set /hd/never"]);
});

for (const [title, remove] of [
  ["deleted", (): Promise<number> => write("DELETE", "/once")],
  ["expired", (): Promise<number> => write("PUT", "/once?ttl=0", "2")],
] as const) {
  test(`a stream whose key is ${title} is told once`, async () => {
    await write("PUT", "/once", "1");
    const connection = await open();
    connection.send({ method: "GET", target: "/v2/keys/once?wait=true&stream=true" });
    const response = await connection.head(5000);
    await remove();
    await until(() => running.server.reader.peek("/1/once") === undefined);
    await write("PUT", "/once", "3");
    assert.ok(await connection.receive(5000, () => response.body.includes('"value":"3"')));
    const actions = keysOf(response.body.split("\n").slice(0, -1)).map(
      (line) => line.split(" ")[0],
    );
    const expected = title === "deleted" ? ["delete", "set"] : ["set", "expire", "set"];
    assert.deepEqual(actions, expected);
    connection.close();
  });
}

test("1000 idle watchers are held, told at once, and gone with their clients", async () => {
  await until(() => running.server.hub.watchers === 0);
  const connections = await Promise.all(Array.from({ length: 1000 }, open));
  for (const connection of connections) {
    connection.send({ method: "GET", target: "/v2/keys/many?wait=true" });
  }
  const responses = await Promise.all(connections.map((connection) => connection.head(10_000)));
  assert.equal(running.server.hub.watchers, 1000);
  for (const connection of connections.slice(0, 300)) connection.close();
  await until(() => running.server.hub.watchers === 700);
  await write("PUT", "/many", "1");
  const rest = connections.slice(300);
  const ended = await Promise.all(rest.map((connection) => connection.receive(10_000)));
  assert.ok(ended.every(Boolean));
  assert.equal(new Set(responses.slice(300).map(({ body }) => body)).size, 1);
  assert.equal(running.server.hub.watchers, 0);
  for (const connection of rest) connection.close();
});

interface Stream {
  readonly connection: RawConnection;
  /** Waits for so many large events. @returns Their names. */
  readonly names: (count: number) => Promise<string[]>;
  readonly close: () => void;
}

const LARGE = 1 << 20;

/** A watch of everything below a key, for large events. */
async function stream(target: RawTarget, key: string): Promise<Stream> {
  const connection = await RawConnection.open(target);
  const query = "wait=true&stream=true&recursive=true";
  connection.send({ method: "GET", target: `/v2/keys${key}?${query}` });
  const response = await connection.head(20_000);
  return {
    connection,
    names: async (count) => {
      const isComplete = (): boolean =>
        response.body.length > count * LARGE && response.body.endsWith("\n");
      await connection.receive(60_000, isComplete);
      const lines = response.body.split("\n").slice(0, -1);
      return lines.map((line) => /"key":"[^"]*\/(\d+)"/.exec(line.slice(0, 100))?.[1] ?? line);
    },
    close: () => {
      connection.close();
    },
  };
}

/** Writes a large value below a key. */
function writeLarge({ server }: RunningFake, key: string, n: number, bytes = LARGE): void {
  const path = `/1${key}/${String(n)}`;
  server.apply(writeCommand({ action: "set", path, value: "x".repeat(bytes) }));
}

const dropped = ({ server }: RunningFake): number =>
  server.meter.value("etcd2_watchers_dropped_total");

describe("large events", () => {
  it("worth more than all watchers may have waiting reach every one that reads", async () => {
    const other = await startFakeServer({ watchBytesMax: 8 << 20 });
    try {
      const streams: Stream[] = [];
      for (let i = 0; i < 30; i++) streams.push(await stream(other.baseUrl, "/large"));
      for (let n = 1; n <= 2; n++) writeLarge(other, "/large", n);
      const all = await Promise.all(streams.map(({ names }) => names(2)));
      for (const names of all) assert.deepEqual(names, ["1", "2"]);
      assert.equal(dropped(other), 0);
      for (const { close } of streams) close();
    } finally {
      await other.close();
    }
  });

  it("in a burst do not cut off a watcher that reads", async () => {
    const other = await startFakeServer();
    try {
      const { names, close } = await stream(other.baseUrl, "/burst");
      for (let n = 1; n <= 12; n++) writeLarge(other, "/burst", n);
      const expected = Array.from({ length: 12 }, (_, i) => String(i + 1));
      assert.deepEqual(await names(12), expected);
      assert.equal(dropped(other), 0);
      close();
    } finally {
      await other.close();
    }
  });

  it("wait for room, and only watchers that take nothing are cut off for it", async () => {
    const other = await startFakeServer({ watchBytesMax: 8 << 20, watchStallMs: 500 });
    try {
      const stuck: Stream[] = [];
      // Without a network there are no buffers of unknown size in between.
      for (let i = 0; i < 10; i++) stuck.push(await stream(other.connect, "/room"));
      for (const { connection } of stuck) connection.pause();
      for (let n = 1; n <= 2; n++) writeLarge(other, "/room", n);
      const quick = await stream(other.baseUrl, "/room");
      writeLarge(other, "/room", 3);
      assert.deepEqual(await quick.names(1), ["3"]);
      await until(() => dropped(other) === 10, 60_000);
      assert.equal(other.server.hub.watchers, 1);
      for (const { close } of [...stuck, quick]) close();
    } finally {
      await other.close();
    }
  });

  it("wait for a watcher that does not read, until it is cut off", async () => {
    const other = await startFakeServer({ watchStallMs: 500 });
    try {
      const { connection, close } = await stream(other.connect, "/stuck");
      connection.pause();
      for (let n = 1; n <= 16; n++) writeLarge(other, "/stuck", n, WATCH_QUEUE_BYTES_MAX / 4);
      assert.equal(other.server.hub.watchers, 1, "it is given time");
      await until(() => other.server.hub.watchers === 0, 60_000);
      assert.equal(dropped(other), 1);
      close();
    } finally {
      await other.close();
    }
  });
});

test("whoever writes has the answer before watchers are told", async () => {
  const order: string[] = [];
  const { server } = running;
  server.hub.watch({
    path: "/1/order",
    recursive: false,
    sinceIndex: 0,
    stream: false,
    deliver: () => {
      order.push("told");
      return "taken";
    },
    ended: () => undefined,
  });
  server.propose(writeCommand({ action: "set", path: "/1/order", value: "1" }), () => {
    order.push("answered");
  });
  await until(() => order.length === 2);
  assert.deepEqual(order, ["answered", "told"]);
});

test("a stream far behind gets everything however slowly it reads", async () => {
  const other = await startFakeServer({ historyMax: 5000 });
  const count = 2000;
  const value = "x".repeat(2000);
  for (let i = 0; i < count; i++) {
    other.server.apply(writeCommand({ action: "set", path: "/1/far", value }));
  }
  const connection = await RawConnection.open(other.baseUrl);
  const target = "/v2/keys/far?wait=true&stream=true&waitIndex=3";
  connection.send({ method: "GET", target });
  const response = await connection.head(5000);
  connection.pause();
  // Other clients are served while this one is stuck, and then it goes on.
  const live = await RawConnection.open(other.baseUrl);
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  for (let i = 0; i < 20; i++) {
    const write = await live.exchange({
      method: "PUT",
      target: "/v2/keys/far",
      headers,
      body: "value=live",
    });
    assert.equal(write.status, 200);
  }
  connection.resume();
  const last = `"value":"live","modifiedIndex":${String(count + 22)}`;
  const isComplete = (): boolean =>
    response.body.endsWith("\n") && response.body.slice(-500).includes(last);
  assert.ok(await connection.receive(20_000, isComplete));
  const indices = response.body
    .split("\n")
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { node: { modifiedIndex: number } }).node.modifiedIndex);
  assert.deepEqual(
    indices,
    Array.from({ length: count + 20 }, (_, i) => i + 3),
  );
  connection.close();
  live.close();
  await other.close();
});

test("watches end in order when the server shuts down", async () => {
  const other = await startFakeServer();
  const connections = await Promise.all(
    ["wait=true", "wait=true&stream=true"].map(async (query) => {
      const connection = await RawConnection.open(other.baseUrl);
      connection.send({ method: "GET", target: `/v2/keys/a?${query}` });
      await connection.head(5000);
      return connection;
    }),
  );
  other.server.hub.close();
  for (const connection of connections) {
    assert.ok(await connection.receive(5000), "the response did not end");
    connection.close();
  }
  await other.close();
});

test("a watch index before the history is answered with 401 and its bounds", async () => {
  const other = await startFakeServer({ historyMax: 10 });
  const connection = await RawConnection.open(other.baseUrl);
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  for (let i = 0; i < 20; i++) {
    await connection.exchange({
      method: "PUT",
      target: "/v2/keys/a",
      headers,
      body: `value=${String(i)}`,
    });
  }
  const index = other.server.reader.etcdIndex;
  const response = await connection.exchange({
    method: "GET",
    target: "/v2/keys/a?wait=true&waitIndex=1",
  });
  assert.equal(response.status, 400);
  const cause = `the requested history has been cleared [${String(index - 9)}/1]`;
  assert.deepEqual(JSON.parse(response.body), {
    errorCode: 401,
    message: "The event in requested index is outdated and cleared",
    cause,
    index,
  });
  assert.equal(response.headers.get("x-etcd-index"), String(index));
  assert.equal(response.headers.get("x-raft-index"), undefined);
  connection.close();
  await other.close();
});
