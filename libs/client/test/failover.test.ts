/** A real cluster that loses the member the client talks to, while it writes and watches. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "@etcd2/test-support";
import { ClusterError, EtcdClient } from "../src/index.ts";
import { nodeTransport } from "../src/node/index.ts";
import { type RealServer, startCluster } from "./servers.ts";

let members: readonly RealServer[];
before(async () => {
  members = await startCluster(3);
});
after(async () => {
  await Promise.all(members.map((member) => member.stop()));
});

test("a watch misses nothing and shows nothing twice when its member dies", async () => {
  const endpoints = members.map(({ url }) => url);
  const make = (): EtcdClient => {
    return new EtcdClient({ endpoints, order: "given", transport: nodeTransport() });
  };
  using writer = make();
  using watcher = make();
  const start = await writer.keys.set("/load/start", "x");
  const seen: { readonly index: number; readonly value: string }[] = [];
  const controller = new AbortController();
  const { signal } = controller;
  const options = { recursive: true, afterIndex: start.index, signal };
  const watching = (async () => {
    for await (const event of watcher.watch("/load", options)) {
      assert.ok(event.type === "change" && !event.node.dir);
      seen.push({ index: event.index, value: event.node.value });
    }
  })();

  const acknowledged: string[] = [];
  /** Writes whose outcome nobody told: each is there once, or not at all. */
  const open: string[] = [];
  const write = async (value: string): Promise<void> => {
    try {
      await writer.keys.set(`/load/${value}`, value);
      acknowledged.push(value);
    } catch (error) {
      assert.ok(error instanceof ClusterError);
      if (error.isOutcomeUnknown) open.push(value);
    }
  };
  for (let i = 0; i < 50; i++) await write(`before-${i}`);
  const [first] = members;
  assert.ok(first !== undefined);
  const killed = first.stop();
  for (let i = 0; i < 20; i++) await write(`during-${i}`);
  await killed;
  await until("the cluster takes writes again", async () => {
    await write(`again-${acknowledged.length}-${open.length}`);
    return acknowledged.at(-1)?.startsWith("again") === true;
  });
  for (let i = 0; i < 50; i++) await write(`after-${i}`);
  const last = acknowledged.at(-1);
  await until("the watch has come as far", () => seen.some(({ value }) => value === last));
  controller.abort(new Error("enough"));
  await assert.rejects(watching, /enough/);

  const values = seen.map(({ value }) => value);
  assert.equal(new Set(values).size, values.length, "nothing comes twice");
  const indexes = seen.map(({ index }) => index);
  assert.deepEqual(
    indexes,
    indexes.toSorted((a, b) => a - b),
  );
  const told = values.filter((value) => !open.includes(value));
  assert.deepEqual(told, acknowledged);
  assert.ok(acknowledged.length > 100);
});
