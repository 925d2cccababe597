import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import type { WriteAction } from "../../src/model/command.ts";
import { ByteWriter } from "../../src/encoding/bytes.ts";
import { EMPTY_STATE, readState, writeState } from "../../src/encoding/state-row.ts";
import { MemoryKv } from "../../src/kv/memory-kv.ts";
import { importSnapshot } from "../../src/snapshot/snapshot.ts";
import { StateMachine } from "../../src/state-machine.ts";
import { FakeClock, TestStore, command } from "../support.ts";

const kinds: readonly WriteAction[] = ["set", "set", "create", "createInOrder", "update", "delete"];

/** What the listing of everything says. */
function listed(store: TestStore): number {
  const rows = ["/0", "/1"].flatMap((root) => store.list(root, true, 100));
  return rows.reduce((sum, { node }) => sum + node.key.length + (node.value ?? "").length + 16, 0);
}

function assertExact(store: TestStore): void {
  assert.equal(store.machine.liveSize.bytes, listed(store));
  assert.equal(store.machine.liveSize.isExact, true);
}

/** Writes, removals, lives that end and restarts at random, with a look at the bytes after each. */
async function run(seed: number, limits: { readonly directRemovalMax?: number }): Promise<void> {
  const random = new SeededRandom(seed);
  const clock = new FakeClock();
  const kv = new MemoryKv();
  let store = await TestStore.open({ kv, clock, ...limits });
  for (let step = 0; step < 600; step++) {
    const path = `/1/${random.below(4)}${random.chance(0.8) ? `/${random.below(30)}` : ""}`;
    const value = "v".repeat(random.below(300));
    const kind = random.pick(kinds);
    const life = random.chance(0.2) ? clock.ttl(1 + random.below(9)) : {};
    store.apply(command(kind, path, { value, ...(kind === "delete" ? {} : life) }));
    if (random.chance(0.05)) {
      clock.advance(2000);
      store.expireDue();
    }
    if (random.chance(0.02)) store = await TestStore.open({ kv, clock, ...limits });
    // Directories at once and as a whole: of few rows or many, at times before the last are swept.
    if (limits.directRemovalMax !== undefined && random.chance(0.1)) {
      const directory = `/1/${random.below(4)}`;
      store.apply(command("delete", directory, { recursive: true, dir: true }));
    }
    if (limits.directRemovalMax !== undefined && random.chance(0.5)) continue;
    while (store.turns.pending > 0) store.turns.drain();
    assertExact(store);
  }
}

/** Lets a count come to its end, one slice after the other. */
async function counted(store: TestStore): Promise<void> {
  const counting = store.machine.countLiveBytes();
  while (store.turns.pending > 0) {
    store.turns.drain();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await counting;
}

describe("the bytes of live nodes", () => {
  test("are kept exactly by writes, removals and lives that end, and survive a restart", async () => {
    const seed = seedOfRun();
    await run(seed, {});
    await run(seed, { directRemovalMax: 3 });
  });

  test("are kept when a small directory with nodes below expires in a run of writes", async () => {
    await run(1432561515, {});
  });

  test("leave out history: what is deleted no longer counts", async () => {
    const store = await TestStore.open();
    store.set("/1/big", "x".repeat(100_000));
    store.write("delete", "/1/big");
    assert.equal(store.machine.liveSize.bytes, listed(store));
    assert.ok(store.machine.liveSize.bytes < 100);
  });

  test("of a small directory are taken off exactly, and survive a restart", async () => {
    const kv = new MemoryKv();
    let store = await TestStore.open({ kv });
    for (let i = 0; i < 50; i++) store.set(`/1/small/${i}`, "x");
    for (let i = 0; i < 50; i++) store.set(`/1/big/${i}`, "x".repeat(1000));
    store.write("delete", "/1/small", { recursive: true });
    assertExact(store);
    store = await TestStore.open({ kv });
    assertExact(store);
  });

  test("of a directory with few but long values are taken off exactly", async () => {
    const store = await TestStore.open();
    for (let i = 0; i < 5; i++) store.set(`/1/long/${i}`, "x".repeat(100_000));
    for (let i = 0; i < 5; i++) store.set(`/1/kept/${i}`, "x".repeat(1000));
    store.write("delete", "/1/long", { recursive: true });
    assert.equal(store.turns.pending > 0, true);
    store.turns.drain();
    assertExact(store);
  });

  test("of a directory whose life ends with nodes below are taken off exactly", async () => {
    const clock = new FakeClock();
    const store = await TestStore.open({ clock });
    store.apply(command("set", "/1/d", { dir: true, ...clock.ttl(1) }));
    for (let i = 0; i < 9; i++) store.set(`/1/d/${i}`, "x".repeat(i * 7));
    store.set("/1/kept", "here");
    clock.advance(2000);
    store.expireDue();
    assertExact(store);
  });

  test("are those of rows, new nodes and replaced ones alike when one batch removes them", async () => {
    const store = await TestStore.open();
    for (let i = 0; i < 9; i++) store.set(`/1/d/${i}`, "x".repeat(i));
    const commands = [
      command("set", "/1/d/3", { value: "longer than before" }),
      command("delete", "/1/d/4"),
      command("set", "/1/d/new", { value: "fresh" }),
      command("delete", "/1/d", { recursive: true, dir: true }),
      command("set", "/1/d/5", { value: "again" }),
    ];
    store.machine.apply(
      commands.map((one) => ({ index: ++store.raftIndex, term: 1, command: one })),
    );
    assertExact(store);
  });

  test("estimated by an earlier version are counted, with what changes meanwhile", async () => {
    const kv = new MemoryKv();
    let store = await TestStore.open({ kv });
    for (let i = 0; i < 50; i++) store.set(`/1/big/${i}`, "x".repeat(1000));
    const batch = kv.batch();
    const state = readState(kv) ?? EMPTY_STATE;
    writeState(new ByteWriter(), batch, { ...state, live: { bytes: 100, isExact: false } });
    batch.write({ sync: false });
    store = await TestStore.open({ kv });
    assert.equal(store.machine.liveSize.isExact, false);
    const counting = counted(store);
    store.write("delete", "/1/big/7");
    store.set("/1/meanwhile", "x".repeat(70));
    await counting;
    assertExact(store);
  });

  test("of a large directory go with its rows", async () => {
    const store = await TestStore.open({ directRemovalMax: 5 });
    for (let i = 0; i < 40; i++) store.set(`/1/d/${i}`, "x".repeat(i));
    store.set("/1/kept", "here");
    store.write("delete", "/1/d", { recursive: true });
    // Takes the place of a row that is still there.
    store.set("/1/d/7", "again");
    store.turns.drain();
    assert.equal(store.machine.liveSize.isExact, true);
    assert.equal(store.machine.liveSize.bytes, listed(store));
  });

  test("come with a snapshot", async () => {
    const store = await TestStore.open();
    for (let i = 0; i < 40; i++) store.set(`/1/d/${i}`, "x".repeat(i));
    const kv = new MemoryKv();
    const { clock } = store;
    // Without the slices by hand of the store of tests.
    const source = await StateMachine.open({ kv: store.kv, clock });
    await importSnapshot(kv, source.exportSnapshot(), { clock });
    const copy = await StateMachine.open({ kv, clock });
    assert.equal(copy.liveSize.isExact, true);
    assert.equal(copy.liveSize.bytes, listed(store));
  });
});
