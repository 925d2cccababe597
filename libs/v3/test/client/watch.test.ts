/** Watches that go on over restarts, against a real server. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { until } from "@etcd2/test-support";
import * as methods from "../../src/client/methods.ts";
import { V3Client } from "../../src/client/v3-client.ts";
import type { V3Error } from "../../src/client/v3-error.ts";
import { RangeWatch, type RevisionChanges } from "../../src/client/watch.ts";
import { noRealEtcd, RealEtcd } from "../support/real-etcd.ts";

const text = (value: string): Buffer => Buffer.from(value);

describe("a watch of a range", { skip: noRealEtcd }, () => {
  let server: RealEtcd;
  let client: V3Client;
  before(async () => {
    server = await RealEtcd.start();
    client = new V3Client({ endpoints: [server.endpoint], timeoutMs: 30_000 });
  });
  after(async () => {
    client.close();
    await server.remove();
  });

  async function put(key: string, value: string): Promise<number> {
    const answer = await client.call(methods.put, { key: text(key), value: text(value) });
    return Number(answer.header?.revision);
  }

  test("tells every revision once and in order, over a killed and restarted server", async () => {
    const first = await put("w/0", "x");
    const seen: RevisionChanges[] = [];
    let interruptions = 0;
    const watch = new RangeWatch({
      client,
      key: text("w/"),
      rangeEnd: text("w0"),
      fromRevision: first,
      onChanges: (changes) => seen.push(changes),
      onInterrupted: () => (interruptions += 1),
      onEnd: (error) => {
        assert.fail(error);
      },
    });
    for (let i = 1; i <= 20; i += 1) await put(`w/${i}`, "x");
    await until("the first events", () => seen.length === 21);
    await server.kill();
    await server.restart();
    for (let i = 21; i <= 40; i += 1) await put(`w/${i}`, "x");
    await until("the events after the restart", () => seen.length >= 41);
    const keys = seen.flatMap(({ events }) =>
      events.map(({ kv }) => Buffer.from(kv?.key ?? []).toString()),
    );
    assert.deepEqual(
      keys,
      Array.from({ length: 41 }, (_, i) => `w/${i}`),
    );
    const revisions = seen.map(({ revision }) => revision);
    assert.deepEqual(
      revisions,
      [...new Set(revisions)].sort((a, b) => a - b),
    );
    assert.ok(interruptions >= 1);
    watch.close();
  });

  test("gives all keys of one transaction as one revision, with what was there before", async () => {
    await put("t/a", "old");
    const revision = await put("t/b", "old");
    const seen: RevisionChanges[] = [];
    const watch = new RangeWatch({
      client,
      key: text("t/"),
      rangeEnd: text("t0"),
      fromRevision: revision + 1,
      onChanges: (changes) => seen.push(changes),
      onEnd: (error) => {
        assert.fail(error);
      },
    });
    await client.call(methods.deleteRange, { key: text("t/"), rangeEnd: text("t0") });
    await until("the deletion", () => seen.length === 1);
    assert.deepEqual(
      seen[0]?.events.map(({ prevKv }) => Buffer.from(prevKv?.value ?? []).toString()),
      ["old", "old"],
    );
    watch.close();
  });

  test("ends with the compacted revision when its start is gone", async () => {
    await put("c/a", "1");
    const revision = await put("c/a", "2");
    const environment = { ...process.env, ETCDCTL_API: "3" };
    const words = ["--endpoints", server.endpoint, "compact", String(revision)];
    execFileSync("/usr/bin/etcdctl", words, { env: environment });
    const ended = await new Promise<[V3Error, number]>((resolve) => {
      new RangeWatch({
        client,
        key: text("c/"),
        rangeEnd: text("c0"),
        fromRevision: 1,
        onChanges: () => undefined,
        onEnd: (error, compactRevision) => {
          resolve([error, compactRevision]);
        },
      });
    });
    assert.ok(ended[0].isCompacted);
    assert.equal(ended[1], revision);
  });
});
