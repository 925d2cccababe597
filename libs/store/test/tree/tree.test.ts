import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { StoreEvent } from "../../src/model/event.ts";
import type { StoreStats } from "../../src/model/ports.ts";
import { TestStore, type WriteOptions, command } from "../support.ts";
import type { WriteAction } from "../../src/model/command.ts";

/** What a client sees of an event, in short. */
function shown(event: StoreEvent): unknown {
  const node = ({ key, value, dir, createdIndex, modifiedIndex }: StoreEvent["node"]): unknown => [
    key,
    dir ? "<dir>" : value,
    createdIndex,
    modifiedIndex,
  ];
  return event.prevNode === undefined
    ? [event.action, node(event.node)]
    : [event.action, node(event.node), node(event.prevNode)];
}

/** The counters that changed. */
function counted(store: TestStore, act: () => unknown): Partial<StoreStats> {
  const before = { ...store.machine.reader.stats };
  act();
  const changed: Partial<StoreStats> = {};
  for (const [name, value] of Object.entries(store.machine.reader.stats)) {
    const field = name as keyof StoreStats;
    if (value !== before[field]) changed[field] = value - before[field];
  }
  return changed;
}

describe("set", () => {
  test("creates a file with both indices new and no prevNode", async () => {
    const store = await TestStore.open();
    assert.deepEqual(shown(store.set("/1/a", "x")), ["set", ["/1/a", "x", 1, 1]]);
  });

  test("replaces a file: createdIndex changes too", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x");
    assert.deepEqual(shown(store.set("/1/a", "y")), [
      "set",
      ["/1/a", "y", 2, 2],
      ["/1/a", "x", 1, 1],
    ]);
  });

  test("makes missing parents with the index of the write, without an event", async () => {
    const store = await TestStore.open();
    store.set("/1/a/b/c", "x");
    assert.equal(store.machine.reader.etcdIndex, 1);
    assert.deepEqual(
      store
        .list("/1", true)
        .map(({ node, depth }) => [node.key, node.dir, node.createdIndex, depth]),
      [
        ["/1/a", true, 1, 1],
        ["/1/a/b", true, 1, 2],
        ["/1/a/b/c", false, 1, 3],
      ],
    );
  });

  test("with dir=true makes a directory and ignores the value", async () => {
    const store = await TestStore.open();
    const event = store.set("/1/d", "ignored", { dir: true });
    assert.equal(event.node.dir, true);
    assert.equal(event.node.value, undefined);
    assert.equal(store.get("/1/d").value, undefined);
  });

  test("with dir=true on a file replaces the file by a directory", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x");
    assert.deepEqual(shown(store.set("/1/a", "", { dir: true })), [
      "set",
      ["/1/a", "<dir>", 2, 2],
      ["/1/a", "x", 1, 1],
    ]);
    store.set("/1/a/b", "y");
    assert.deepEqual(store.keys("/1"), ["/1/a", "/1/a/b"]);
  });

  test("on a directory is refused with 102, with and without dir", async () => {
    const store = await TestStore.open();
    store.set("/1/d", "", { dir: true });
    assert.deepEqual(store.refused("set", "/1/d"), [102, "/1/d", 1]);
    assert.deepEqual(store.refused("set", "/1/d", { dir: true }), [102, "/1/d", 1]);
  });

  test("below a file is refused with 104 naming the file", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x");
    assert.deepEqual(store.refused("set", "/1/a/b/c"), [104, "/1/a", 1]);
  });

  test("replaces the TTL: none given means none", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x", store.clock.ttl(100));
    const event = store.set("/1/a", "y");
    assert.equal(event.prevNode?.ttl, 100);
    assert.equal(event.node.expirationMs, undefined);
    assert.equal(store.get("/1/a").expirationMs, undefined);
  });
});

describe("create and createInOrder", () => {
  test("create makes a file or a directory where nothing is", async () => {
    const store = await TestStore.open();
    assert.deepEqual(shown(store.write("create", "/1/a/b", { value: "x" })), [
      "create",
      ["/1/a/b", "x", 1, 1],
    ]);
    assert.equal(store.write("create", "/1/d", { dir: true }).node.dir, true);
  });

  test("create is refused with 105 if anything is there", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x");
    store.set("/1/d", "", { dir: true });
    assert.deepEqual(store.refused("create", "/1/a"), [105, "/1/a", 2]);
    assert.deepEqual(store.refused("create", "/1/d"), [105, "/1/d", 2]);
    assert.deepEqual(store.refused("create", "/1/a/b"), [104, "/1/a", 2]);
  });

  test("create ignores refresh: an ordinary file with the value given", async () => {
    const store = await TestStore.open();
    const event = store.write("create", "/1/a", { refresh: true, ...store.clock.ttl(10) });
    assert.equal(event.refresh, false);
    assert.equal(event.node.value, "");
    assert.equal(event.node.ttl, 10);
  });

  test("createInOrder names its node by the new index in 20 digits", async () => {
    const store = await TestStore.open();
    store.set("/1/x");
    const event = store.write("createInOrder", "/1/q", { value: "job" });
    assert.deepEqual(shown(event), ["create", ["/1/q/00000000000000000002", "job", 2, 2]]);
    assert.equal(store.get("/1/q").createdIndex, 2);
    assert.equal(
      store.write("createInOrder", "/1/q", { dir: true }).node.key,
      "/1/q/00000000000000000003",
    );
  });

  test("createInOrder works on the root and is refused with 104 on a file", async () => {
    const store = await TestStore.open();
    assert.equal(store.write("createInOrder", "/1").node.key, "/1/00000000000000000001");
    store.set("/1/a");
    assert.deepEqual(store.refused("createInOrder", "/1/a"), [104, "/1/a", 2]);
    assert.deepEqual(store.refused("createInOrder", "/1/a/b"), [104, "/1/a", 2]);
  });

  test("createInOrder is refused with 105 when the name is taken", async () => {
    const store = await TestStore.open();
    store.set("/1/q/00000000000000000002");
    assert.deepEqual(store.refused("createInOrder", "/1/q"), [105, "/1/q/00000000000000000002", 1]);
  });
});

describe("update", () => {
  test("keeps createdIndex, replaces value and TTL", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x", store.clock.ttl(50));
    assert.deepEqual(shown(store.write("update", "/1/a", { value: "y" })), [
      "update",
      ["/1/a", "y", 1, 2],
      ["/1/a", "x", 1, 1],
    ]);
    assert.equal(store.get("/1/a").expirationMs, undefined);
  });

  test("without a value empties the file; dir is ignored", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x");
    assert.equal(store.write("update", "/1/a", { dir: true }).node.value, "");
    assert.equal(store.get("/1/a").dir, false);
  });

  test("of a directory sets the TTL; the event shows the new index, the directory the old", async () => {
    const store = await TestStore.open();
    store.set("/1/d", "", { dir: true });
    const event = store.write("update", "/1/d", store.clock.ttl(20));
    assert.deepEqual(shown(event), ["update", ["/1/d", "<dir>", 1, 2], ["/1/d", "<dir>", 1, 1]]);
    assert.equal(event.node.ttl, 20);
    assert.deepEqual(
      [store.get("/1/d").modifiedIndex, store.get("/1/d").ttl, store.machine.reader.etcdIndex],
      [1, 20, 2],
    );
    store.write("update", "/1/d");
    assert.equal(store.get("/1/d").expirationMs, undefined);
  });

  test("of a directory with a value is refused with 102", async () => {
    const store = await TestStore.open();
    store.set("/1/d", "", { dir: true });
    assert.deepEqual(store.refused("update", "/1/d", { value: "x" }), [102, "/1/d", 1]);
  });

  test("of something missing is refused with 100 naming the first missing element", async () => {
    const store = await TestStore.open();
    store.set("/1/a/b", "x");
    assert.deepEqual(store.refused("update", "/1/a/c/d/e"), [100, "/1/a/c", 1]);
    assert.deepEqual(store.refused("update", "/1/n"), [100, "/1/n", 1]);
    assert.deepEqual(store.refused("update", "/1/a/b/c"), [104, "/1/a/b", 1]);
  });
});

describe("compareAndSwap and compareAndDelete", () => {
  const failures: readonly [WriteOptions, string][] = [
    [{ prevValue: "no" }, "[no != x]"],
    [{ prevIndex: 7 }, "[7 != 1]"],
    [{ prevValue: "no", prevIndex: 7 }, "[no != x] [7 != 1]"],
    [{ prevValue: "x", prevIndex: 7 }, "[7 != 1]"],
    [{ prevValue: "no", prevIndex: 1 }, "[no != x]"],
  ];
  for (const [conditions, cause] of failures) {
    test(`a failed comparison shows only what failed: ${cause}`, async () => {
      const store = await TestStore.open();
      store.set("/1/a", "x");
      assert.deepEqual(store.refused("compareAndSwap", "/1/a", conditions), [101, cause, 1]);
      assert.deepEqual(store.refused("compareAndDelete", "/1/a", conditions), [101, cause, 1]);
      assert.equal(store.get("/1/a").value, "x");
    });
  }

  test("compareAndSwap keeps createdIndex and replaces value and TTL", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x", store.clock.ttl(9));
    const event = store.write("compareAndSwap", "/1/a", {
      prevValue: "x",
      prevIndex: 1,
      value: "y",
      dir: true,
    });
    assert.deepEqual(shown(event), ["compareAndSwap", ["/1/a", "y", 1, 2], ["/1/a", "x", 1, 1]]);
    assert.equal(store.get("/1/a").expirationMs, undefined);
  });

  test("compareAndDelete removes; its node has key and indices only", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x");
    const event = store.write("compareAndDelete", "/1/a", { prevIndex: 1 });
    assert.deepEqual(event.node, {
      key: "/1/a",
      value: undefined,
      dir: false,
      createdIndex: 1,
      modifiedIndex: 2,
      expirationMs: undefined,
      ttl: 0,
    });
    assert.equal(event.prevNode?.value, "x");
    assert.deepEqual(store.keys("/1"), []);
  });

  test("both are refused on directories and on what is missing", async () => {
    const store = await TestStore.open();
    store.set("/1/d/a", "x");
    for (const action of ["compareAndSwap", "compareAndDelete"] as const) {
      const conditions = { prevIndex: 1, dir: true, recursive: true };
      assert.deepEqual(store.refused(action, "/1/d", conditions), [102, "/1/d", 1]);
      assert.deepEqual(store.refused(action, "/1/n/m", conditions), [100, "/1/n", 1]);
      assert.deepEqual(store.refused(action, "/1/d/a/b", conditions), [104, "/1/d/a", 1]);
    }
  });
});

describe("delete", () => {
  test("removes a file whatever dir and recursive say", async () => {
    for (const options of [{}, { dir: true }, { recursive: true }]) {
      const store = await TestStore.open();
      store.set("/1/a", "x");
      assert.deepEqual(shown(store.write("delete", "/1/a", options)), [
        "delete",
        ["/1/a", undefined, 1, 2],
        ["/1/a", "x", 1, 1],
      ]);
    }
  });

  test("of a directory needs dir or recursive, and dir an empty one: hidden children count", async () => {
    const store = await TestStore.open();
    store.set("/1/d/_hidden", "x");
    assert.deepEqual(store.refused("delete", "/1/d"), [102, "/1/d", 1]);
    assert.deepEqual(store.refused("delete", "/1/d", { dir: true }), [108, "/1/d", 1]);
    store.write("delete", "/1/d/_hidden");
    const event = store.write("delete", "/1/d", { dir: true });
    assert.deepEqual(shown(event), ["delete", ["/1/d", "<dir>", 1, 3], ["/1/d", "<dir>", 1, 1]]);
  });

  test("recursive removes everything below in one event and one index", async () => {
    const store = await TestStore.open();
    store.set("/1/d/a/b", "x");
    store.set("/1/d/c", "y");
    store.set("/1/dd", "stays");
    store.write("delete", "/1/d", { recursive: true });
    assert.equal(store.machine.reader.etcdIndex, 4);
    assert.deepEqual(store.keys("/1"), ["/1/dd"]);
    assert.throws(() => store.get("/1/d/a"), { code: 100, cause: "/1/d" });
  });

  test("of something missing is refused with 100", async () => {
    const store = await TestStore.open();
    assert.deepEqual(store.refused("delete", "/1/n/m", { recursive: true }), [100, "/1/n", 0]);
  });
});

describe("the roots", () => {
  test("cannot be written: 107 with cause /", async () => {
    const store = await TestStore.open();
    for (const action of ["set", "create", "update", "compareAndSwap", "delete"] as const) {
      for (const root of ["/0", "/1"]) {
        assert.deepEqual(store.refused(action, root, { value: "x" }), [107, "/", 0]);
      }
    }
    const refresh = { refresh: true, ...store.clock.ttl(5) };
    assert.deepEqual(store.refused("set", "/1", refresh), [107, "/", 0]);
    assert.deepEqual(store.refused("delete", "/1", { recursive: true }), [107, "/", 0]);
  });

  test("compareAndDelete on a root is 102 without a cause", async () => {
    const store = await TestStore.open();
    assert.deepEqual(store.refused("compareAndDelete", "/1", { prevIndex: 1 }), [102, "", 0]);
  });

  test("exist from the start, without indices; /2 does not", async () => {
    const store = await TestStore.open();
    assert.deepEqual([store.get("/1").dir, store.get("/1").createdIndex], [true, 0]);
    assert.equal(store.get("/0").modifiedIndex, 0);
    assert.throws(() => store.get("/2"), { code: 100, cause: "/2" });
    assert.equal(store.set("/2/users/u", "x").etcdIndex, 1);
    assert.deepEqual(store.keys("/2"), ["/2/users", "/2/users/u"]);
    assert.deepEqual(store.keys("/1"), []);
  });
});

describe("refresh", () => {
  test("keeps the value, sets the TTL and is marked for the history alone", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x");
    const set = store.set("/1/a", "", { refresh: true, ...store.clock.ttl(10) });
    assert.deepEqual([set.refresh, set.node.value, set.node.ttl], [true, "x", 10]);
    assert.deepEqual([set.node.createdIndex, set.node.modifiedIndex], [2, 2]);
    const update = store.write("update", "/1/a", { refresh: true, ...store.clock.ttl(20) });
    assert.deepEqual([update.refresh, update.node.value, update.node.createdIndex], [true, "x", 2]);
    const swap = store.write("compareAndSwap", "/1/a", {
      refresh: true,
      prevValue: "x",
      ...store.clock.ttl(30),
    });
    assert.deepEqual([swap.refresh, swap.node.value, swap.node.ttl], [true, "x", 30]);
    assert.equal(store.machine.reader.etcdIndex, 4);
  });

  test("set is refused on a missing key with 100 and on a directory with 102", async () => {
    const store = await TestStore.open();
    store.set("/1/d", "", { dir: true });
    const refresh = { refresh: true, ...store.clock.ttl(10) };
    assert.deepEqual(store.refused("set", "/1/n/m", refresh), [100, "/1/n", 1]);
    assert.deepEqual(store.refused("set", "/1/d", refresh), [102, "/1/d", 1]);
    assert.deepEqual(store.refused("set", "/1/d", { ...refresh, dir: true }), [102, "/1/d", 1]);
    assert.equal(store.write("update", "/1/d", refresh).node.ttl, 10);
  });

  test("set with dir=true still turns a file into a directory", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x");
    const event = store.set("/1/a", "", { refresh: true, dir: true, ...store.clock.ttl(10) });
    assert.deepEqual([event.node.dir, event.refresh], [true, true]);
  });

  test("a failed comparison refuses it like any other", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x");
    const refresh = { refresh: true, prevValue: "z", ...store.clock.ttl(10) };
    assert.deepEqual(store.refused("compareAndSwap", "/1/a", refresh), [101, "[z != x]", 1]);
  });
});

describe("expirations that overflow", () => {
  const overflown = { expirationMs: -5_000_000_000_000, ttlMs: 9_223_372_036_854_775 / 4096 };
  test("set, create and createInOrder store none", async () => {
    const store = await TestStore.open();
    for (const action of ["set", "create", "createInOrder"] as const) {
      const event = store.write(action, `/1/${action}`, overflown);
      assert.equal(event.node.expirationMs, undefined);
      assert.equal(event.node.ttl, 0);
    }
    assert.equal(store.machine.nextDeadline(), undefined);
  });

  test("update and compareAndSwap store a time in the past, due at once", async () => {
    const store = await TestStore.open();
    store.set("/1/a", "x");
    store.set("/1/b", "x");
    const update = store.write("update", "/1/a", overflown);
    assert.equal(update.node.expirationMs, overflown.expirationMs);
    // The count of seconds stays within what 64 bit of nanoseconds hold.
    const furthest = store.write("update", "/1/a", { ...overflown, expirationMs: -9.2e12 });
    assert.equal(furthest.node.ttl, -9_223_372_036);
    assert.ok(update.node.ttl < 0);
    store.write("compareAndSwap", "/1/b", { prevValue: "x", ...overflown });
    assert.deepEqual(store.expireDue(), ["/1/a", "/1/b"]);
    assert.deepEqual(store.keys("/1"), []);
  });
});

test("a life of any length has a deadline that can be stored", async () => {
  const store = await TestStore.open();
  const expirationMs = 2 ** 52 - 1;
  const event = store.set("/1/a", "x", { expirationMs, ttlMs: expirationMs });
  assert.equal(event.node.expirationMs, expirationMs);
  const again = await TestStore.open({ kv: store.kv, clock: store.clock });
  assert.equal(again.get("/1/a").ttl, event.node.ttl);
  assert.ok(event.node.ttl > 10_000 * 365 * 24 * 3600, "longer than anybody waits");
});

describe("counters", () => {
  const cases: readonly [string, WriteAction, string, WriteOptions, Partial<StoreStats>][] = [
    ["set", "set", "/1/f", {}, { setsSuccess: 1 }],
    ["set on a directory", "set", "/1/d", {}, { setsFail: 1 }],
    ["set below a file", "set", "/1/f/x", {}, { setsFail: 1 }],
    ["set on the root", "set", "/1", {}, { setsFail: 1 }],
    ["set refresh of a missing key", "set", "/1/n", { refresh: true }, { setsFail: 1 }],
    ["create", "create", "/1/n", {}, { createSuccess: 1 }],
    ["create of what exists", "create", "/1/f", {}, { createFail: 1 }],
    ["create below a file", "create", "/1/f/x", {}, { createFail: 1, setsFail: 1 }],
    ["create of the root", "create", "/1", {}, { createFail: 1 }],
    ["createInOrder", "createInOrder", "/1/q", {}, { createSuccess: 1 }],
    ["createInOrder below a file", "createInOrder", "/1/f", {}, { createFail: 1, setsFail: 1 }],
    ["update", "update", "/1/f", {}, { updateSuccess: 1 }],
    ["update of nothing", "update", "/1/n", {}, { updateFail: 1 }],
    ["update of a directory with a value", "update", "/1/d", { value: "x" }, { updateSuccess: 1 }],
    ["update of the root", "update", "/1", {}, { updateSuccess: 1 }],
    ["swap", "compareAndSwap", "/1/f", { prevValue: "v" }, { compareAndSwapSuccess: 1 }],
    ["failed swap", "compareAndSwap", "/1/f", { prevValue: "z" }, { compareAndSwapFail: 1 }],
    [
      "swap of a directory",
      "compareAndSwap",
      "/1/d",
      { prevValue: "z" },
      { compareAndSwapFail: 1 },
    ],
    ["swap of nothing", "compareAndSwap", "/1/n", { prevValue: "z" }, { compareAndSwapFail: 1 }],
    ["swap of the root", "compareAndSwap", "/1", { prevValue: "z" }, { compareAndSwapSuccess: 1 }],
    ["delete", "delete", "/1/f", {}, { deleteSuccess: 1 }],
    ["delete of nothing", "delete", "/1/n", {}, { deleteFail: 1 }],
    ["delete of a directory", "delete", "/1/d", {}, { deleteFail: 1 }],
    ["delete of a full directory", "delete", "/1/d", { dir: true }, { deleteFail: 1 }],
    ["delete of the root", "delete", "/1", {}, { deleteSuccess: 1 }],
    ["CAD", "compareAndDelete", "/1/f", { prevValue: "v" }, { compareAndDeleteSuccess: 1 }],
    ["failed CAD", "compareAndDelete", "/1/f", { prevValue: "z" }, { compareAndDeleteSuccess: 1 }],
    ["CAD of a directory", "compareAndDelete", "/1/d", {}, { compareAndDeleteSuccess: 1 }],
    ["CAD of nothing", "compareAndDelete", "/1/n", {}, { compareAndDeleteFail: 1 }],
  ];
  for (const [title, action, path, options, expected] of cases) {
    test(`${title} counts ${JSON.stringify(expected)}`, async () => {
      const store = await TestStore.open();
      store.set("/1/f", "v");
      store.set("/1/d/x", "v");
      assert.deepEqual(
        counted(store, () => store.apply(command(action, path, options))),
        expected,
      );
    });
  }

  test("reads count success and failure; peeks count nothing", async () => {
    const store = await TestStore.open();
    store.set("/1/f", "v");
    const reads = counted(store, () => {
      store.get("/1/f");
      assert.throws(() => store.get("/1/n"), { code: 100, cause: "/1/n", index: 1 });
      assert.throws(() => store.get("/1/f/x"), { code: 104, cause: "/1/f" });
      store.machine.reader.peek("/1/f");
      store.machine.reader.peek("/1/n");
      store.machine.reader.peekChildren("/1");
    });
    assert.deepEqual(reads, { getsSuccess: 1, getsFail: 2 });
  });
});

describe("commands without an outcome", () => {
  test("clusterVersion stores /0/version without an index or an event", async () => {
    const store = await TestStore.open();
    const told: unknown[] = [];
    store.machine.onEvents((events) => told.push(...events));
    assert.equal(store.apply({ action: "clusterVersion", value: "2.3.0" }), undefined);
    assert.equal(store.machine.reader.peek("/0/version")?.value, "2.3.0");
    assert.equal(store.machine.reader.etcdIndex, 0);
    assert.deepEqual(told, []);
  });

  test("a group applies its writes at one entry, each with an index and an event", async () => {
    const store = await TestStore.open();
    const actions: string[] = [];
    store.machine.onEvents((events) => actions.push(...events.map((event) => event.action)));
    const writes = [
      command("create", "/0/members/1/raftAttributes"),
      command("create", "/0/removed_members/2"),
    ];
    assert.equal(store.apply({ action: "group", writes }), undefined);
    assert.deepEqual(actions, ["create", "create"]);
    assert.equal(store.machine.reader.etcdIndex, 2);
  });
});

describe("listings", () => {
  test("leave hidden names out at every level; by their own path they can be read", async () => {
    const store = await TestStore.open();
    for (const path of ["/1/_h/a", "/1/b/_x", "/1/b/y_", "/1/c"]) store.set(path, "v");
    assert.deepEqual(store.keys("/1"), ["/1/b", "/1/b/y_", "/1/c"]);
    assert.deepEqual(store.keys("/1/_h"), ["/1/_h/a"]);
    assert.equal(store.get("/1/_h/a").value, "v");
  });

  test("are in the order of the bytes of names, also of odd ones", async () => {
    const store = await TestStore.open();
    const names = ["\x00", "\x01a", "\x02", "\x03", "\x10", " ", "a", "a\x00", "a b", "b", "\xff"];
    for (const name of [...names].reverse()) store.set(`/1/d/${name}/x`, "v");
    assert.deepEqual(
      store.keys("/1/d", false),
      names.map((name) => `/1/d/${name}`),
    );
  });

  test("without recursive leap over subtrees, large and small", async () => {
    const store = await TestStore.open();
    for (let i = 0; i < 300; i++) store.set(`/1/d/big/${i}/x`, "v");
    for (const path of ["/1/d/a", "/1/d/small/1", "/1/d/z/_h", "/1/d/_hid/x"]) store.set(path, "v");
    const shownKeys = ["/1/d/a", "/1/d/big", "/1/d/small", "/1/d/z"];
    assert.deepEqual(store.keys("/1/d", false), shownKeys);
    assert.deepEqual(
      store.machine.reader.peekChildren("/1/d").map((node) => node.key),
      ["/1/d/_hid", ...shownKeys].sort(),
    );
  });

  test("leap to the very next sibling, however its name begins", async () => {
    const store = await TestStore.open();
    const siblings = ["/1/d/big", "/1/d/big\x00", "/1/d/big\x01a", "/1/d/big\x03", "/1/d/bigger"];
    for (let i = 0; i < 100; i++) store.set(`/1/d/big/${i}`, "v");
    for (let i = 0; i < 100; i++) store.set(`/1/d/_big/${i}`, "v");
    for (const path of siblings.slice(1)) store.set(path, "v");
    assert.deepEqual(store.keys("/1/d", false), siblings);
  });

  test("show one moment, whatever is written meanwhile", async () => {
    const store = await TestStore.open();
    for (let i = 10; i < 99; i++) store.set(`/1/d/${i}`, "old");
    const result = store.machine.reader.get("/1/d", { recursive: true });
    const rows = [...(result.children?.next(5) ?? [])];
    for (let i = 10; i < 99; i++) store.set(`/1/d/${i}`, "new");
    store.write("delete", "/1/d/50");
    store.set("/1/d/100", "new");
    for (;;) {
      const next = result.children?.next(50) ?? [];
      if (next.length === 0) break;
      rows.push(...next);
    }
    assert.equal(rows.length, 89);
    assert.ok(rows.every((row) => row.node.value === "old"));
    assert.equal(result.etcdIndex, 89);
  });
});
