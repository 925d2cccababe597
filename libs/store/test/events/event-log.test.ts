import assert from "node:assert/strict";
import { test } from "node:test";
import { PREFIX, prefixRange } from "../../src/encoding/keyspace.ts";
import type { Kv } from "../../src/kv/kv.ts";
import { MemoryKv } from "../../src/kv/memory-kv.ts";
import { TestStore, command } from "../support.ts";

function rowsOf(kv: Kv, prefix: number): number {
  const iterator = kv.iterator(prefixRange(prefix));
  const rows = iterator.nextMany(1_000_000).length / 2;
  iterator.close();
  return rows;
}

test("with a limit of 1,000, index N-999 is kept and N-1000 is not", async () => {
  const store = await TestStore.open({ historyMax: 1000 });
  for (let i = 1; i <= 1000; i++) store.set("/1/a");
  assert.equal(store.machine.history.firstIndex, 1);
  store.set("/1/a");
  assert.equal(store.machine.history.firstIndex, 2);
  assert.equal(store.machine.history.read(2)[0]?.etcdIndex, 2);
  const cause = "the requested history has been cleared [2/1]";
  assert.throws(() => store.machine.history.read(1), { code: 401, cause, index: 1001 });
});

test("events read from rows are those read from memory", async () => {
  const kv = new MemoryKv();
  const store = await TestStore.open({ kv });
  store.set("/1/d", "", { dir: true, ...store.clock.ttl(1) });
  store.set("/1/d/a", "\x00\xff");
  store.set("/1/d/a", "", { refresh: true, ...store.clock.ttl(7) });
  store.write("compareAndSwap", "/1/d/a", { prevValue: "\x00\xff", value: "w" });
  store.write("createInOrder", "/1/d", { value: "q" });
  store.write("update", "/1/d", store.clock.ttl(1));
  store.clock.advance(1001);
  store.expireDue();
  store.set("/1/b");
  store.write("compareAndDelete", "/1/b", { prevIndex: 8 });
  const inMemory = store.machine.history.read(1);
  assert.equal(inMemory.length, 9);
  const again = await TestStore.open({ kv });
  const fromRows = again.machine.history.read(1);
  const plain = (events: typeof inMemory): unknown[] =>
    events.map((event) => ({ ...event, removed: event.removed?.paths }));
  assert.deepEqual(plain(fromRows), plain(inMemory));
  assert.deepEqual(fromRows[6]?.removed?.paths, ["/1/d/00000000000000000005", "/1/d/a"]);
});

test("many entries at once are one row, and reading begins anywhere in it", async () => {
  const kv = new MemoryKv();
  const store = await TestStore.open({ kv });
  const entries = Array.from({ length: 50 }, (_, i) => ({
    index: i + 1,
    term: 1,
    command: command("set", `/1/${i}`, { value: "v" }),
  }));
  store.machine.apply(entries);
  assert.equal(rowsOf(kv, PREFIX.history), 1);
  const again = await TestStore.open({ kv });
  for (const since of [1, 2, 25, 50]) {
    const events = again.machine.history.read(since);
    assert.deepEqual([events[0]?.etcdIndex, events.length], [since, 51 - since]);
  }
  assert.deepEqual(again.machine.history.read(51), []);
});

test("rows are trimmed by count, a few at a time, with the names of removed nodes", async () => {
  const kv = new MemoryKv();
  const store = await TestStore.open({ kv, historyMax: 100 });
  for (let i = 0; i < 1000; i++) {
    if (i % 4 === 3) store.write("delete", "/1/d", { recursive: true });
    else store.set(`/1/d/${i}`);
  }
  // Trimming waits for a few writes and then catches up.
  assert.ok(rowsOf(kv, PREFIX.history) <= 120, `${rowsOf(kv, PREFIX.history)} rows`);
  assert.ok(rowsOf(kv, PREFIX.removedNames) <= 35, `${rowsOf(kv, PREFIX.removedNames)} rows`);
  assert.equal(store.machine.history.read(901)[0]?.etcdIndex, 901);
});

test("rows are trimmed by bytes too", async () => {
  const kv = new MemoryKv();
  const store = await TestStore.open({ kv, historyBytesMax: 100_000 });
  for (let i = 0; i < 500; i++) store.set("/1/a", "v".repeat(1000));
  const { history } = store.machine;
  assert.ok(history.state.bytes < 140_000, `${history.state.bytes} bytes`);
  assert.ok(history.firstIndex > 400 && history.firstIndex < 480, `first ${history.firstIndex}`);
  const first = history.firstIndex;
  const again = await TestStore.open({ kv, historyBytesMax: 100_000 });
  assert.equal(again.machine.history.firstIndex, first);
  assert.equal(again.machine.history.read(first)[0]?.etcdIndex, first);
});

test("a smaller limit after a restart shows at once and is worked off in small steps", async () => {
  const kv = new MemoryKv();
  const long = await TestStore.open({ kv });
  for (let i = 0; i < 1000; i++) long.set("/1/a");
  const store = await TestStore.open({ kv, historyMax: 10 });
  assert.equal(store.machine.history.firstIndex, 991);
  assert.equal(rowsOf(kv, PREFIX.history), 1000);
  for (let i = 0; i < 8; i++) store.set("/1/a");
  const after = rowsOf(kv, PREFIX.history);
  assert.ok(after < 1000 && after > 900, `${after} rows`);
  for (let i = 0; i < 200; i++) store.set("/1/a");
  assert.ok(rowsOf(kv, PREFIX.history) < 25);
});

test("huge values do not pile up in memory nor break reading", async () => {
  const kv = new MemoryKv();
  const store = await TestStore.open({ kv });
  const huge = "x".repeat(1_500_000);
  for (let i = 0; i < 8; i++) store.set(`/1/${i}`, huge);
  assert.equal(store.machine.history.inMemory(1), false);
  assert.equal(store.machine.history.read(1)[0]?.node.value?.length, huge.length);
});
