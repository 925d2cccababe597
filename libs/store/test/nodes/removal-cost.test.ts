/** What removals look at, in rows: a large tree must not be read by the write that removes it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Kv, KvIterator, KvRange, KvRows } from "../../src/kv/kv.ts";
import { MemoryKv } from "../../src/kv/memory-kv.ts";
import { EtcdError } from "../../src/model/errors.ts";
import type { AppliedEntry } from "../../src/model/ports.ts";
import { StoreWatcherHub } from "../../src/events/watcher-hub.ts";
import { TestStore, command } from "../support.ts";

/** Counts the rows that iterators and point reads hand out. */
class CountingKv extends MemoryKv implements Kv {
  rows = 0;

  override get(key: Uint8Array): Uint8Array | undefined {
    this.rows += 1;
    return super.get(key);
  }

  override iterator(range: KvRange): KvIterator {
    const iterator = super.iterator(range);
    return {
      nextMany: (rowsMax): KvRows => {
        const rows = iterator.nextMany(rowsMax);
        this.rows += rows.length / 2;
        return rows;
      },
      seek: (key) => {
        iterator.seek(key);
      },
      close: () => {
        iterator.close();
      },
    };
  }
}

/** Bound on what one write may look at. */
const ROWS_MAX = 600;

async function filled(directories: number, files: number): Promise<[TestStore, CountingKv]> {
  const kv = new CountingKv();
  const store = await TestStore.open({ kv });
  for (let i = 0; i < directories * files; i++) {
    store.set(`/1/big/d${i % directories}/k${Math.floor(i / directories)}`);
  }
  kv.rows = 0;
  return [store, kv];
}

function watched(store: TestStore, paths: readonly string[]): { told: string[]; end(): void } {
  const hub = new StoreWatcherHub(store.machine, { schedule: store.turns.schedule });
  const told: string[] = [];
  for (const path of paths) {
    hub.watch({
      path,
      recursive: false,
      sinceIndex: 0,
      stream: true,
      deliver: () => {
        told.push(path);
        return "taken";
      },
      ended: () => undefined,
    });
  }
  const end = (): void => {
    hub.close();
  };
  return { told, end };
}

describe("the removal of a large tree", () => {
  test("looks at few rows, and so do its slices; all of it is gone at once", async () => {
    const [store, kv] = await filled(100, 50);
    store.write("delete", "/1/big", { recursive: true, dir: true });
    assert.ok(kv.rows <= ROWS_MAX, `${kv.rows} rows`);
    assert.throws(() => store.get("/1/big/d7/k7"), { code: 100 });
    assert.deepEqual(store.keys("/1"), []);
    for (kv.rows = 0; store.turns.step(); kv.rows = 0) {
      assert.ok(kv.rows <= ROWS_MAX, `${kv.rows} rows in one slice`);
    }
    assert.equal(store.machine.nodeCount, 0);
  });

  test("tells exactly the watchers of names that existed, live and from the history", async () => {
    const [store] = await filled(100, 50);
    store.set("/1/big/d1/k1", "changed");
    const live = watched(store, ["/1/big/d1/k1", "/1/big/d1/never", "/1/big/d2", "/1/other"]);
    const { etcdIndex } = store.write("delete", "/1/big", { recursive: true, dir: true });
    // One turn is a slice of the removal, one is the telling.
    store.turns.step();
    store.turns.step();
    assert.deepEqual(live.told.toSorted(), ["/1/big/d1/k1", "/1/big/d2"]);
    live.end();
    // New nodes take the places of rows that are still there.
    store.set("/1/big/d1/k2", "again");
    store.set("/1/big/d1/new");
    const check = (): void => {
      const removed = store.machine.history.read(etcdIndex)[0]?.removed;
      for (const [path, existed] of [
        ["/1/big/d1", true],
        ["/1/big/d1/k1", true],
        ["/1/big/d1/k2", true],
        ["/1/big/d99/k49", true],
        ["/1/big/d1/new", false],
        ["/1/big/d1/never", false],
      ] as const) {
        assert.equal(removed?.has(path), existed, path);
      }
    };
    check();
    while (store.turns.step()) check();
    assert.equal(store.machine.history.read(etcdIndex)[0]?.removed?.paths?.length, 5100);
    const again = await TestStore.open({ kv: store.kv, clock: store.clock });
    assert.equal(again.machine.history.read(etcdIndex)[0]?.removed?.has("/1/big/d1/new"), false);
    assert.deepEqual(again.keys("/1"), ["/1/big", "/1/big/d1", "/1/big/d1/k2", "/1/big/d1/new"]);
  });

  test("that another one meets before its rows are gone costs no more, time and again", async () => {
    const [store, kv] = await filled(1, 5000);
    store.write("delete", "/1/big", { recursive: true, dir: true });
    for (let round = 0; round < 20; round++) {
      kv.rows = 0;
      store.set("/1/big/x/y", "new");
      assert.deepEqual(store.refused("delete", "/1/big", { dir: true }).slice(0, 2), [
        108,
        "/1/big",
      ]);
      store.write("delete", "/1/big/x", { recursive: true, dir: true });
      store.write("delete", "/1/big", { dir: true });
      assert.ok(kv.rows <= 2 * ROWS_MAX, `${kv.rows} rows in round ${round}`);
    }
    store.set("/1/big/d0/k9", "new");
    store.turns.drain();
    assert.deepEqual(store.keys("/1"), ["/1/big", "/1/big/d0", "/1/big/d0/k9"]);
    assert.equal(store.machine.nodeCount, 3);
  });

  test("in a run with thousands of others costs what is removed, not what the run wrote", async () => {
    const kv = new CountingKv();
    const store = await TestStore.open({ kv });
    const count = 3000;
    const entries: AppliedEntry[] = [];
    for (let i = 0; i < count; i++) {
      const path = `/1/d${i}`;
      for (const given of [
        command("set", `${path}/a`),
        command("delete", path, { dir: true }),
        command("delete", path, { recursive: true, dir: true }),
      ]) {
        entries.push({ index: entries.length + 1, term: 1, command: given });
      }
    }
    const outcomes = store.machine.apply(entries);
    const codes = outcomes.map((outcome) => (outcome instanceof EtcdError ? outcome.code : 0));
    assert.deepEqual(codes, Array.from({ length: count }, () => [0, 108, 0]).flat());
    assert.ok(kv.rows < entries.length * 4, `${kv.rows} rows`);
    assert.equal(store.machine.nodeCount, 0);
  });
});
