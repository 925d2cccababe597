import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ByteString } from "../../src/model/byte-string.ts";
import type { Kv } from "../../src/kv/kv.ts";
import { MemoryKv } from "../../src/kv/memory-kv.ts";
import {
  APPLIED_DIRECTORY_PATH_BYTES_MAX,
  DIRECTORY_PATH_BYTES_MAX,
  KEY_LEVELS_MAX,
  newKeyProblem,
} from "../../src/tree/path-limits.ts";
import { StoreWatcherHub } from "../../src/events/watcher-hub.ts";
import { TestStore } from "../support.ts";

function deep(levels: number, name = "a"): ByteString {
  return "/1" + `/${name}`.repeat(levels);
}

/** A kv that counts the point reads below it, and the bytes of the keys asked for. */
class CountingKv extends MemoryKv implements Kv {
  lookups = 0;
  keyBytes = 0;
  override get(key: Uint8Array): Uint8Array | undefined {
    this.lookups += 1;
    this.keyBytes += key.length;
    return super.get(key);
  }
}

describe("limits of new keys", () => {
  test("count the levels of the key, and the name added in order", () => {
    assert.equal(newKeyProblem(deep(KEY_LEVELS_MAX), false), undefined);
    assert.match(newKeyProblem(deep(KEY_LEVELS_MAX + 1), false) ?? "", /has 1001 levels/);
    assert.equal(newKeyProblem(deep(KEY_LEVELS_MAX - 1), true), undefined);
    assert.match(newKeyProblem(deep(KEY_LEVELS_MAX), true) ?? "", /has 1001 levels/);
  });

  test("bound the bytes of all directories together, not the length of one name", () => {
    assert.equal(newKeyProblem("/1/" + "n".repeat(1 << 20), false), undefined);
    const name = "n".repeat(Math.floor(DIRECTORY_PATH_BYTES_MAX / 50));
    assert.equal(newKeyProblem(deep(9, name), false), undefined);
    assert.match(newKeyProblem(deep(12, name), false) ?? "", /bytes of paths, of which 2097152/);
  });

  test("hold for no path of an ordinary length, which is not even looked through", () => {
    assert.equal(newKeyProblem(deep(900), false), undefined);
  });
});

describe("a path of many levels", () => {
  for (const levels of [20_000, 40_000]) {
    test(`of ${levels} is found missing in a few looks, wherever it begins to be`, async () => {
      for (const present of [0, 1, 7, 700]) {
        const kv = new CountingKv();
        const store = await TestStore.open({ kv });
        if (present > 0) store.set(`${deep(present)}/b`);
        kv.lookups = 0;
        kv.keyBytes = 0;
        const missing = present === 0 ? "/1/a" : deep(present + 1);
        assert.throws(() => store.get(deep(levels)), { code: 100, cause: missing });
        assert.ok(kv.lookups < 40, `${kv.lookups} looks`);
        assert.ok(kv.keyBytes < 40 * levels, `${kv.keyBytes} bytes of keys`);
      }
    });
  }

  test("with a file in its way is refused with the path of the file", async () => {
    const store = await TestStore.open();
    store.set(deep(5), "file");
    assert.deepEqual(store.refused("set", deep(20_000)), [104, deep(5), 1]);
    assert.throws(() => store.get(deep(20_000)), { code: 104, cause: deep(5) });
  });

  test("is refused when an entry of the log asks for it, and the entries around it hold", async () => {
    for (const action of ["set", "create", "createInOrder"] as const) {
      const store = await TestStore.open();
      store.set("/1/before");
      const [code, cause, index] = store.refused(action, deep(40_000));
      assert.deepEqual([code, index], [209, 1]);
      assert.match(cause, new RegExp(`of which ${APPLIED_DIRECTORY_PATH_BYTES_MAX} are allowed`));
      store.set("/1/after");
      assert.deepEqual(store.keys("/1"), ["/1/after", "/1/before"]);
      const { setsFail, createFail } = store.machine.reader.stats;
      assert.deepEqual([setsFail, createFail], action === "set" ? [1, 0] : [0, 1]);
    }
  });

  test("that an earlier version made is read, listed, written and deleted", async () => {
    const store = await TestStore.open();
    const levels = 3000;
    store.set(deep(levels), "x");
    assert.equal(store.get(deep(levels)).value, "x");
    assert.equal(store.keys("/1").length, levels);
    store.set(deep(levels), "y");
    store.write("update", deep(levels), { value: "z" });
    store.set(`${deep(levels - 1)}/b`, "beside");
    const { prevNode } = store.write("delete", deep(levels));
    assert.equal(prevNode?.value, "z");
    store.write("delete", deep(1), { recursive: true, dir: true });
    store.turns.drain();
    assert.deepEqual(store.keys("/1"), []);
    assert.equal(store.machine.nodeCount, 0);
  });

  test("with a watch at each level tells each once, unless an element below it is hidden", async () => {
    const store = await TestStore.open();
    const hub = new StoreWatcherHub(store.machine, { schedule: store.turns.schedule });
    const told: number[] = [];
    for (let level = 1; level <= 50; level++) {
      hub.watch({
        path: deep(level),
        recursive: true,
        sinceIndex: 0,
        stream: true,
        deliver: () => {
          told.push(level);
          return "taken";
        },
        ended: () => undefined,
      });
    }
    store.set(`${deep(20)}/_b${deep(30).slice(2)}`);
    store.set(`/1/_b${deep(30).slice(2)}`);
    store.turns.drain();
    assert.deepEqual(told, []);
    store.set(deep(40));
    store.turns.drain();
    assert.deepEqual(
      told,
      Array.from({ length: 40 }, (_, i) => i + 1),
    );
    hub.close();
  });
});
