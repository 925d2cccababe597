import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import { ByteWriter } from "../../src/encoding/bytes.ts";
import { writeEventRecord } from "../../src/encoding/event-record.ts";
import { PREFIX, indexKey, indexOfKey, nodeKey, prefixRange } from "../../src/encoding/keyspace.ts";
import type { Kv } from "../../src/kv/kv.ts";
import { MemoryKv } from "../../src/kv/memory-kv.ts";
import { RocksKv } from "../../src/kv/rocks-kv.ts";
import { FRAME, type FrameType, FrameWriter } from "../../src/snapshot/snapshot-frames.ts";
import { importSnapshot, verifySnapshot } from "../../src/snapshot/snapshot.ts";
import { StateMachine } from "../../src/state-machine.ts";
import { writeStats } from "../../src/encoding/state-row.ts";
import { StoreBuilder } from "../../src/snapshot/store-builder.ts";
import { emptyStats } from "../../src/tree/store-stats.ts";
import { FakeClock, TestStore, command } from "../support.ts";

type Chunks = AsyncIterable<Uint8Array>;

async function* cut(bytes: Uint8Array, sizes: () => number): AsyncIterableIterator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const size = Math.max(1, sizes());
    yield bytes.subarray(at, at + size);
    await Promise.resolve();
    at += size;
  }
}

const whole = (bytes: Uint8Array): Chunks => cut(bytes, () => bytes.length);

/** A state machine whose slices run in turns of the event loop. */
function open(
  kv = new MemoryKv(),
  clock = new FakeClock(),
  historyMax = 1000,
): Promise<StateMachine> {
  return StateMachine.open({ kv, clock, historyMax, directRemovalMax: 20 });
}

async function exported(machine: StateMachine): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of machine.exportSnapshot()) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** Some of everything: values, directories, lives, removals large and small, counters, host rows. */
function fill(machine: StateMachine, clock: FakeClock, count: number): void {
  const random = new SeededRandom(7);
  for (let index = machine.appliedIndex + 1; index <= count; index++) {
    const path = `/1/${random.below(9)}${random.chance(0.8) ? `/_x\x01/${random.below(90)}` : ""}`;
    const life = random.chance(0.2) ? clock.ttl(1 + random.below(1000)) : {};
    const value = "v".repeat(random.below(400));
    const given = random.chance(0.05)
      ? command("delete", path, { recursive: true })
      : command(random.pick(["set", "create", "update"]), path, { value, ...life });
    machine.apply([{ index, term: 3, command: given }]);
  }
  machine.apply(
    [],
    new Map([
      ["conf-state", Buffer.from("voters")],
      ["local-id", Buffer.of(1)],
    ]),
  );
}

/** Waits until no removal is under way in the background. */
async function settled(machine: StateMachine): Promise<void> {
  for (let idle = 0; idle < 5;) {
    const before = machine.nodeCount;
    await new Promise((resolve) => setImmediate(resolve));
    idle = before === machine.nodeCount ? idle + 1 : 0;
  }
}

async function same(a: StateMachine, b: StateMachine): Promise<void> {
  assert.deepEqual(await b.hash(), await a.hash());
  await settled(a);
  assert.deepEqual(b.reader.stats, a.reader.stats);
  assert.equal(b.nodeCount, a.nodeCount);
  assert.equal(b.history.firstIndex, a.history.firstIndex);
  for (let next = a.history.firstIndex; next <= a.history.lastIndex;) {
    const events = a.history.read(next);
    for (const event of events) {
      const [other] = b.history.read(event.etcdIndex);
      assert.deepEqual({ ...other, removed: 0 }, { ...event, removed: 0 });
      assert.deepEqual(other?.removed?.paths, event.removed?.paths);
    }
    next += events.length;
  }
}

describe("a snapshot", () => {
  test("makes an equal store, however the stream is cut", async () => {
    const random = new SeededRandom(seedOfRun());
    const clock = new FakeClock();
    const machine = await open(new MemoryKv(), clock);
    fill(machine, clock, 3000);
    await settled(machine);
    const bytes = await exported(machine);
    for (const sizes of [() => bytes.length, () => random.below(100), () => random.below(90_000)]) {
      const kv = new MemoryKv();
      const info = await importSnapshot(kv, cut(bytes, sizes), { clock });
      assert.deepEqual(info, await verifySnapshot(whole(bytes)));
      assert.equal(info.nodes, machine.nodeCount);
      assert.equal(info.bytes, bytes.length);
      assert.deepEqual([info.raftIndex, info.raftTerm], [3000, 3]);
      assert.equal(info.etcdIndex, machine.reader.etcdIndex);
      const copy = await open(kv, clock);
      await same(machine, copy);
      assert.equal(Buffer.from(copy.readMeta("conf-state") ?? []).toString(), "voters");
      assert.equal(copy.readMeta("local-id"), undefined);
      const far = clock.steadyMs() + 10 ** 9;
      assert.deepEqual(copy.dueNodes(far, 10_000), machine.dueNodes(far, 10_000));
    }
  });

  test("shows the moment of its export, while the store goes on", async () => {
    const clock = new FakeClock();
    const machine = await open(new MemoryKv(), clock);
    fill(machine, clock, 2000);
    const hash = await machine.hash();
    const chunks: Uint8Array[] = [];
    const stream = machine.exportSnapshot();
    fill(machine, clock, 2500);
    for await (const chunk of stream) {
      chunks.push(Buffer.from(chunk));
      fill(machine, clock, machine.appliedIndex + 20);
    }
    assert.ok(chunks.length > 5, "it comes in several chunks");
    assert.ok(chunks.every((chunk) => chunk.length < 200_000));
    const kv = new MemoryKv();
    await importSnapshot(kv, whole(Buffer.concat(chunks)), { clock });
    assert.deepEqual(await (await open(kv, clock)).hash(), hash);
  });

  test("carries lives as time left, to clocks of another scale", async () => {
    const clock = new FakeClock();
    const machine = await open(new MemoryKv(), clock);
    machine.apply([{ index: 1, term: 1, command: command("set", "/1/a", clock.ttl(100)) }]);
    clock.advance(40_000);
    const bytes = await exported(machine);
    const other = new FakeClock();
    other.wall += 10 ** 9;
    other.steady = 5_000_000;
    const kv = new MemoryKv();
    await importSnapshot(kv, whole(bytes), { clock: other });
    const copy = await open(kv, other);
    assert.equal(copy.reader.peek("/1/a")?.ttl, 60);
    assert.equal(copy.reader.peek("/1/a")?.expirationMs, machine.reader.peek("/1/a")?.expirationMs);
    other.advance(60_000);
    assert.deepEqual(copy.dueNodes(other.steadyMs(), 10), []);
    other.advance(1);
    assert.equal(copy.dueNodes(other.steadyMs(), 10).length, 1);
  });

  test("of an empty store makes an empty store", async () => {
    const machine = await open();
    const kv = new MemoryKv();
    await importSnapshot(kv, whole(await exported(machine)));
    await same(machine, await open(kv));
  });

  test("leaves out what a sweep has not deleted yet", async () => {
    const machine = await StateMachine.open({
      kv: new MemoryKv(),
      clock: new FakeClock(),
      directRemovalMax: 5,
    });
    let index = 0;
    for (let i = 0; i < 50; i++) {
      machine.apply([{ index: ++index, term: 1, command: command("set", `/1/d/${i}`) }]);
    }
    const removal = command("delete", "/1/d", { recursive: true });
    machine.apply([{ index: ++index, term: 1, command: removal }]);
    machine.apply([{ index: ++index, term: 1, command: command("set", "/1/d/1") }]);
    // The export begins before the first slice of the sweep runs.
    const bytes = exported(machine);
    assert.equal(machine.nodeCount, 51);
    assert.equal((await verifySnapshot(whole(await bytes))).nodes, 2);
  });

  test("leaves out names of removals that a crash left behind when their history went", async () => {
    const store = await TestStore.open({ historyMax: 10 });
    for (let i = 0; i < 20; i++) {
      store.set(`/1/d/${i}`);
      store.write("delete", "/1/d", { recursive: true });
    }
    const indexes = (kv: Kv): number[] => {
      const rows = kv.iterator(prefixRange(PREFIX.removedNames)).nextMany(100);
      return rows.filter((_, i) => i % 2 === 0).map(indexOfKey);
    };
    const kept = indexes(store.kv);
    assert.ok(kept.length > 0 && !kept.includes(2));
    const batch = store.kv.batch();
    batch.put(indexKey(PREFIX.removedNames, 2), Buffer.from("\x02/0"));
    batch.write({ sync: false });
    const kv = new MemoryKv();
    const pump = setInterval(() => store.turns.step(), 0);
    await importSnapshot(kv, store.machine.exportSnapshot(), { clock: store.clock });
    clearInterval(pump);
    assert.deepEqual(indexes(kv), kept);
  });

  test("goes from disk to disk", async () => {
    const root = mkdtempSync(join(tmpdir(), "store-snapshot-"));
    const clock = new FakeClock();
    const source = await StateMachine.open({ kv: await RocksKv.open(join(root, "a")), clock });
    fill(source, clock, 3000);
    const kv = await RocksKv.open(join(root, "b"));
    await importSnapshot(kv, source.exportSnapshot(), { clock });
    const copy = await StateMachine.open({ kv, clock });
    await same(source, copy);
    await source.close();
    await copy.close();
    rmSync(root, { recursive: true });
  });

  test("that is given up closes its cursor", async () => {
    const root = mkdtempSync(join(tmpdir(), "store-snapshot-"));
    const clock = new FakeClock();
    const machine = await StateMachine.open({ kv: await RocksKv.open(join(root, "a")), clock });
    fill(machine, clock, 500);
    for await (const chunk of machine.exportSnapshot()) {
      assert.ok(chunk.length > 0);
      break;
    }
    const never = machine.exportSnapshot();
    await never.return();
    assert.deepEqual(await never.next(), { done: true, value: undefined });
    await machine.close();
    rmSync(root, { recursive: true });
  });
});

describe("a damaged snapshot is refused:", () => {
  const refusal = { name: "StoreError", code: "corrupt" };

  test("any byte changed, any length cut off, anything added", async () => {
    const random = new SeededRandom(seedOfRun());
    const clock = new FakeClock();
    const machine = await open(new MemoryKv(), clock);
    fill(machine, clock, 400);
    const bytes = await exported(machine);
    for (let i = 0; i < 150; i++) {
      const damaged = Buffer.from(bytes);
      const at = i < 40 ? i : random.below(bytes.length);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << random.below(8));
      const expected = at === 8 ? { name: "StoreError", code: "version" } : refusal;
      await assert.rejects(verifySnapshot(whole(damaged)), expected, `byte ${at}`);
    }
    for (const length of [0, 1, 8, 9, 20, bytes.length - 1, random.below(bytes.length)]) {
      await assert.rejects(verifySnapshot(whole(bytes.subarray(0, length))), refusal);
    }
    const longer = Buffer.concat([bytes, Buffer.of(0)]);
    await assert.rejects(verifySnapshot(whole(longer)), refusal);
  });

  test("a frame that claims an impossible length, before anybody waits for the rest", async () => {
    const start = new FrameWriter().preamble();
    const head = Buffer.concat([start, Buffer.of(FRAME.header), Buffer.alloc(8, 0xff)]);
    const expected = { ...refusal, message: /impossible length/ };
    await assert.rejects(verifySnapshot(whole(head)), expected);
  });

  test("a frame missing or doubled", async () => {
    const clock = new FakeClock();
    const machine = await open(new MemoryKv(), clock);
    fill(machine, clock, 2000);
    const chunks: Uint8Array[] = [];
    for await (const chunk of machine.exportSnapshot()) chunks.push(Buffer.from(chunk));
    for (let i = 0; i < chunks.length; i++) {
      const without = Buffer.concat(chunks.filter((_, at) => at !== i));
      const doubled = Buffer.concat(
        chunks.flatMap((chunk, at) => (at === i ? [chunk, chunk] : [chunk])),
      );
      await assert.rejects(verifySnapshot(whole(without)), refusal);
      await assert.rejects(verifySnapshot(whole(doubled)), refusal);
    }
  });

  describe("with checksums that hold,", () => {
    const header = (etcdIndex: number): Buffer => {
      const writer = new ByteWriter();
      for (const value of [9, 1, etcdIndex]) writer.varint(value);
      writeStats(writer, emptyStats());
      return writer.copy();
    };
    const rows = (...given: readonly [key: Buffer, value: Uint8Array][]): Buffer => {
      const writer = new ByteWriter();
      for (const [key, value] of given) {
        writer.varint(key.length - 1);
        writer.raw(key.subarray(1));
        writer.varint(value.length);
        writer.raw(value);
      }
      return writer.copy();
    };
    const file = Buffer.of(0, 1, 1);
    const event = (etcdIndex: number): Buffer => {
      const writer = new ByteWriter();
      const node = {
        key: "/1/a",
        value: "",
        dir: false,
        createdIndex: 1,
        modifiedIndex: etcdIndex,
      };
      const shown = { ...node, expirationMs: undefined, ttl: 0 };
      const common = { prevNode: undefined, refresh: false, removed: undefined };
      writeEventRecord(writer, { action: "set", node: shown, etcdIndex, ...common });
      const length = Buffer.alloc(4);
      length.writeUInt32BE(writer.length);
      return Buffer.concat([length, writer.view()]);
    };
    const history = (index: number, ...events: number[]): [Buffer, Buffer] => [
      indexKey(PREFIX.history, index),
      Buffer.concat(events.map(event)),
    ];
    const oneByteShort = (row: Buffer): Buffer => {
      row.writeUInt32BE(row.readUInt32BE(0) - 1);
      return row;
    };
    /** What only shows when a store is built: a snapshot is verified without keeping its nodes. */
    const ORPHAN = "a node without its directory";
    const trailer = (count: number): [FrameType, Buffer] => [FRAME.trailer, Buffer.of(count)];
    const cases: readonly [string, number, [FrameType, Buffer][]][] = [
      ["a wrong number of rows", 0, [[FRAME.nodes, rows([nodeKey("/1/a"), file])], trailer(2)]],
      [
        "a node twice",
        0,
        [[FRAME.nodes, rows([nodeKey("/1/a"), file], [nodeKey("/1/a"), file])], trailer(2)],
      ],
      [
        "nodes out of order",
        0,
        [[FRAME.nodes, rows([nodeKey("/1/b"), file], [nodeKey("/1/a"), file])], trailer(2)],
      ],
      [ORPHAN, 0, [[FRAME.nodes, rows([nodeKey("/1/a/b"), file])], trailer(1)]],
      [
        "a node of unknown flags",
        0,
        [[FRAME.nodes, rows([nodeKey("/1/a"), Buffer.of(8, 1, 1)])], trailer(1)],
      ],
      [
        "a gap in the history",
        7,
        [[FRAME.history, rows(history(5, 4, 5), history(7, 7))], trailer(2)],
      ],
      [
        "a gap within a row of the history",
        7,
        [[FRAME.history, rows(history(7, 5, 7))], trailer(1)],
      ],
      [
        "a row of the history under a wrong key",
        7,
        [[FRAME.history, rows(history(7, 5, 6))], trailer(1)],
      ],
      [
        "an event of another length than it says",
        7,
        [[FRAME.history, rows([indexKey(PREFIX.history, 7), oneByteShort(event(7))])], trailer(1)],
      ],
      ["a history that ends elsewhere", 8, [[FRAME.history, rows(history(7, 6, 7))], trailer(1)]],
      ["a second header", 0, [[FRAME.header, header(0)], trailer(0)]],
      ["rows behind the trailer", 0, [trailer(0), [FRAME.nodes, rows([nodeKey("/1/a"), file])]]],
      ["no trailer", 0, []],
    ];
    const stream = (etcdIndex: number, frames: readonly [FrameType, Buffer][]): Buffer => {
      const writer = new FrameWriter();
      const chunks = [writer.preamble(), writer.frame(FRAME.header, header(etcdIndex))];
      for (const [type, payload] of frames) chunks.push(writer.frame(type, payload));
      return Buffer.concat(chunks);
    };
    for (const [title, etcdIndex, frames] of cases) {
      test(title, async () => {
        const bytes = stream(etcdIndex, frames);
        await assert.rejects(importSnapshot(new MemoryKv(), whole(bytes)), refusal);
        if (title !== ORPHAN) await assert.rejects(verifySnapshot(whole(bytes)), refusal);
      });
    }

    test("but nothing is held against a good one", async () => {
      const frames: [FrameType, Buffer][] = [
        [FRAME.history, rows(history(5, 4, 5), history(7, 6, 7))],
        [FRAME.nodes, rows([nodeKey("/1/a"), file])],
        trailer(3),
      ];
      const info = await importSnapshot(new MemoryKv(), whole(stream(7, frames)));
      assert.deepEqual([info.nodes, info.events, info.etcdIndex], [1, 4, 7]);
    });
  });

  test("the kv it was going to is no store afterwards", async () => {
    const clock = new FakeClock();
    const machine = await open(new MemoryKv(), clock, 10_000);
    fill(machine, clock, 10_000);
    const bytes = await exported(machine);
    const kv = new MemoryKv();
    const short = cut(bytes.subarray(0, bytes.length - 3), () => 10_000);
    await assert.rejects(importSnapshot(kv, short, { clock }), refusal);
    await assert.rejects(open(kv, clock), refusal);
    const notEmpty = { name: "StoreError", code: "notEmpty" };
    await assert.rejects(importSnapshot(kv, whole(bytes), { clock }), notEmpty);
    await assert.rejects(importSnapshot(machine.kv, whole(bytes), { clock }), notEmpty);
  });
});

describe("the builder of stores", () => {
  const times = { createdIndex: 3, modifiedIndex: 4, expirationMs: undefined };

  test("makes a store that goes on from there", async () => {
    const clock = new FakeClock();
    const kv = new MemoryKv();
    const builder = new StoreBuilder(kv, clock);
    builder.addNode({ path: "/1/d", dir: true, value: "", ...times });
    builder.addNode({ path: "/1/d/a", dir: false, value: "x", ...times });
    const expirationMs = clock.wall + 5000;
    builder.addNode({ path: "/1/t", dir: false, value: "y", ...times, expirationMs });
    const node = { key: "/1/d", value: undefined, dir: true, createdIndex: 1, ttl: 0 };
    const gone = { ...node, modifiedIndex: 11, expirationMs: undefined };
    for (const etcdIndex of [10, 11]) {
      builder.addEvent({
        action: "delete",
        node: { ...gone, modifiedIndex: etcdIndex },
        prevNode: { ...gone, modifiedIndex: 1 },
        etcdIndex,
        refresh: false,
      });
    }
    builder.setMeta("name", Buffer.from("n"));
    builder.finish({ raftIndex: 50, raftTerm: 6, etcdIndex: 11 });
    const store = await TestStore.open({ kv, clock });
    assert.deepEqual(store.keys("/1"), ["/1/d", "/1/d/a", "/1/t"]);
    assert.equal(store.get("/1/t").ttl, 5);
    assert.deepEqual([store.machine.appliedIndex, store.machine.appliedTerm], [50, 6]);
    assert.equal(store.machine.history.firstIndex, 10);
    assert.equal(store.machine.history.read(10)[0]?.removed?.has("/1/d/any"), true);
    assert.equal(store.set("/1/d/a", "z").prevNode?.modifiedIndex, 4);
    assert.equal(store.machine.reader.etcdIndex, 12);
    clock.advance(5001);
    assert.deepEqual(store.expireDue(), ["/1/t"]);
  });

  test("without a history answers older indices with 401", async () => {
    const kv = new MemoryKv();
    const clock = new FakeClock();
    new StoreBuilder(kv, clock).finish({ raftIndex: 1, raftTerm: 1, etcdIndex: 7 });
    const store = await TestStore.open({ kv, clock });
    assert.throws(() => store.machine.history.read(7), {
      code: 401,
      cause: "the requested history has been cleared [8/7]",
      index: 7,
    });
    store.set("/1/a");
    assert.equal(store.machine.history.read(8).length, 1);
  });

  test("refuses orphans, impossible paths, gaps in the history and a store in use", async () => {
    const clock = new FakeClock();
    const corrupt = { name: "StoreError", code: "corrupt" };
    const builder = new StoreBuilder(new MemoryKv(), clock);
    for (const path of ["/1/x/y", "/1", "1/a", "/1//a", "/1/a/"]) {
      const node = { path, dir: false, value: "", ...times };
      assert.throws(() => {
        builder.addNode(node);
      }, corrupt);
    }
    builder.addHistoryRow(5, 6, Buffer.of(1));
    assert.throws(() => {
      builder.addHistoryRow(8, 9, Buffer.of(1));
    }, corrupt);
    assert.throws(() => {
      builder.finish({ raftIndex: 1, raftTerm: 1, etcdIndex: 7 });
    }, corrupt);
    const store = await TestStore.open();
    assert.throws(() => new StoreBuilder(store.kv, clock), { code: "notEmpty" });
  });
});
