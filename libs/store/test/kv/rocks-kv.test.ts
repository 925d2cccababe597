import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { RocksKv } from "../../src/kv/rocks-kv.ts";
import { StateMachine } from "../../src/state-machine.ts";
import { FakeClock, command } from "../support.ts";
import { runKvSuite } from "./kv-suite.ts";

const root = mkdtempSync(join(tmpdir(), "rocks-kv-"));
let count = 0;
const freshPath = (): string => join(root, String(++count));
after(() => {
  rmSync(root, { recursive: true });
});

runKvSuite("the store on disk", () => RocksKv.open(freshPath()));

test("rows survive closing and opening", async () => {
  const path = freshPath();
  const first = await RocksKv.open(path);
  const batch = first.batch();
  batch.put(Buffer.from("k"), Buffer.from("v"));
  batch.write({ sync: false });
  await first.close();
  const second = await RocksKv.open(path);
  assert.equal(Buffer.from(second.get(Buffer.from("k")) ?? []).toString(), "v");
  await second.close();
});

test("closed iterators and written batches leave nothing behind in the process", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const kv = await RocksKv.open(freshPath());
  const use = async (): Promise<number> => {
    for (let i = 0; i < 10_000; i++) {
      const iterator = kv.iterator({ from: Buffer.from("a"), to: Buffer.from("b") });
      iterator.nextMany(1);
      iterator.close();
      const [one, two] = [kv.batch(), kv.batch()];
      one.put(Buffer.from("x"), Buffer.from("y"));
      one.write({ sync: false });
      two.delete(Buffer.from("x"));
      two.write({ sync: false });
      if (i % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    collect();
    return process.memoryUsage().heapUsed;
  };
  await use();
  const before = await use();
  const grownBytes = (await use()) - before;
  // Even 100 bytes a round would be a megabyte.
  assert.ok(grownBytes < 500_000, `${grownBytes} bytes`);
  await kv.close();
});

test("a sync can be prepared while writes go on", async () => {
  const kv = await RocksKv.open(freshPath());
  const write = (key: string, sync: boolean): void => {
    const batch = kv.batch();
    batch.put(Buffer.from(key), Buffer.alloc(100_000));
    batch.write({ sync });
  };
  for (let i = 0; i < 20; i++) write(`k${i}`, false);
  const preparing = kv.prepareSync();
  write("more", false);
  await preparing;
  write("last", true);
  assert.equal(kv.get(Buffer.from("k19"))?.length, 100_000);
  await kv.close();
});

test("a database that is open already is refused as locked", async () => {
  const path = freshPath();
  const first = await RocksKv.open(path);
  await assert.rejects(RocksKv.open(path), { name: "StoreError", code: "locked" });
  await first.close();
});

test("a database that must exist is not made, and says what is missing", async () => {
  const path = freshPath();
  await assert.rejects(RocksKv.open(path, { mustExist: true }), /its file CURRENT is missing/);
  assert.ok(!existsSync(path));
  await (await RocksKv.open(path)).close();
  await (await RocksKv.open(path, { mustExist: true })).close();
  for (const name of readdirSync(path)) if (name.startsWith("MANIFEST")) rmSync(join(path, name));
  await assert.rejects(RocksKv.open(path, { mustExist: true }), /No such file.*MANIFEST/);
});

test("a path that cannot be a directory is refused with its name", async () => {
  const path = freshPath();
  writeFileSync(path, "a file");
  await assert.rejects(RocksKv.open(path), (error: Error) => {
    assert.equal(error.name, "StoreError");
    assert.ok(error.message.includes(path));
    return true;
  });
});

test("written batches are reused without mixing their rows", async () => {
  const kv = await RocksKv.open(freshPath());
  for (let i = 0; i < 50; i++) {
    const batch = kv.batch();
    assert.equal(batch.length, 0);
    batch.put(Buffer.from(`k${i}`), Buffer.alloc(i * 40_000));
    batch.write({ sync: false });
    const removal = kv.batch();
    removal.delete(Buffer.from(`k${i}`));
    removal.write({ sync: false });
  }
  const range = { from: Buffer.from("k"), to: Buffer.from("l") };
  const iterator = kv.iterator(range);
  assert.deepEqual(iterator.nextMany(100), []);
  iterator.close();
  await kv.close();
});

test("a state machine comes back from disk as it was", async () => {
  const path = freshPath();
  const clock = new FakeClock();
  const first = await StateMachine.open({ kv: await RocksKv.open(path), clock });
  for (let i = 1; i <= 500; i++) {
    const options = { value: `v${i}`, ...(i % 5 === 0 ? clock.ttl(i) : {}) };
    first.apply([{ index: i, term: 2, command: command("set", `/1/d${i % 7}/k${i}`, options) }]);
  }
  const before = await first.hash();
  await first.close();
  const second = await StateMachine.open({ kv: await RocksKv.open(path), clock });
  assert.deepEqual(await second.hash(), before);
  assert.equal(second.appliedIndex, 500);
  assert.equal(second.nextDeadline(), first.clock.steadyMs() + 5000);
  assert.equal(second.history.read(1)[0]?.node.value, "v1");
  await second.close();
});
