/** A store that one thread applies to and others read, both roles played in turn on one thread. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { StoreWatcherHub } from "../../src/events/watcher-hub.ts";
import { RocksKv } from "../../src/kv/rocks-kv.ts";
import { EtcdError, StoreError } from "../../src/model/errors.ts";
import { SharedHistory } from "../../src/shared/shared-history.ts";
import { SharedReader } from "../../src/shared/shared-reader.ts";
import { SharedState } from "../../src/shared/shared-state.ts";
import { StateMachine } from "../../src/state-machine.ts";
import { command, FakeClock, Turns } from "../support.ts";

function made(n: number): Parameters<typeof command> {
  return ["set", `/1/d/${n}`, {}];
}

describe("a store read by another thread", () => {
  let folder: string;
  let kv: RocksKv;
  let machine: StateMachine;
  let index: number;
  let stores: number;
  const clock = new FakeClock();
  const sweeps = new Turns();
  const shared = new SharedState();
  /** What the other thread has: its own view of the memory and of the database. */
  const view = new SharedState(shared.buffer);
  let attached: { kv: RocksKv; clock: FakeClock };
  let reader: SharedReader;
  let history: SharedHistory;

  async function open(): Promise<void> {
    stores += 1;
    kv = await RocksKv.open(join(folder, String(stores)));
    const options = { kv, clock, schedule: sweeps.schedule, historyMax: 500, directRemovalMax: 8 };
    machine = await StateMachine.open(options);
    index = 0;
  }

  function write(...writes: Parameters<typeof command>[]): void {
    const entries = writes.map((given) => {
      index += 1;
      return { index, term: 1, command: command(...given) };
    });
    machine.apply(entries);
  }

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "etcd2-shared-"));
    stores = 0;
    await open();
    machine.share(shared);
    attached = { kv: RocksKv.attach(kv.handle), clock };
    reader = new SharedReader(view, () => attached);
    history = new SharedHistory(view, () => attached);
  });

  afterEach(async () => {
    await attached.kv.close();
    await machine.close();
    while (sweeps.step());
    rmSync(folder, { recursive: true });
  });

  const value = (path: string): string | undefined =>
    reader.get(path, { recursive: false }).node.value;

  const code = (path: string): number => {
    try {
      reader.get(path, { recursive: false }).children?.close();
      return 0;
    } catch (error) {
      assert.ok(error instanceof EtcdError);
      assert.equal(error.index, machine.reader.etcdIndex);
      return error.code;
    }
  };

  it("shows every write that was applied, with the indexes of the moment", () => {
    for (let n = 1; n <= 50; n += 1) {
      write(["set", "/1/a", { value: String(n) }]);
      assert.equal(value("/1/a"), String(n));
      assert.equal(reader.etcdIndex, n);
      assert.equal(reader.raftIndex, index);
      assert.equal(reader.raftTerm, 1);
    }
    assert.equal(code("/1/a/b"), 104);
    assert.equal(code("/1/none"), 100);
  });

  it("counts the reads for the thread that applies", () => {
    write(["set", "/1/a", { value: "x" }]);
    shared.takeReads();
    value("/1/a");
    code("/1/none");
    reader.stats.getsFail += 1;
    assert.deepEqual(shared.takeReads(), { succeeded: 1, failed: 2 });
    assert.deepEqual(shared.takeReads(), { succeeded: 0, failed: 0 });
  });

  it("never shows what went with a large directory, while its rows are still there", () => {
    write(...Array.from({ length: 40 }, (_, n) => made(n)));
    write(["delete", "/1/d", { recursive: true }]);
    assert.ok(sweeps.pending > 0, "the rows are still there");
    assert.equal(code("/1/d/7"), 100);
    assert.deepEqual(reader.peekChildren("/1"), []);
    write(["set", "/1/d/7", { value: "new" }]);
    assert.equal(value("/1/d/7"), "new");
    assert.equal(code("/1/d/8"), 100);
    while (sweeps.step());
    assert.equal(value("/1/d/7"), "new");
  });

  it("reads another store from the moment on in which that takes the place of the first", async () => {
    write(["set", "/1/a", { value: "old" }]);
    assert.equal(value("/1/a"), "old");
    const [old, oldKv] = [machine, attached.kv];
    await open();
    write(["set", "/1/b", {}], ["set", "/1/a", { value: "new" }]);
    assert.equal(value("/1/a"), "old", "it is not in use yet");
    shared.beginChange();
    old.share(undefined);
    attached = { kv: RocksKv.attach(kv.handle), clock };
    machine.share(shared);
    shared.endChange();
    assert.equal(value("/1/a"), "new");
    assert.equal(reader.etcdIndex, 2);
    await oldKv.close();
    await old.close();
    assert.equal(value("/1/a"), "new", "closing what was attached closes nothing else");
  });

  it("refuses to read what was closed, and lets go of its listings", async () => {
    write(["set", "/1/d/a", {}], ["set", "/1/d/b", {}]);
    const { children } = reader.get("/1/d", { recursive: true });
    await attached.kv.close();
    assert.throws(() => children?.next(1), StoreError);
    assert.throws(() => value("/1/d/a"), StoreError);
    assert.equal(machine.reader.get("/1/d/a", { recursive: false }).node.key, "/1/d/a");
  });

  it("has a history for watches: all events in order, from the past and as they come", () => {
    const turns = new Turns();
    const hub = new StoreWatcherHub(history, { schedule: turns.schedule });
    shared.onPublished = () => {
      if (history.changed()) hub.attach(history);
    };
    const told: number[] = [];
    write(["set", "/1/a", {}], ["set", "/1/b", {}], ["set", "/1/a", {}]);
    hub.watch({
      ...{ path: "/1", recursive: true, sinceIndex: 2, stream: true },
      deliver: ({ etcdIndex }) => {
        told.push(etcdIndex);
        return "taken";
      },
      ended: (reason) => assert.fail(reason),
    });
    while (turns.step());
    assert.deepEqual(told, [2, 3]);
    for (let n = 0; n < 30; n += 1) write(["set", "/1/a", {}], ["set", "/1/c", {}]);
    while (turns.step());
    assert.deepEqual(
      told,
      Array.from({ length: 62 }, (_, n) => n + 2),
    );
    shared.onPublished = undefined;
  });

  it("holds back the event of a large removal until its names are known, and tells no others", () => {
    const turns = new Turns();
    const hub = new StoreWatcherHub(history, { schedule: turns.schedule });
    shared.onPublished = () => {
      if (history.changed()) hub.attach(history);
    };
    const told: string[] = [];
    const watch = (path: string): void => {
      hub.watch({
        ...{ path, recursive: false, sinceIndex: 0, stream: true },
        deliver: ({ action }) => {
          told.push(`${action} ${path}`);
          return "taken";
        },
        ended: (reason) => assert.fail(reason),
      });
    };
    write(...Array.from({ length: 40 }, (_, n) => made(n)));
    for (const path of ["/1/d/39", "/1/d/never", "/1/e"]) watch(path);
    write(["delete", "/1/d", { recursive: true }], ["set", "/1/e", {}]);
    while (turns.step());
    assert.deepEqual(told, []);
    while (sweeps.step());
    while (turns.step());
    assert.deepEqual(told, ["delete /1/d/39", "set /1/e"]);
    shared.onPublished = undefined;
  });

  it("says of a past that is gone that it was cleared", () => {
    for (let n = 0; n < 1200; n += 1) write(["set", "/1/a", {}]);
    assert.equal(history.firstIndex, machine.history.firstIndex);
    assert.throws(
      () => history.read(1),
      (error) => error instanceof EtcdError && error.code === 401,
    );
    assert.equal(history.read(history.lastIndex)[0]?.etcdIndex, 1200);
    assert.deepEqual(history.read(1201), []);
  });
});
