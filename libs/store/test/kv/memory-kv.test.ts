import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryKv } from "../../src/kv/memory-kv.ts";
import { runKvSuite } from "./kv-suite.ts";

runKvSuite("the store in memory", () => Promise.resolve(new MemoryKv()));

test("a fork and its origin do not see each other's writes", () => {
  const origin = new MemoryKv();
  const write = (kv: MemoryKv, key: string): void => {
    const batch = kv.batch();
    batch.put(Buffer.from(key), Buffer.from("v"));
    batch.write({ sync: false });
  };
  for (let i = 0; i < 200; i++) write(origin, `k${i}`);
  const fork = origin.fork();
  write(origin, "only-origin");
  write(fork, "only-fork");
  assert.equal(fork.get(Buffer.from("only-origin")), undefined);
  assert.equal(origin.get(Buffer.from("only-fork")), undefined);
  assert.ok(fork.get(Buffer.from("k199")) !== undefined);
});
