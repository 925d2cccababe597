/** Watches, expiries and the keys of v3 programs, through a bridge over a real server. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { EtcdError, type WriteAction, writeCommand } from "@etcd2/store";
import * as methods from "../../src/client/methods.ts";
import { V3Client } from "../../src/client/v3-client.ts";
import { collectEvents, openBridge, type OpenedBridge, until } from "../support/bridge-pair.ts";
import { noRealEtcd, RealEtcd } from "../support/real-etcd.ts";

const LISTING = { recursive: true, quorum: true };

describe("a bridge", { skip: noRealEtcd }, () => {
  let etcd: RealEtcd;
  let opened: OpenedBridge;
  let other: OpenedBridge;
  let v3: V3Client;
  before(async () => {
    etcd = await RealEtcd.start();
    opened = await openBridge([etcd.endpoint]);
    other = await openBridge([etcd.endpoint]);
    v3 = new V3Client({ endpoints: [etcd.endpoint] });
  });
  after(async () => {
    opened.close();
    other.close();
    v3.close();
    await etcd.remove();
  });

  const write = (action: WriteAction, path: string, more = {}) =>
    opened.bridge.write(writeCommand({ action, path: `/1${path}`, ...more }), undefined);
  const v3Put = (key: string, value: string, lease = 0n) =>
    v3.call(methods.put, { key: Buffer.from(key), value: Buffer.from(value), lease });
  const names = async (path: string): Promise<string[]> => {
    const { children } = await opened.bridge.read(`/1${path}`, LISTING, undefined);
    return (children?.next(1000) ?? []).map(
      ({ node }) => `${node.key.slice(2)}=${node.value ?? "/"}`,
    );
  };

  it("shows what v3 programs write as set, and lets them read values as they are", async () => {
    await write("set", "/mixed/ours", { value: "é\u00ff" });
    const { kvs } = await v3.call(methods.range, { key: Buffer.from("/v2/mixed/ours") });
    assert.deepEqual(Buffer.from(kvs[0]?.value ?? []), Buffer.from("é\u00ff", "latin1"));
    const events = collectEvents(other.bridge, "/1/mixed", opened.bridge.etcdIndex + 1);
    await v3Put("/v2/mixed/deep/theirs", "1");
    await v3Put("/v2/mixed/ours", "2");
    await v3.call(methods.deleteRange, { key: Buffer.from("/v2/mixed/ours") });
    await until("events", () => events.texts.length >= 3);
    assert.deepEqual(events.texts, [
      "set /1/mixed/deep/theirs=1",
      "set /1/mixed/ours=2",
      "delete /1/mixed/ours=",
    ]);
    assert.deepEqual(await names("/mixed"), ["/mixed/deep=/", "/mixed/deep/theirs=1"]);
    await assert.rejects(write("set", "/mixed/deep", { value: "x" }), { code: 102 });
    await write("set", "/mixed/deep/ours", { value: "3" });
    await write("delete", "/mixed", { recursive: true });
    await assert.rejects(names("/mixed"), { code: 100 });
  });

  it("keeps a plain set in one row, and tells watchers of what a record said before", async () => {
    const rows = async (): Promise<readonly string[]> => {
      const ranges = ["/v2/row/", "/v2.etcd2/f/row/"].map((start) =>
        v3.call(methods.range, {
          key: Buffer.from(start),
          rangeEnd: Buffer.from(`${start.slice(0, -1)}0`),
        }),
      );
      const answers = await Promise.all(ranges);
      return answers.flatMap(({ kvs }) => kvs.map(({ key }) => Buffer.from(key).toString()));
    };
    const data = "/v2/row/a";
    const record = "/v2.etcd2/f/row/a";
    const created = (await write("create", "/row/a", { value: "1" })).node.createdIndex;
    assert.deepEqual(await rows(), [data, record]);
    const indexes: [number, number | undefined, number | undefined][] = [];
    other.bridge.hub.watch({
      path: "/1/row",
      recursive: true,
      stream: true,
      sinceIndex: created + 1,
      deliver: ({ node, prevNode }) => {
        indexes.push([node.createdIndex, prevNode?.createdIndex, prevNode?.modifiedIndex]);
        return "taken";
      },
      ended: () => undefined,
    });
    const updated = (await write("update", "/row/a", { value: "2" })).node;
    assert.equal(updated.createdIndex, created);
    const first = await write("set", "/row/a", { value: "3" });
    assert.equal(first.prevNode?.createdIndex, created);
    assert.deepEqual(await rows(), [data]);
    const second = await write("set", "/row/a", { value: "4" });
    const third = await write("set", "/row/a", { value: "5", expirationMs: Date.now() + 60_000 });
    assert.deepEqual(await rows(), [data, record]);
    const fourth = await write("set", "/row/a", { value: "6" });
    assert.equal(fourth.prevNode?.expirationMs, third.node.expirationMs);
    assert.deepEqual(await rows(), [data]);
    const at = [first, second, third, fourth].map(({ node }) => node.modifiedIndex);
    await until("events", () => indexes.length >= 5);
    assert.deepEqual(indexes, [
      [created, created, created],
      [at[0], created, updated.modifiedIndex],
      [at[1], at[0], at[0]],
      [at[2], at[1], at[1]],
      [at[3], at[2], at[2]],
    ]);
    await write("compareAndSwap", "/row/a", { value: "7", prevIndex: at[3] ?? 0 });
  });

  it("costs the cluster one watch, however many clients watch", async () => {
    const figure = async (name: string): Promise<number> => {
      const page = await (await fetch(`${etcd.endpoint}/metrics`)).text();
      return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(page)?.[1]);
    };
    const names = ["etcd_debugging_mvcc_watcher_total", "etcd_debugging_mvcc_watch_stream_total"];
    // One of each bridge.
    for (const name of names) assert.equal(await figure(name), 2, name);
    let told = 0;
    const watchers = 5000;
    for (let n = 0; n < watchers; n += 1) {
      const path = `/1/many/${n % 100}`;
      const start = { recursive: n % 2 === 0, sinceIndex: 0 };
      const { sinceIndex } = await opened.bridge.startWatch(path, start, undefined);
      opened.bridge.hub.watch({
        path,
        recursive: n % 2 === 0,
        stream: false,
        sinceIndex,
        deliver: () => {
          told += 1;
          return "taken";
        },
        ended: () => undefined,
      });
    }
    assert.equal(opened.bridge.hub.watchers, watchers);
    for (const name of names) assert.equal(await figure(name), 2, name);
    for (let n = 0; n < 100; n += 1) await write("set", `/many/${n}`, { value: "1" });
    await until("all watchers", () => told === watchers);
  });

  it("does not show keys that v2 cannot name, and says so once", async () => {
    await v3Put("/v2//odd", "1");
    await v3Put("/v2//odd", "2");
    await write("set", "/even", { value: "1" });
    await until("the line", () => opened.logged.some((line) => line.includes("/v2//odd")));
    assert.equal(opened.logged.filter((line) => line.includes("/v2//odd")).length, 1);
    assert.ok((await names("")).every((name) => !name.includes("odd")));
  });

  it("tells a watch from the past the same as one that was there, and 401 once compacted", async () => {
    const first = await write("set", "/past/a", { value: "1" });
    const live = collectEvents(opened.bridge, "/1/past", first.etcdIndex);
    await write("update", "/past/a", { value: "2" });
    await write("compareAndSwap", "/past/a", { value: "3", prevValue: "2" });
    await write("set", "/past/d", { dir: true });
    await write("delete", "/past/d", { dir: true });
    await until("live events", () => live.texts.length >= 5);
    const late = await openBridge([etcd.endpoint]);
    try {
      const past = collectEvents(late.bridge, "/1/past", first.etcdIndex);
      await until("past events", () => past.texts.length >= 5);
      assert.deepEqual(past, live);
      const revision = BigInt(opened.bridge.etcdIndex);
      const compacted = await fetch(`${etcd.endpoint}/v3/kv/compaction`, {
        method: "POST",
        body: JSON.stringify({ revision: String(revision), physical: true }),
      });
      assert.equal(compacted.status, 200, await compacted.text());
      const since = { recursive: false, sinceIndex: first.etcdIndex };
      const fresh = await openBridge([etcd.endpoint]);
      await assert
        .rejects(fresh.bridge.startWatch("/1/past/a", since, undefined), (error: unknown) => {
          return error instanceof EtcdError && error.code === 401;
        })
        .finally(() => {
          fresh.close();
        });
      const { sinceIndex } = await late.bridge.startWatch(
        "/1/past/a",
        { recursive: false, sinceIndex: 0 },
        undefined,
      );
      assert.ok(sinceIndex > Number(revision));
    } finally {
      late.close();
    }
  });

  it("ends files and directories at their time, and no sooner", async () => {
    const expirationMs = Date.now() + 1200;
    const events = collectEvents(other.bridge, "/1/short", opened.bridge.etcdIndex + 1);
    await write("set", "/short/file", { value: "1", expirationMs, ttlMs: 1200 });
    await write("set", "/short/dir", { dir: true, expirationMs, ttlMs: 1200 });
    await write("set", "/short/dir/x", { value: "1" });
    await write("set", "/short/stays", { value: "1", expirationMs, ttlMs: 1200 });
    await write("set", "/short/stays", { value: "2" });
    await until("expiry", () => events.texts.length >= 7);
    assert.ok(Date.now() >= expirationMs);
    const expired = events.texts.slice(5).sort();
    assert.deepEqual(expired, ["expire /1/short/dir=", "expire /1/short/file="]);
    assert.deepEqual(await names("/short"), ["/short/stays=2"]);
  });

  it("leaves expiries to the cluster and the others when it is gone", async () => {
    const gone = await openBridge([etcd.endpoint]);
    const events = collectEvents(other.bridge, "/1/left", opened.bridge.etcdIndex + 1);
    const life = { expirationMs: Date.now() + 1000, ttlMs: 1000 };
    for (const [path, more] of [
      ["/1/left/file", { value: "1" }],
      ["/1/left/dir", { dir: true }],
    ] as const) {
      await gone.bridge.write(writeCommand({ action: "set", path, ...more, ...life }), undefined);
    }
    gone.close();
    await until("expiry", () => events.texts.length >= 4);
    assert.deepEqual(events.texts.slice(2).sort(), ["expire /1/left/dir=", "expire /1/left/file="]);
  });
});
