import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import type { Command } from "../src/model/command.ts";
import { FORMAT_VERSION, metaKey } from "../src/encoding/keyspace.ts";
import type { Kv, KvBatch, KvIterator, KvRange } from "../src/kv/kv.ts";
import { MemoryKv } from "../src/kv/memory-kv.ts";
import type { AppliedEntry } from "../src/model/ports.ts";
import { FakeClock, TestStore, command } from "./support.ts";

/** A store in memory that remembers what a crash after each write would leave behind. */
class CrashingKv implements Kv {
  readonly #inner = new MemoryKv();
  readonly remains: MemoryKv[] = [];
  get(key: Uint8Array): Uint8Array | undefined {
    return this.#inner.get(key);
  }
  getMany(keys: readonly Uint8Array[]): readonly (Uint8Array | undefined)[] {
    return this.#inner.getMany(keys);
  }
  batch(): KvBatch {
    const batch = this.#inner.batch();
    const write = batch.write.bind(batch);
    batch.write = (options) => {
      write(options);
      this.remains.push(this.#inner.fork());
    };
    return batch;
  }
  iterator(range: KvRange): KvIterator {
    return this.#inner.iterator(range);
  }
  prepareSync(): Promise<void> {
    return this.#inner.prepareSync();
  }
  approximateSizeBytes(): number {
    return this.#inner.approximateSizeBytes();
  }
  close(): Promise<void> {
    return this.#inner.close();
  }
}

function randomCommand(random: SeededRandom, clock: FakeClock): Command {
  const path = `/1/${random.below(3)}${random.chance(0.6) ? `/${random.below(20)}` : ""}`;
  const kind = random.next();
  if (kind < 0.6) return command("set", path, { value: "v", ...clock.ttl(1 + random.below(9)) });
  if (kind < 0.7) return command("createInOrder", path, { value: "w" });
  if (kind < 0.85) return command("delete", path, { recursive: random.chance(0.7) });
  const writes = [command("set", "/0/a"), command("set", "/0/b"), command("delete", "/0/a")];
  return random.chance(0.5) ? { action: "group", writes } : command("update", path, { value: "u" });
}

/** The newest event is the same; a crash may have cost the names that went with it. */
function sameLastEvent(again: TestStore, store: TestStore): void {
  const [a, b] = [again, store].map(({ machine }) => {
    const [event] = machine.history.read(machine.history.lastIndex);
    const names = event?.removed === undefined ? [] : event.removed.paths?.toSorted();
    return { event: { ...event, removed: 0 }, names };
  });
  assert.deepEqual(a?.event, b?.event);
  if (a?.names !== undefined && b?.names !== undefined) assert.deepEqual(a.names, b.names);
}

describe("after a crash", () => {
  test("the log replayed over whatever was left gives the same state", async () => {
    const random = new SeededRandom(seedOfRun());
    for (let round = 0; round < 12; round++) {
      const clock = new FakeClock();
      const limits = { directRemovalMax: 5, historyMax: 60, cacheBytes: 4000 };
      const kv = new CrashingKv();
      const store = await TestStore.open({ kv, clock, ...limits });
      const log: AppliedEntry[] = [];
      for (let index = 1; index <= 200; index++) {
        log.push({
          index,
          term: 1 + Math.floor(index / 50),
          command: randomCommand(random, clock),
        });
      }
      for (let at = 0; at < log.length;) {
        const size = 1 + random.below(12);
        store.machine.apply(log.slice(at, at + size));
        if (random.chance(0.5)) store.turns.step();
        at += size;
      }
      const whole = await hashOf(store);
      for (let crash = 0; crash < 10; crash++) {
        const left = random.pick(kv.remains);
        const again = await TestStore.open({ kv: left.fork(), clock, ...limits });
        const applied = again.machine.appliedIndex;
        // Some hosts replay from the start: what is applied already is skipped.
        const from = random.chance(0.5) ? 0 : random.below(applied + 1);
        const outcomes = again.machine.apply(log.slice(from));
        assert.ok(outcomes.slice(0, applied - from).every((outcome) => outcome === undefined));
        again.turns.drain();
        assert.deepEqual(await hashOf(again), whole);
        assert.deepEqual(again.keys("/1"), store.keys("/1"));
        assert.equal(again.machine.history.firstIndex, store.machine.history.firstIndex);
        sameLastEvent(again, store);
      }
    }
  });

  test("in the middle of a very long run of entries each part names its last entry", async () => {
    const kv = new CrashingKv();
    const store = await TestStore.open({ kv });
    const writes = Array.from({ length: 10 }, (_, i) => command("set", `/0/g${i}`));
    const entries: AppliedEntry[] = Array.from({ length: 10_000 }, (_, i) => ({
      index: i + 1,
      term: 1,
      command:
        i % 1000 === 500 ? { action: "group", writes } : command("set", `/1/${i}`, { value: "v" }),
    }));
    store.machine.apply(entries);
    assert.ok(kv.remains.length > 2, "it is written in parts");
    for (const left of kv.remains) {
      const again = await TestStore.open({ kv: left });
      const { appliedIndex, reader } = again.machine;
      const groups = Math.max(0, Math.floor((appliedIndex + 499) / 1000));
      assert.equal(reader.etcdIndex, appliedIndex + groups * 9, "no entry is applied in part");
    }
  });
});

async function hashOf(store: TestStore): Promise<unknown> {
  const hashing = store.machine.hash();
  await settle(store);
  return hashing;
}

/** Runs slices until the promises they feed have come to rest. */
async function settle(store: TestStore): Promise<void> {
  for (let idle = 0; idle < 20;) {
    if (store.turns.step()) idle = 0;
    else idle += 1;
    await Promise.resolve();
  }
}

describe("opening", () => {
  test("keeps index, counters, members' values and applied entry", async () => {
    const kv = new MemoryKv();
    const store = await TestStore.open({ kv });
    store.set("/1/a", "v");
    store.refused("create", "/1/a");
    store.machine.apply(
      [{ index: 9, term: 4, command: undefined }],
      new Map([["conf", Buffer.of(7)]]),
    );
    const again = await TestStore.open({ kv });
    const { reader } = again.machine;
    assert.deepEqual([again.machine.appliedIndex, again.machine.appliedTerm], [9, 4]);
    assert.deepEqual([reader.raftIndex, reader.raftTerm, reader.etcdIndex], [9, 4, 1]);
    assert.deepEqual([reader.stats.setsSuccess, reader.stats.createFail], [1, 1]);
    assert.deepEqual(again.machine.readMeta("conf"), Buffer.of(7));
    assert.equal(again.machine.readMeta("other"), undefined);
    assert.deepEqual(again.machine.history.read(1), store.machine.history.read(1));
  });

  test("host values come alone too, but not with entries that were applied before", async () => {
    const store = await TestStore.open();
    store.machine.apply([], new Map([["k", Buffer.of(1)]]));
    store.set("/1/a");
    store.machine.apply(
      [{ index: 1, term: 1, command: undefined }],
      new Map([["k", Buffer.of(2)]]),
    );
    assert.deepEqual(store.machine.readMeta("k"), Buffer.of(1));
  });

  test("flushDurable makes one synced write that names the applied entry", async () => {
    const kv = new MemoryKv();
    let synced = 0;
    const batch = kv.batch.bind(kv);
    kv.batch = () => {
      const made = batch();
      const write = made.write.bind(made);
      made.write = (options) => {
        if (options.sync) synced += 1;
        write(options);
      };
      return made;
    };
    const store = await TestStore.open({ kv });
    store.set("/1/a");
    const before = synced;
    store.machine.flushDurable();
    assert.equal(synced, before + 1);
  });

  test("another format is refused with both versions named", async () => {
    const kv = new MemoryKv();
    await TestStore.open({ kv });
    const batch = kv.batch();
    batch.put(metaKey("format"), Buffer.of(FORMAT_VERSION + 1));
    batch.write({ sync: false });
    await assert.rejects(TestStore.open({ kv }), (error: Error) => {
      assert.equal("code" in error ? error.code : "", "version");
      assert.match(error.message, new RegExp(`${FORMAT_VERSION + 1}.*${FORMAT_VERSION}`));
      return true;
    });
  });

  test("rows without a state row are refused as corrupt", async () => {
    const kv = new MemoryKv();
    await TestStore.open({ kv });
    const batch = kv.batch();
    batch.delete(metaKey("state"));
    batch.write({ sync: false });
    await assert.rejects(TestStore.open({ kv }), { name: "StoreError", code: "corrupt" });
  });
});

describe("removing large subtrees", () => {
  test("takes effect at once, the rows go in slices, also over a restart", async () => {
    const kv = new MemoryKv();
    const clock = new FakeClock();
    let store = await TestStore.open({ kv, clock });
    const entries = Array.from({ length: 6000 }, (_, i) => ({
      index: i + 1,
      term: 1,
      command: command("set", `/1/big/${i % 10}/${i}`, { value: "v", ...clock.ttl(i + 1) }),
    }));
    store.machine.apply(entries);
    store.raftIndex = 6000;
    store.write("delete", "/1/big", { recursive: true });
    assert.deepEqual(store.keys("/1"), []);
    assert.throws(() => store.get("/1/big/1/1"), { code: 100, cause: "/1/big" });
    store.set("/1/big/1/new", "n");
    assert.deepEqual(store.keys("/1"), ["/1/big", "/1/big/1", "/1/big/1/new"]);
    store.turns.step();
    const left = kv.fork();
    const beforeRestart = await hashOf(store);
    store = await TestStore.open({ kv: left, clock });
    assert.deepEqual(store.keys("/1"), ["/1/big", "/1/big/1", "/1/big/1/new"]);
    assert.ok(store.turns.pending > 0, "the sweep goes on");
    store.turns.drain();
    assert.deepEqual(await hashOf(store), beforeRestart);
    assert.equal(store.machine.nodeCount, 3);
    store.clock.advance(10_000_000);
    assert.deepEqual(store.expireDue(), [], "no deadline outlives its node");
    store.write("delete", "/1/big", { recursive: true });
    assert.deepEqual(store.keys("/1"), []);
  });

  test("above the limit of names every name below counts as having existed", async () => {
    const store = await TestStore.open({ removedNamesMax: 50 });
    for (const [directory, count] of [
      ["known", 50],
      ["unknown", 51],
    ] as const) {
      for (let i = 0; i < count; i++) store.set(`/1/${directory}/${i}`);
      store.write("delete", `/1/${directory}`, { recursive: true });
    }
    store.turns.drain();
    const [known] = store.machine.history.read(51);
    const [unknown] = store.machine.history.read(103);
    assert.deepEqual(
      [known?.removed?.has("/1/known/7"), known?.removed?.has("/1/known/never")],
      [true, false],
    );
    assert.equal(unknown?.removed?.has("/1/unknown/never"), true);
  });
});
