/** Watches over failures: what they wait for next, what they tell, and when they end. */
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { ClusterError, EtcdClient, type EtcdClientError, type WatchEvent } from "../src/index.ts";
import { nodeTransport } from "../src/node/index.ts";
import { answer, FakeServer } from "./servers.ts";

function event(index: number): unknown {
  const node = { key: "/a", value: String(index), modifiedIndex: index, createdIndex: index };
  return { action: "set", node };
}

function waitIndexOf(url: string): number | undefined {
  const text = new URL(url, "http://x").searchParams.get("waitIndex");
  return text === null ? undefined : Number(text);
}

function open(response: ServerResponse, index: number, clusterId = "c1"): void {
  response.writeHead(200, { "X-Etcd-Index": String(index), "X-Etcd-Cluster-Id": clusterId });
  response.flushHeaders();
}

async function take(events: AsyncIterable<WatchEvent>, count: number): Promise<WatchEvent[]> {
  const taken: WatchEvent[] = [];
  for await (const given of events) {
    taken.push(given);
    if (taken.length === count) break;
  }
  return taken;
}

function clientOf(...servers: readonly FakeServer[]): EtcdClient {
  const endpoints = servers.map(({ url }) => url);
  return new EtcdClient({ endpoints, order: "given", transport: nodeTransport(), timeoutMs: 2000 });
}

test("a poll that breaks is made again from the same index, on the next endpoint", async () => {
  const asked: (number | undefined)[] = [];
  await using breaking = await FakeServer.start((request, response) => {
    asked.push(waitIndexOf(request.url ?? ""));
    open(response, 100);
    setImmediate(() => request.socket.destroy());
  });
  await using good = await FakeServer.start((request, response) => {
    const index = waitIndexOf(request.url ?? "") ?? 0;
    asked.push(index);
    answer(response, 200, event(index + 5));
  });
  const retried: EtcdClientError[] = [];
  using client = clientOf(breaking, good);
  const onRetry = (error: EtcdClientError): void => {
    retried.push(error);
  };
  const events = await take(client.watch("/a", { afterIndex: 9, onRetry }), 2);
  // The header said 100, but an event from the history may have been on its way.
  assert.deepEqual(
    events.map(({ index }) => index),
    [15, 21],
  );
  assert.deepEqual(asked.slice(0, 3), [10, 10, 16]);
  assert.equal(retried.length, 0, "another endpoint took over within the same poll");
});

test("a watch without an index begins where the server took it, also after a failure", async () => {
  const asked: (number | undefined)[] = [];
  await using server = await FakeServer.start((request, response) => {
    const index = waitIndexOf(request.url ?? "");
    asked.push(index);
    if (asked.length === 1) {
      open(response, 41);
      setImmediate(() => request.socket.destroy());
    } else answer(response, 200, event(index ?? 0));
  });
  using client = clientOf(server);
  const [first] = await take(client.watch("/a"), 1);
  assert.equal(first?.index, 42);
  assert.deepEqual(asked, [undefined, 42]);
});

test("an answer without a body, a cleared watcher and 5xx are survived, each told", async () => {
  let count = 0;
  await using server = await FakeServer.start((_request, response) => {
    count += 1;
    if (count === 1) answer(response, 200, "");
    else if (count === 2) answer(response, 400, { errorCode: 400, message: "cleared", index: 3 });
    else if (count === 3) answer(response, 503, "");
    else answer(response, 200, event(12));
  });
  const retried: string[] = [];
  using client = clientOf(server);
  const onRetry = ({ name }: EtcdClientError): void => {
    retried.push(name);
  };
  const [first] = await take(client.watch("/a", { afterIndex: 3, onRetry }), 1);
  assert.equal(first?.index, 12);
  assert.deepEqual(retried, ["ProtocolError", "EtcdError", "ClusterError"]);
});

test("error 401 is told once with what was missed, and the watch goes on after it", async () => {
  const asked: (number | undefined)[] = [];
  await using server = await FakeServer.start((request, response) => {
    const index = waitIndexOf(request.url ?? "") ?? 0;
    asked.push(index);
    if (index < 1000) {
      answer(response, 400, { errorCode: 401, message: "outdated", cause: "x", index: 2000 });
    } else answer(response, 200, event(index));
  });
  using client = clientOf(server);
  const events = await take(client.watch("/a", { afterIndex: 4 }), 2);
  assert.deepEqual(events[0], { type: "cleared", missedFrom: 5, index: 2000 });
  assert.equal(events[1]?.index, 2001);
  assert.deepEqual(asked, [5, 2001]);
});

test("a quiet poll is made anew when asked for, from where the server had it", async () => {
  const asked: (number | undefined)[] = [];
  await using server = await FakeServer.start((request, response) => {
    const index = waitIndexOf(request.url ?? "");
    asked.push(index);
    if (asked.length <= 2) open(response, 70);
    else answer(response, 200, event(index ?? 0));
  });
  using client = clientOf(server);
  const [first] = await take(client.watch("/a", { afterIndex: 9, idleMs: 50 }), 1);
  assert.equal(first?.index, 71);
  assert.deepEqual(asked, [10, 71, 71]);
});

test("the time limit holds for the header alone", async () => {
  await using server = await FakeServer.start((_request, response) => {
    open(response, 5);
    setTimeout(() => response.end(JSON.stringify(event(6))), 300);
  });
  using client = clientOf(server);
  const retried: EtcdClientError[] = [];
  const onRetry = (error: EtcdClientError): void => {
    retried.push(error);
  };
  const [first] = await take(client.watch("/a", { timeoutMs: 100, onRetry }), 1);
  assert.deepEqual([first?.index, retried], [6, []]);
});

test("another cluster ends the watch: its indexes mean something else", async () => {
  let clusterId = "c1";
  await using server = await FakeServer.start((_request, response) => {
    answer(response, 200, event(5), { "X-Etcd-Cluster-Id": clusterId });
    clusterId = "c2";
  });
  using client = clientOf(server);
  await assert.rejects(take(client.watch("/a", { afterIndex: 1 }), 3), (error) => {
    return error instanceof ClusterError && error.causes[0]?.name === "ClusterIdError";
  });
});

test("what is no v2 server ends the watch", async () => {
  await using server = await FakeServer.start((_request, response) => {
    answer(response, 200, "<html>");
  });
  using client = clientOf(server);
  await assert.rejects(take(client.watch("/a"), 1), /the answer is not JSON/);
});

test("an abort ends the pause between two tries", async () => {
  await using server = await FakeServer.start((_request, response) => {
    answer(response, 503, "");
  });
  using client = clientOf(server);
  const controller = new AbortController();
  const reason = new Error("enough");
  const onRetry = (): void => {
    controller.abort(reason);
  };
  const { signal } = controller;
  await assert.rejects(take(client.watch("/a", { signal, onRetry }), 1), (e) => e === reason);
});
