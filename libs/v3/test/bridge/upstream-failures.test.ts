/** What clients of v2 are told when a real v3 cluster fails or refuses, and that nothing is half done. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EtcdError, type WriteAction, writeCommand } from "@etcd2/store";
import * as methods from "../../src/client/methods.ts";
import { type Credentials, V3Client } from "../../src/client/v3-client.ts";
import { collectEvents, openBridge, type OpenedBridge, until } from "../support/bridge-pair.ts";
import { noRealEtcd, RealEtcd } from "../support/real-etcd.ts";

const QUORUM = { recursive: false, quorum: true };
const ROOT = { user: "root", password: "r" };

function write(
  { bridge }: OpenedBridge,
  action: WriteAction,
  path: string,
  more: Readonly<Record<string, unknown>> = {},
  credentials?: Credentials,
) {
  return bridge.write(writeCommand({ action, path: `/1${path}`, ...more }), credentials);
}

async function valueOf({ bridge }: OpenedBridge, path: string): Promise<string | undefined> {
  return (await bridge.read(`/1${path}`, QUORUM, undefined)).node.value;
}

/** Keys of a server that begin with a slash, records of the bridge among them. */
async function keysOf(endpoint: string): Promise<readonly string[]> {
  const v3 = new V3Client({ endpoints: [endpoint] });
  try {
    const range = { key: Buffer.from("/"), rangeEnd: Buffer.from("0") };
    const { kvs } = await v3.call(methods.range, range);
    return kvs.map(({ key }) => Buffer.from(key).toString());
  } finally {
    v3.close();
  }
}

/** Runs a test with bridges over a cluster, and ends them all. */
async function over(
  size: number,
  flags: readonly string[],
  test: (servers: readonly RealEtcd[], open: typeof openBridge) => Promise<void>,
): Promise<void> {
  const servers = await RealEtcd.startCluster(size, flags);
  const opened: OpenedBridge[] = [];
  try {
    await test(servers, async (...given) => {
      const one = await openBridge(...given);
      opened.push(one);
      return one;
    });
  } finally {
    for (const { close } of opened) close();
    await Promise.all(servers.map((server) => server.remove()));
  }
}

async function leaderOf(servers: readonly RealEtcd[]): Promise<RealEtcd> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    for (const server of servers) {
      const v3 = new V3Client({ endpoints: [server.endpoint] });
      try {
        const { header, leader } = await v3.call(methods.status, {});
        if (leader !== 0n && header?.memberId === leader) return server;
      } catch {
        // It may be down: another one leads.
      } finally {
        v3.close();
      }
    }
    if (performance.now() > deadline) throw new Error("no member leads");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("a bridge whose cluster refuses", { skip: noRealEtcd }, () => {
  it("says that no space is left, and still reads and deletes", async () => {
    await over(1, ["--quota-backend-bytes", "2097152"], async ([etcd], open) => {
      assert.ok(etcd !== undefined);
      const opened = await open([etcd.endpoint]);
      await write(opened, "create", "/full/kept", { value: "1" });
      const from = opened.bridge.etcdIndex + 1;
      const value = "x".repeat(200_000);
      let n = 0;
      const refusal: unknown = await (async () => {
        for (; n < 100; n += 1) await write(opened, "set", `/full/${n}`, { value });
        return undefined;
      })().catch((error: unknown) => error);
      assert.ok(refusal instanceof EtcdError, "the space came to an end");
      assert.deepEqual([refusal.code, /space exceeded/.test(refusal.cause)], [310, true]);
      assert.match(refusal.cause, /may have been carried out/);
      const isThere = await valueOf(opened, `/full/${n}`).then(
        () => true,
        () => false,
      );
      await assert.rejects(write(opened, "set", "/full/new", { value }), { code: 310 });
      await assert.rejects(valueOf(opened, "/full/new"), { code: 100 });
      await assert.rejects(write(opened, "update", "/full/kept", { value: "2" }), { code: 310 });
      assert.equal(await valueOf(opened, "/full/kept"), "1");
      const events = collectEvents(opened.bridge, "/1/full", from);
      await write(opened, "compareAndDelete", "/full/kept", { prevValue: "1" });
      await assert.rejects(valueOf(opened, "/full/kept"), { code: 100 });
      await write(opened, "delete", "/full", { recursive: true });
      await assert.rejects(valueOf(opened, "/full"), { code: 100 });
      const count = n + Number(isThere);
      await until("the removals", () => events.texts.length >= 2 * count + 1);
      const told = events.texts.filter((text) => text.startsWith("delete"));
      const files = Array.from({ length: count }, (_, at) => `/1/full/${at}`).toSorted();
      assert.deepEqual(
        told,
        ["/1/full/kept", ...files].map((key) => `delete ${key}=`),
      );
    });
  });

  for (const bytes of [1_600_000, 4_000_000]) {
    it(`says that a value of ${bytes} bytes is too large, and stores nothing of it`, async () => {
      await over(1, [], async ([etcd], open) => {
        assert.ok(etcd !== undefined);
        const opened = await open([etcd.endpoint]);
        await write(opened, "set", "/large/there", { value: "1" });
        const before = await keysOf(etcd.endpoint);
        const value = "x".repeat(bytes);
        for (const path of ["/large/there", "/large/new", "/other/deep/new"]) {
          await assert.rejects(write(opened, "set", path, { value }), { code: 209 });
        }
        assert.deepEqual(await keysOf(etcd.endpoint), before);
        assert.equal(await valueOf(opened, "/large/there"), "1");
      });
    });
  }

  it("renews tokens that ran out, and refuses with 110 what a user may not do", async () => {
    await over(1, ["--auth-token-ttl", "1"], async ([etcd], open) => {
      assert.ok(etcd !== undefined);
      const v3 = new V3Client({ endpoints: [etcd.endpoint] });
      const ann = { user: "ann", password: "a" };
      try {
        await v3.call(methods.userAdd, { name: "root", password: "r" });
        await v3.call(methods.roleAdd, { name: "root" });
        await v3.call(methods.userGrantRole, { user: "root", role: "root" });
        await v3.call(methods.userAdd, { name: "ann", password: "a" });
        await v3.call(methods.authEnable, {});
      } finally {
        v3.close();
      }
      const opened = await open([etcd.endpoint], "/v2", { credentials: ROOT });
      await write(opened, "set", "/k", { value: "1" }, ROOT);
      const events = collectEvents(opened.bridge, "/1", opened.bridge.etcdIndex + 1);
      // Longer than the life of a token and the server's look for old ones.
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await write(opened, "set", "/k", { value: "2" }, ROOT);
      await opened.bridge.confirm();
      await assert.rejects(write(opened, "set", "/k", { value: "3" }, ann), { code: 110 });
      await assert.rejects(opened.bridge.read("/1/k", QUORUM, ann), { code: 110 });
      const { node } = await opened.bridge.read("/1/k", QUORUM, ROOT);
      assert.equal(node.value, "2");
      await until("the event", () => events.texts.length > 0);
      assert.deepEqual(events.texts, ["set /1/k=2"]);
    });
  });
});

describe("a bridge over a cluster of three", { skip: noRealEtcd }, () => {
  it("goes on without one member, and over the end of the leader", async () => {
    await over(3, [], async (servers, open) => {
      const opened = await open(servers.map(({ endpoint }) => endpoint));
      const first = await write(opened, "set", "/c/n", { value: "0" });
      const events = collectEvents(opened.bridge, "/1/c", first.node.modifiedIndex + 1);
      let told = 0;
      const carryOn = async (): Promise<void> => {
        const deadline = performance.now() + 60_000;
        for (let n = 0; n < 20;) {
          try {
            await write(opened, "set", "/c/n", { value: String(told + 1) });
            told += 1;
            n += 1;
          } catch (error) {
            assert.ok(error instanceof EtcdError && error.code === 300, String(error));
            assert.ok(performance.now() < deadline, "the cluster serves again");
            // Whether that one happened is not known: the next value tells.
            const value = Number(await valueOf(opened, "/c/n").catch(() => told));
            assert.ok(value === told || value === told + 1, `${value} after ${told}`);
            told = value;
          }
        }
      };
      await carryOn();
      const leader = await leaderOf(servers);
      const follower = servers.find((server) => server !== leader);
      await follower?.kill();
      await carryOn();
      await follower?.restart();
      await (await leaderOf(servers)).kill();
      await carryOn();
      const values = (): number[] => events.texts.map((text) => Number(text.split("=")[1]));
      await until("the last event", () => values().at(-1) === told);
      assert.deepEqual(
        [...new Set(events.indexes)],
        events.indexes.toSorted((a, b) => a - b),
        "no event twice, none out of order",
      );
      assert.deepEqual(
        [...new Set(values())],
        Array.from({ length: told }, (_, n) => n + 1),
        "no value missing",
      );
    });
  });

  it("says of a write without a majority that its outcome is not known, and never repeats it", async () => {
    await over(3, [], async (servers, open) => {
      const leader = await leaderOf(servers);
      const opened = await open([leader.endpoint], "/v2", { timeoutMs: 15_000 });
      const before = await write(opened, "set", "/m", { value: "1" });
      const followers = servers.filter((server) => server !== leader);
      for (const server of followers) server.signal("SIGSTOP");
      const failure: unknown = await write(opened, "set", "/m", { value: "2" }).catch(
        (error: unknown) => error,
      );
      for (const server of followers) server.signal("SIGCONT");
      assert.ok(failure instanceof EtcdError, String(failure));
      assert.equal(failure.code, 300);
      assert.match(failure.cause, /^etcdserver: request timed out/);
      const index = before.node.modifiedIndex;
      const deadline = performance.now() + 60_000;
      let node;
      while (node === undefined) {
        assert.ok(performance.now() < deadline, "the cluster serves again");
        node = await opened.bridge.read("/1/m", QUORUM, undefined).then(
          (answer) => answer.node,
          () => undefined,
        );
      }
      const isKnown =
        (node.value === "1" && node.modifiedIndex === index) ||
        (node.value === "2" && node.modifiedIndex === index + 1);
      assert.ok(isKnown, `${node.value} at ${node.modifiedIndex} after ${index}`);
    });
  });

  it("says that a write was not carried out while no endpoint answers", async () => {
    await over(1, [], async ([etcd], open) => {
      assert.ok(etcd !== undefined);
      const opened = await open([etcd.endpoint], "/v2", { timeoutMs: 1000 });
      await write(opened, "set", "/k", { value: "1" });
      await etcd.kill();
      // The first may have been on its way as the connection broke.
      await write(opened, "set", "/k", { value: "2" }).catch(() => undefined);
      await assert.rejects(write(opened, "set", "/k", { value: "3" }), (error) => {
        assert.ok(error instanceof EtcdError && error.code === 300);
        assert.match(error.cause, /not carried out/);
        return true;
      });
      await assert.rejects(valueOf(opened, "/k"), { code: 300 });
      await etcd.restart();
      await until("the watch stands", () => opened.bridge.isWatching);
      assert.notEqual(await valueOf(opened, "/k"), "3");
    });
  });
});
