import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { StoreEvent } from "../../src/model/event.ts";
import type { Delivery, Watch, WatchHandle } from "../../src/model/ports.ts";
import { type TrieWatch, WatcherTrie } from "../../src/tree/watcher-trie.ts";
import { StoreWatcherHub } from "../../src/events/watcher-hub.ts";
import { TestStore, command } from "../support.ts";

interface Received extends Watch {
  readonly events: StoreEvent[];
  end: string | undefined;
  handle: WatchHandle | undefined;
  /** Lets the hub tell everything. */
  readonly drain: () => void;
}

/** A hub over a store, and watches that note what they get. */
async function setUp(
  options: Parameters<typeof TestStore.open>[0] = {},
): Promise<{ store: TestStore; hub: StoreWatcherHub; watch: typeof watch }> {
  const store = await TestStore.open(options);
  const hub = new StoreWatcherHub(store.machine, { schedule: store.turns.schedule });
  function watch(path: string, given: Partial<Watch> = {}): Received {
    const received: Received = {
      path,
      recursive: false,
      sinceIndex: 0,
      stream: true,
      events: [],
      end: undefined,
      handle: undefined,
      drain: () => {
        store.turns.drain();
      },
      deliver(event) {
        received.events.push(event);
        return "taken";
      },
      ended(reason) {
        received.end = reason;
      },
      ...given,
    };
    received.handle = hub.watch(received);
    return received;
  }
  return { store, hub, watch };
}

/** What it has got so far. */
const seen = (received: Received): number[] => received.events.map((event) => event.etcdIndex);

/** What it gets when everybody has been told everything. */
const indices = (received: Received): number[] => {
  received.drain();
  return seen(received);
};

describe("live watches", () => {
  test("see their own key; with recursive also what is below, but not beside", async () => {
    const { store, watch } = await setUp();
    const exact = watch("/1/a");
    const below = watch("/1/a", { recursive: true });
    store.set("/1/a/b");
    store.set("/1/ab");
    store.write("update", "/1/a", store.clock.ttl(5));
    assert.deepEqual(indices(exact), [3]);
    assert.deepEqual(indices(below), [1, 3]);
  });

  test("see hidden keys only from within", async () => {
    const { store, watch } = await setUp();
    const root = watch("/1", { recursive: true });
    const inside = watch("/1/_h", { recursive: true });
    const exact = watch("/1/_h/a");
    store.set("/1/_h/a");
    store.set("/1/_h/_x/b");
    store.set("/1/a/_b/c");
    assert.deepEqual(indices(root), []);
    assert.deepEqual(indices(inside), [1]);
    assert.deepEqual(indices(exact), [1]);
  });

  test("of another namespace see nothing", async () => {
    const { store, watch } = await setUp();
    const root = watch("/1", { recursive: true });
    store.set("/0/members/1/attributes");
    store.set("/2/users/u");
    assert.deepEqual(indices(root), []);
  });

  for (const action of ["delete", "expire"] as const) {
    test(`at nodes removed with a directory get the event of its ${action}, others do not`, async () => {
      const { store, watch } = await setUp();
      store.set("/1/d", "", { dir: true, ...store.clock.ttl(1) });
      store.set("/1/d/f");
      store.set("/1/d/_h/g");
      const told = ["/1", "/1/d", "/1/d/f", "/1/d/_h", "/1/d/_h/g"].map((path) =>
        watch(path, { recursive: true }),
      );
      const exact = ["/1/d", "/1/d/f", "/1/d/_h", "/1/d/_h/g"].map((path) => watch(path));
      const others = ["/1/d/n", "/1/dx", "/1/d/f/x", "/1/d/_h/n"].map((path) => watch(path));
      if (action === "delete") store.write("delete", "/1/d", { recursive: true });
      else {
        store.clock.advance(1001);
        assert.deepEqual(store.expireDue(), ["/1/d"]);
      }
      for (const received of [...told, ...exact]) assert.deepEqual(indices(received), [4]);
      for (const received of others) assert.deepEqual(indices(received), []);
    });
  }

  test("get the removal of their own key once", async () => {
    const { store, watch } = await setUp();
    store.set("/1/a");
    const received = watch("/1/a");
    store.write("delete", "/1/a");
    assert.deepEqual(indices(received), [2]);
  });

  test("are not told of refreshes, failures and parents made on the way", async () => {
    const { store, watch } = await setUp();
    const received = watch("/1/a", { recursive: true });
    const parent = watch("/1/a");
    store.set("/1/a/b", "v");
    store.refused("create", "/1/a/b");
    store.set("/1/a/b", "", { refresh: true, ...store.clock.ttl(5) });
    assert.deepEqual(indices(received), [1]);
    assert.deepEqual(indices(parent), []);
  });

  test("without stream end after the first event", async () => {
    const { store, hub, watch } = await setUp();
    const received = watch("/1/a", { stream: false });
    assert.equal(hub.watchers, 1);
    store.set("/1/a");
    store.set("/1/a");
    assert.deepEqual(indices(received), [1]);
    assert.equal(received.end, "delivered");
    assert.equal(hub.watchers, 0);
  });

  test("with a future index wait for an event at or after it", async () => {
    const { store, watch } = await setUp();
    store.set("/1/a");
    const received = watch("/1/a", { sinceIndex: 3 });
    for (let i = 0; i < 3; i++) store.set("/1/a");
    assert.deepEqual(indices(received), [3, 4]);
  });

  test("that take no more are dropped, the others go on", async () => {
    const { store, hub, watch } = await setUp();
    const slow = watch("/1/a", { deliver: () => "refused" });
    const quick = watch("/1/a");
    store.set("/1/a");
    store.set("/1/a");
    assert.deepEqual(indices(quick), [1, 2]);
    assert.equal(slow.end, "slow");
    assert.equal(hub.watchers, 1);
  });

  test("can be cancelled, also by one another while an event is told", async () => {
    const { store, hub, watch } = await setUp();
    const victims: Received[] = [];
    const cancelAll = (): Delivery => {
      for (const victim of victims) victim.handle?.cancel();
      return "taken";
    };
    watch("/1/a", { deliver: cancelAll });
    victims.push(watch("/1/a"), watch("/1", { recursive: true }));
    const before = victims.map(indices);
    store.set("/1/a");
    store.turns.drain();
    // Whoever was told before the one that cancels has the event, nobody else has.
    store.set("/1/a");
    store.turns.drain();
    for (const victim of victims) assert.ok(victim.events.length <= 1);
    assert.deepEqual(before, [[], []]);
    assert.equal(hub.watchers, 1);
    assert.ok(victims.every((victim) => victim.end === undefined));
  });

  test("started while events are told begin with the ones to come", async () => {
    const { store, watch } = await setUp();
    let late: Received | undefined;
    watch("/1/a", {
      deliver() {
        late ??= watch("/1/a");
        return "taken";
      },
    });
    store.machine.apply(
      [1, 2, 3].map((index) => ({ index, term: 1, command: command("set", "/1/a") })),
    );
    store.turns.drain();
    assert.ok(late !== undefined);
    assert.deepEqual(indices(late), []);
    store.raftIndex = 3;
    store.set("/1/a");
    assert.deepEqual(indices(late), [4]);
  });

  test("end when the hub closes; later ones end at once", async () => {
    const { store, hub, watch } = await setUp();
    store.set("/1/a");
    const live = watch("/1/a");
    const behind = watch("/1/a", { sinceIndex: 1 });
    hub.close();
    hub.close();
    const late = watch("/1/a");
    store.turns.drain();
    assert.deepEqual([live.end, behind.end, late.end], ["closed", "closed", "closed"]);
    store.set("/1/a");
    assert.deepEqual(indices(live), []);
  });
});

describe("telling live watches", () => {
  const range = (from: number, to: number): number[] =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i);

  test("begins when the call that made the event is over, so that its caller answers first", async () => {
    const { store, watch } = await setUp();
    const order: string[] = [];
    const told = (event: StoreEvent): Delivery => {
      order.push(`told ${event.etcdIndex}`);
      return "taken";
    };
    watch("/1/a", { deliver: told });
    watch("/1/a", { deliver: told, stream: false });
    for (let i = 1; i <= 2; i++) {
      store.set("/1/a");
      order.push(`answered ${i}`);
    }
    store.turns.drain();
    assert.deepEqual(order, ["answered 1", "answered 2", "told 1", "told 1", "told 2"]);
  });

  test("takes a turn for each slice, and reaches all in order", async () => {
    const { store, hub, watch } = await setUp();
    const all = Array.from({ length: 2500 }, () => watch("/1/a"));
    for (let i = 1; i <= 3; i++) store.set("/1/a");
    let turns = 0;
    let before = 0;
    while (store.turns.step()) {
      turns += 1;
      const sum = all.reduce((count, { events }) => count + events.length, 0);
      assert.ok(sum - before <= 1000, `${sum - before} in one turn`);
      before = sum;
    }
    assert.ok(turns >= 7, `${turns} turns`);
    for (const received of all) assert.deepEqual(seen(received), [1, 2, 3]);
    assert.equal(hub.watchers, 2500);
  });

  test("of large events takes no more than some megabytes a turn", async () => {
    const { store, watch } = await setUp();
    const all = Array.from({ length: 20 }, () => watch("/1/a"));
    store.set("/1/a", "x".repeat(1 << 20));
    store.turns.step();
    const reached = all.filter(({ events }) => events.length > 0).length;
    assert.ok(reached > 0 && reached <= 5, `${reached} in one turn`);
    for (const received of all) assert.deepEqual(indices(received), [1]);
  });

  test("passes over who has no room, who goes on with that very event", async () => {
    const { store, hub, watch } = await setUp();
    const refusals: number[] = [];
    const got: number[] = [];
    let hasRoom = false;
    const late = watch("/1/a", {
      deliver(event) {
        (hasRoom ? got : refusals).push(event.etcdIndex);
        return hasRoom ? "taken" : "later";
      },
    });
    const quick = watch("/1/a");
    for (let i = 1; i <= 3; i++) store.set("/1/a");
    assert.deepEqual(indices(quick), [1, 2, 3]);
    assert.deepEqual(refusals, [1]);
    assert.equal(hub.watchers, 2, "it is a live watch still");
    late.handle?.resume();
    store.turns.drain();
    assert.deepEqual(refusals, [1, 1]);
    hasRoom = true;
    late.handle?.resume();
    store.turns.drain();
    store.set("/1/a");
    store.turns.drain();
    assert.deepEqual(got, [1, 2, 3, 4]);
    assert.deepEqual([late.end, hub.watchers], [undefined, 2]);
  });

  test("gives a long poll that had no room its one event, and no other", async () => {
    const { store, hub, watch } = await setUp();
    const got: number[] = [];
    let hasRoom = false;
    const late = watch("/1/a", {
      stream: false,
      deliver(event) {
        if (hasRoom) got.push(event.etcdIndex);
        return hasRoom ? "taken" : "later";
      },
    });
    store.set("/1/a");
    store.set("/1/a");
    store.turns.drain();
    hasRoom = true;
    late.handle?.resume();
    store.turns.drain();
    assert.deepEqual([got, late.end, hub.watchers], [[1], "delivered", 0]);
  });

  test("ends who has no room as slow when the history has passed", async () => {
    const { store, hub, watch } = await setUp({ historyMax: 10 });
    const late = watch("/1/a", { deliver: () => "later" });
    const cancelled = watch("/1/a", { deliver: () => "later" });
    const closed = watch("/1/b", { deliver: () => "later" });
    for (let i = 1; i <= 20; i++) {
      store.set("/1/a");
      store.turns.drain();
    }
    store.set("/1/b");
    store.turns.drain();
    late.handle?.resume();
    cancelled.handle?.cancel();
    store.turns.drain();
    assert.deepEqual([late.end, cancelled.end, hub.watchers], ["slow", undefined, 1]);
    hub.close();
    assert.equal(closed.end, "closed");
    assert.equal(hub.watchers, 0);
  });

  test("keeps up with a burst that is longer than the history", async () => {
    const { store, watch } = await setUp({ historyMax: 10 });
    const received = watch("/1/a");
    for (let i = 1; i <= 3000; i++) store.set("/1/a");
    assert.deepEqual(indices(received), range(1, 3000));
  });

  test("reads what it cannot keep from the history, and ends those it fails as slow", async () => {
    const value = "x".repeat(1 << 20);
    for (const [historyMax, end] of [
      [1000, undefined],
      [10, "slow"],
    ] as const) {
      const { store, watch } = await setUp({ historyMax });
      const received = watch("/1/a");
      for (let i = 1; i <= 60; i++) store.set("/1/a", value);
      store.turns.drain();
      assert.equal(received.end, end);
      assert.deepEqual(seen(received), range(1, end === undefined ? 60 : received.events.length));
      const next = watch("/1/b");
      store.set("/1/b");
      assert.deepEqual(indices(next), [61]);
    }
  });

  test("of a removed directory reaches names that existed, though a short history has lost them", async () => {
    const { store, watch } = await setUp({ historyMax: 3, directRemovalMax: 2 });
    for (let i = 0; i < 20; i++) store.set(`/1/d/${i}`);
    store.turns.drain();
    const existed = watch("/1/d/7");
    const never = watch("/1/d/never");
    store.write("delete", "/1/d", { recursive: true });
    for (let i = 0; i < 50; i++) store.set("/1/a");
    assert.deepEqual(indices(existed), [21]);
    assert.deepEqual(indices(never), []);
  });

  test("tells what is still to be told before the hub closes, or goes over to another store", async () => {
    const { store, hub, watch } = await setUp();
    const other = await TestStore.open({ clock: store.clock });
    for (let i = 1; i <= 5; i++) other.set("/1/a");
    const received = watch("/1/a");
    for (let i = 1; i <= 3; i++) store.set("/1/a");
    hub.attach(other.machine);
    assert.deepEqual(indices(received), range(1, 5));
    other.set("/1/a");
    hub.close();
    assert.deepEqual(seen(received), [...range(1, 6)]);
    assert.equal(received.end, "closed");
  });
});

describe("watches from the past", () => {
  test("get all missed events, then live ones, each once", async () => {
    const { store, hub, watch } = await setUp();
    for (let i = 0; i < 5; i++) store.set("/1/a");
    const received = watch("/1/a", { sinceIndex: 2 });
    assert.equal(hub.watchers, 0, "it counts when it is live");
    assert.deepEqual(seen(received), [], "nothing comes within watch()");
    store.turns.drain();
    store.set("/1/a");
    assert.deepEqual(indices(received), [2, 3, 4, 5, 6]);
    assert.equal(hub.watchers, 1);
  });

  test("use the live rule: own key when recursive, hidden ones left out, by path element", async () => {
    const { store, watch } = await setUp();
    store.set("/1/x");
    store.set("/1/k/_h");
    store.set("/1/k/b");
    store.write("update", "/1/k", store.clock.ttl(100));
    store.set("/1/kk/never");
    store.write("delete", "/1/kk", { recursive: true });
    store.write("delete", "/1/k", { recursive: true });
    const recursive = watch("/1/k", { recursive: true, sinceIndex: 1 });
    const existed = watch("/1/k/_h", { sinceIndex: 4 });
    const never = watch("/1/k/never", { sinceIndex: 1 });
    store.turns.drain();
    assert.deepEqual(indices(recursive), [3, 4, 7]);
    assert.deepEqual(indices(existed), [7]);
    assert.deepEqual(indices(never), []);
  });

  test("that nothing in memory matches are live at once", async () => {
    const { store, hub, watch } = await setUp();
    store.set("/1/a");
    const received = watch("/1/b", { sinceIndex: 1 });
    assert.equal(hub.watchers, 1);
    assert.equal(store.turns.pending, 0);
    store.set("/1/b");
    assert.deepEqual(indices(received), [2]);
  });

  test("from before the history are refused with 401 and the exact cause", async () => {
    const { store, watch } = await setUp({ historyMax: 1000 });
    for (let i = 1; i <= 1500; i++) store.set("/1/a");
    const cause = "the requested history has been cleared [501/500]";
    assert.throws(() => watch("/1/a", { sinceIndex: 500 }), { code: 401, cause, index: 1500 });
    const oldest = watch("/1/a", { sinceIndex: 501, stream: false });
    store.turns.drain();
    assert.deepEqual(indices(oldest), [501]);
  });

  test("read a long history from disk in slices, others go on meanwhile", async () => {
    const { store, watch } = await setUp();
    for (let i = 1; i <= 5000; i++) store.set(i % 2 === 0 ? "/1/a" : "/1/b");
    const all = watch("/1/a", { sinceIndex: 1 });
    const some = watch("/1/b", { sinceIndex: 4000 });
    const live = watch("/1/b");
    store.turns.step();
    assert.ok(all.events.length > 0 && all.events.length <= 200, `${all.events.length} at once`);
    store.set("/1/b");
    assert.deepEqual(indices(live), [5001]);
    store.turns.drain();
    store.set("/1/a");
    assert.deepEqual(indices(all), [...Array.from({ length: 2500 }, (_, i) => 2 * (i + 1)), 5002]);
    assert.deepEqual(indices(some).slice(-2), [4999, 5001]);
  });

  test("that are overtaken by the trimming of the history end as slow", async () => {
    const { store, watch } = await setUp({ historyMax: 100 });
    for (let i = 1; i <= 100; i++) store.set("/1/a");
    const received = watch("/1/a", { sinceIndex: 1 });
    for (let i = 1; i <= 50; i++) store.set("/1/a");
    store.turns.drain();
    assert.deepEqual([received.end, received.events.length], ["slow", 0]);
  });

  test("that are overtaken on their way end as slow, and get nothing from behind the gap", async () => {
    const { store, watch } = await setUp({ historyMax: 3000 });
    for (let i = 1; i <= 3000; i++) store.set("/1/a");
    const received = watch("/1/a", { sinceIndex: 1 });
    store.turns.step();
    const reached = received.events.length;
    assert.ok(reached > 0 && reached < 3000, `${reached} at once`);
    for (let i = 1; i <= reached + 50; i++) store.set("/1/a");
    store.turns.drain();
    assert.deepEqual([received.end, received.events.length], ["slow", reached]);
  });

  test("of many watchers yield after a bounded number of deliveries", async () => {
    const { store, watch } = await setUp();
    for (let i = 1; i <= 200; i++) store.set("/1/a");
    const all = Array.from({ length: 100 }, () => watch("/1/a", { sinceIndex: 1 }));
    store.turns.step();
    const sum = (): number => all.reduce((count, { events }) => count + events.length, 0);
    assert.ok(sum() > 0 && sum() <= 1100, `${sum()} at once`);
    store.turns.drain();
    assert.equal(sum(), 100 * 200);
  });

  test("that pause are told when the hub closes, like all others", async () => {
    const { store, hub, watch } = await setUp();
    for (let i = 1; i <= 3000; i++) store.set("/1/a");
    const live = watch("/1/a");
    const pausing = watch("/1/a", { sinceIndex: 1, congested: () => true });
    store.turns.drain();
    assert.equal(pausing.events.length, 1);
    const onItsWay = watch("/1/a", { sinceIndex: 2 });
    store.turns.step();
    const waiting = watch("/1/a", { sinceIndex: 1 });
    hub.close();
    const ends = [live, pausing, onItsWay, waiting].map(({ end }) => end);
    assert.deepEqual(ends, ["closed", "closed", "closed", "closed"]);
  });

  test("that are congested pause and go on where they were", async () => {
    const { store, watch } = await setUp();
    for (let i = 1; i <= 10; i++) store.set("/1/a");
    let taken = 0;
    const received = watch("/1/a", { sinceIndex: 1, congested: () => ++taken % 3 === 0 });
    store.turns.drain();
    assert.deepEqual(indices(received), [1, 2, 3]);
    store.set("/1/a");
    store.turns.drain();
    assert.equal(received.events.length, 3, "events wait in the history");
    for (let i = 0; i < 10; i++) {
      received.handle?.resume();
      store.turns.drain();
    }
    store.set("/1/a");
    assert.deepEqual(
      indices(received),
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
  });

  test("go over to another state machine without a gap", async () => {
    const { store, hub, watch } = await setUp();
    const other = await TestStore.open({ clock: store.clock });
    for (let i = 1; i <= 20; i++) {
      if (i <= 10) store.set("/1/a");
      other.set("/1/a");
    }
    const live = watch("/1/a");
    const behind = watch("/1/a", { sinceIndex: 4 });
    const future = watch("/1/a", { sinceIndex: 25 });
    hub.attach(other.machine);
    store.set("/1/a", "told to nobody");
    store.turns.drain();
    for (let i = 21; i <= 26; i++) other.set("/1/a");
    const range = (from: number, to: number): number[] =>
      Array.from({ length: to - from + 1 }, (_, i) => from + i);
    assert.deepEqual(indices(live), range(11, 26));
    assert.deepEqual(indices(behind), range(4, 26));
    assert.deepEqual(indices(future), [25, 26]);
  });

  test("wait out the time between the closing of one state machine and the next", async () => {
    const { store, hub, watch } = await setUp();
    const other = await TestStore.open({ clock: store.clock });
    for (let i = 1; i <= 3000; i++) {
      store.set("/1/a");
      other.set("/1/a");
    }
    const behind = watch("/1/a", { sinceIndex: 1 });
    store.turns.step();
    await store.machine.close();
    const late = watch("/1/a", { sinceIndex: 2 });
    store.turns.drain();
    assert.ok(behind.events.length < 3000);
    assert.equal(behind.end, undefined);
    hub.attach(other.machine);
    store.turns.drain();
    assert.deepEqual(
      indices(behind),
      Array.from({ length: 3000 }, (_, i) => i + 1),
    );
    assert.equal(late.events.length, 2999);
  });

  test("whose events the new state machine no longer has end as slow", async () => {
    const { store, hub, watch } = await setUp();
    const other = await TestStore.open({ clock: store.clock, historyMax: 5 });
    store.set("/1/a");
    for (let i = 1; i <= 20; i++) other.set("/1/a");
    const live = watch("/1/a");
    hub.attach(other.machine);
    store.turns.drain();
    assert.equal(live.end, "slow");
  });
});

test("an event does not look at watches that it does not concern", () => {
  let looks = 0;
  const counting = (path: string, recursive: boolean): TrieWatch => ({
    get path() {
      looks += 1;
      return path;
    },
    get recursive() {
      looks += 1;
      return recursive;
    },
  });
  const trie = new WatcherTrie<TrieWatch>();
  for (let i = 0; i < 20_000; i++) trie.add(counting(`/1/other/${i}/x`, i % 2 === 0));
  const concerned = counting("/1/a/b", true);
  trie.add(concerned);
  assert.equal(trie.size, 20_001);
  looks = 0;
  const node = {
    key: "/1/a/b/c",
    value: "",
    dir: false,
    createdIndex: 1,
    modifiedIndex: 1,
    ttl: 0,
  };
  const matches: TrieWatch[] = [];
  trie.match(
    {
      action: "set",
      node: { ...node, expirationMs: undefined },
      prevNode: undefined,
      etcdIndex: 1,
      refresh: false,
      removed: undefined,
    },
    matches,
  );
  assert.deepEqual([matches.length, matches[0] === concerned, looks], [1, true, 0]);
});

test("a directory removed under many watchers tells those of existing names only", async () => {
  const { store, watch } = await setUp();
  for (let i = 0; i < 50; i++) store.set(`/1/d/${i}`);
  const watches = Array.from({ length: 500 }, (_, i) => watch(`/1/d/${i}`));
  const few = Array.from({ length: 3 }, (_, i) => watch(`/1/e/${i * 40}`));
  for (let i = 0; i < 50; i++) store.set(`/1/e/${i}`);
  const before = few.map((received) => indices(received).length);
  store.write("delete", "/1/d", { recursive: true });
  store.write("delete", "/1/e", { recursive: true });
  store.turns.drain();
  assert.equal(watches.filter((received) => received.events.length > 0).length, 50);
  assert.deepEqual(
    few.map((received, i) => received.events.length - (before[i] ?? 0)),
    [1, 1, 0],
  );
});
