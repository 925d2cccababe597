import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import { PREFIX, prefixRange } from "../src/encoding/keyspace.ts";
import { MemoryKv } from "../src/kv/memory-kv.ts";
import { FakeClock, TestStore, command } from "./support.ts";

describe("expiry", () => {
  test("removes each due node with an index and an event, in the order of deadlines", async () => {
    const store = await TestStore.open();
    store.set("/1/late", "l", store.clock.ttl(3));
    store.set("/1/early", "e", store.clock.ttl(1));
    store.set("/1/mid", "m", store.clock.ttl(2));
    store.clock.advance(3001);
    const told: unknown[] = [];
    store.machine.onEvents((events) => {
      for (const { action, node, prevNode } of events) {
        told.push([action, node.key, node.createdIndex, node.modifiedIndex, prevNode?.value]);
      }
    });
    assert.deepEqual(store.expireDue(), ["/1/early", "/1/mid", "/1/late"]);
    assert.deepEqual(told, [
      ["expire", "/1/early", 2, 4, "e"],
      ["expire", "/1/mid", 3, 5, "m"],
      ["expire", "/1/late", 1, 6, "l"],
    ]);
    assert.equal(store.machine.reader.stats.expireCount, 3);
    assert.deepEqual(store.expireDue(), []);
    assert.equal(store.machine.nextDeadline(), undefined);
  });

  test("of a directory is one event, without dir in its node; children go silently", async () => {
    const store = await TestStore.open();
    store.set("/1/d", "", { dir: true, ...store.clock.ttl(1) });
    store.set("/1/d/a", "x", store.clock.ttl(500));
    store.set("/1/d/b/c", "y");
    store.clock.advance(1001);
    const events: unknown[] = [];
    store.machine.onEvents((told) => events.push(...told));
    store.expireDue();
    assert.equal(events.length, 1);
    const [event] = store.machine.history.read(4);
    assert.deepEqual([event?.node.dir, event?.prevNode?.dir], [false, true]);
    assert.deepEqual(
      [event?.node.expirationMs, event?.node.ttl, event?.prevNode?.ttl],
      [undefined, 0, 0],
    );
    assert.equal(event?.prevNode?.expirationMs, store.clock.wall - 1);
    assert.deepEqual(store.keys("/1"), []);
    // The child's deadline is still in the index; it is found stale, not due.
    store.clock.advance(500_000);
    assert.deepEqual(store.expireDue(), []);
    assert.equal(store.machine.nextDeadline(), undefined);
  });

  test("looks at a bounded number of rows of nodes that went away otherwise, and comes to the others", async () => {
    const store = await TestStore.open();
    const gone = 3000;
    for (let i = 0; i < gone; i += 1) store.set(`/1/gone/${i}`, "v", store.clock.ttl(1));
    store.write("delete", "/1/gone", { recursive: true });
    store.clock.advance(10);
    store.set("/1/alive", "v", store.clock.ttl(1));
    store.clock.advance(5000);
    let calls = 0;
    let due: readonly string[] = [];
    while (due.length === 0) {
      calls += 1;
      assert.ok(calls <= gone, "the live node is found");
      assert.ok((store.machine.nextDeadline() ?? Infinity) < store.clock.steady, "more is due");
      due = store.machine.dueNodes(store.clock.steady, 10).map(({ path }) => path);
    }
    assert.deepEqual(due, ["/1/alive"]);
    assert.ok(calls >= 5, `${calls} calls`);
  });

  test("passes over nodes that changed since the leader looked", async () => {
    const store = await TestStore.open();
    for (const path of ["/1/a", "/1/b", "/1/c", "/1/d"]) store.set(path, "v", store.clock.ttl(1));
    store.set("/1/dir", "", { dir: true, ...store.clock.ttl(1) });
    store.clock.advance(1001);
    const expired = store.machine.dueNodes(store.clock.steady, 100);
    assert.equal(expired.length, 5);
    store.set("/1/a", "v", store.clock.ttl(9));
    store.write("update", "/1/b");
    store.write("delete", "/1/c");
    // A directory keeps its modifiedIndex: the new expiration tells.
    store.write("update", "/1/dir", store.clock.ttl(9));
    const before = store.machine.reader.etcdIndex;
    store.apply({ action: "expire", expired });
    assert.equal(store.machine.reader.etcdIndex, before + 1);
    assert.deepEqual(store.keys("/1"), ["/1/a", "/1/b", "/1/dir"]);
  });

  test("of what came back in the meantime with the same name does not happen", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "v", store.clock.ttl(1));
    store.write("delete", "/1/a");
    store.set("/1/a", "v");
    store.clock.advance(5000);
    assert.deepEqual(store.expireDue(), []);
    assert.equal(store.get("/1/a").value, "v");
  });

  test("yields at most what is asked for, and the rest next time", async () => {
    const store = await TestStore.open();
    for (let i = 0; i < 10; i++) store.set(`/1/${i}`, "", store.clock.ttl(1));
    store.clock.advance(2000);
    assert.deepEqual(store.expireDue(4).length, 4);
    assert.deepEqual(store.expireDue(4).length, 4);
    assert.deepEqual(store.expireDue(4).length, 2);
  });

  test("of a ttl of 0 comes at once; the answer shows an expiration and no ttl", async () => {
    const store = await TestStore.open();
    const event = store.set("/1/a", "", store.clock.ttl(0));
    assert.deepEqual([event.node.expirationMs, event.node.ttl], [store.clock.wall, 0]);
    store.clock.advance(1);
    assert.deepEqual(store.expireDue(), ["/1/a"]);
  });
});

test("a node has one row in the index of deadlines, gone when it is rewritten or removed", async () => {
  const kv = new MemoryKv();
  const store = await TestStore.open({ kv });
  const rows = (): number => {
    const iterator = kv.iterator(prefixRange(PREFIX.ttl));
    const found = iterator.nextMany(100);
    iterator.close();
    return found.length / 2;
  };
  store.set("/1/a", "", store.clock.ttl(5));
  store.set("/1/b", "", store.clock.ttl(5));
  assert.equal(rows(), 2);
  store.set("/1/a", "", store.clock.ttl(9));
  store.write("update", "/1/b", store.clock.ttl(8));
  assert.equal(rows(), 2);
  store.write("update", "/1/a");
  assert.equal(rows(), 1);
  store.write("delete", "/1/b");
  assert.equal(rows(), 0);
  const life = store.clock.ttl(3);
  store.machine.apply(
    [command("set", "/1/c", life), command("delete", "/1/c"), command("set", "/1/c")].map(
      (given, i) => ({ index: store.raftIndex + i + 1, term: 1, command: given }),
    ),
  );
  assert.equal(rows(), 0);
});

describe("the time left", () => {
  test("is rounded up, shrinks, and shows nothing of jumps of the wall clock", async () => {
    const store = await TestStore.open();
    assert.equal(store.set("/1/a", "", store.clock.ttl(100)).node.ttl, 100);
    assert.equal(store.get("/1/a").ttl, 100);
    store.clock.advance(1);
    assert.equal(store.get("/1/a").ttl, 100);
    store.clock.advance(1000);
    assert.equal(store.get("/1/a").ttl, 99);
    store.clock.wall += 10 ** 7;
    assert.equal(store.get("/1/a").ttl, 99);
    store.clock.wall -= 10 ** 8;
    assert.equal(store.set("/1/a", "").prevNode?.ttl, 99);
  });
});

test("no key expires early on any member, whatever the wall clocks do", async () => {
  const random = new SeededRandom(seedOfRun());
  for (let round = 0; round < 30; round++) {
    const proposer = new FakeClock();
    const member = new FakeClock();
    member.wall += random.below(10 ** 8) - 5 * 10 ** 7;
    member.steady += random.below(10 ** 8);
    let store = await TestStore.open({ clock: member });
    const aliveUntil = new Map<string, number>();
    let realMs = 0;
    for (let step = 0; step < 100; step++) {
      const passed = random.below(700);
      realMs += passed;
      proposer.advance(passed);
      member.advance(passed);
      if (random.chance(0.2)) proposer.wall += random.below(10 ** 7) - 5 * 10 ** 6;
      if (random.chance(0.2)) member.wall += random.below(10 ** 7) - 5 * 10 ** 6;
      if (random.chance(0.3)) {
        const path = `/1/${random.below(5)}`;
        const seconds = random.below(5);
        const proposed = command("set", path, proposer.ttl(seconds));
        aliveUntil.set(path, realMs + seconds * 1000);
        const delay = random.below(50);
        realMs += delay;
        proposer.advance(delay);
        member.advance(delay);
        store.apply(proposed);
      }
      if (random.chance(0.1)) {
        // The process starts anew within the same boot.
        const { kv } = store;
        store = await TestStore.open({ kv, clock: member });
      }
      for (const path of store.expireDue()) {
        const until = aliveUntil.get(path) ?? Infinity;
        assert.ok(realMs > until, `${path} expired at ${realMs}, it had until ${until}`);
        aliveUntil.delete(path);
      }
    }
    member.advance(10_000);
    assert.deepEqual(new Set(store.expireDue()), new Set(aliveUntil.keys()));
  }
});

describe("lives given by a member whose wall clock shows a time near 1970", () => {
  const odd = { expirationMs: 600_000, ttlMs: 600_000 };

  test("are the time to live all the same, whatever the clock of the member that applies", async () => {
    for (const wall of [0, 1_700_000_000_000, 4_000_000_000_000]) {
      const store = await TestStore.open();
      store.clock.wall = wall;
      store.set("/1/a", "x");
      store.set("/1/b", "x");
      assert.equal(store.write("update", "/1/a", { value: "y", ...odd }).node.ttl, 600);
      const swapped = store.write("compareAndSwap", "/1/b", { prevValue: "x", value: "y", ...odd });
      assert.equal(swapped.node.ttl, 600);
      store.clock.advance(600_000);
      assert.deepEqual(store.expireDue(), []);
      store.clock.advance(1);
      assert.deepEqual(store.expireDue(), ["/1/a", "/1/b"]);
    }
  });
});

describe("lives told by the leader", () => {
  test("shorten deadlines that were counted from too late, and lengthen none", async () => {
    const leader = await TestStore.open();
    const late = await TestStore.open();
    const life = leader.clock.ttl(100);
    leader.set("/1/a", "x", life);
    leader.set("/1/d", "", { dir: true, ...life });
    leader.set("/1/lasting", "x");
    leader.clock.advance(40_000);
    late.clock.advance(40_000);
    // Its own clock has another scale, and it learns of all that only now.
    late.set("/1/a", "x", life);
    late.set("/1/d", "", { dir: true, ...life });
    late.set("/1/lasting", "x");
    const before = late.machine.reader.peek("/1/a");
    const { lives, next } = leader.machine.livesLeft(10);
    assert.equal(next, undefined);
    assert.deepEqual(
      lives.map(({ path, leftMs }) => [path, leftMs]),
      [
        ["/1/a", 60_000],
        ["/1/d", 60_000],
      ],
    );
    const events: unknown[] = [];
    late.machine.onEvents((told) => events.push(...told));
    const { etcdIndex } = late.machine.reader;
    for (const store of [late, leader]) store.apply({ action: "expire", expired: [], lives });
    assert.deepEqual([late.get("/1/a").ttl, late.get("/1/d").ttl], [60, 60]);
    assert.equal(leader.get("/1/a").ttl, 60);
    assert.deepEqual([events, late.machine.reader.etcdIndex], [[], etcdIndex]);
    assert.deepEqual({ ...late.machine.reader.peek("/1/a"), ttl: 100 }, before);
    // Told again later, it would be longer.
    late.clock.advance(30_000);
    late.apply({ action: "expire", expired: [], lives });
    assert.equal(late.get("/1/a").ttl, 30);
    late.clock.advance(30_001);
    assert.deepEqual(late.expireDue(), ["/1/a", "/1/d"]);
    assert.deepEqual(late.keys("/1"), ["/1/lasting"]);
    late.clock.advance(100_000);
    assert.deepEqual(late.expireDue(), []);
    assert.equal(late.machine.nextDeadline(), undefined);
  });

  test("leave alone what changed since the leader looked", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x", store.clock.ttl(10));
    store.set("/1/gone", "x", store.clock.ttl(10));
    store.set("/1/permanent", "x", store.clock.ttl(10));
    const { lives } = store.machine.livesLeft(10);
    store.set("/1/a", "y", store.clock.ttl(600));
    store.set("/1/permanent", "y");
    store.write("delete", "/1/gone");
    store.apply({ action: "expire", expired: [], lives });
    assert.equal(store.get("/1/a").ttl, 600);
    assert.equal(store.get("/1/permanent").ttl, 0);
  });

  test("come page by page, each once, without nodes that went with their directory", async () => {
    const store = await TestStore.open();
    for (let i = 0; i < 25; i++) store.set(`/1/k${i}`, "x", store.clock.ttl(100 - i));
    store.set("/1/d/a", "x", store.clock.ttl(50));
    store.write("delete", "/1/d", { dir: true, recursive: true });
    const paths: string[] = [];
    let page = store.machine.livesLeft(7);
    for (;;) {
      assert.ok(page.lives.length <= 7);
      paths.push(...page.lives.map(({ path }) => path));
      if (page.next === undefined) break;
      page = store.machine.livesLeft(7, page.next);
    }
    assert.deepEqual(
      paths,
      Array.from({ length: 25 }, (_, i) => `/1/k${24 - i}`),
    );
  });
});
