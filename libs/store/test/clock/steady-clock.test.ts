/** The clock of deadlines over restarts, boots, moves to other machines and jumps of the wall clock. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import { MemoryKv } from "../../src/kv/memory-kv.ts";
import { StateMachine } from "../../src/state-machine.ts";
import { STEADY_KEY } from "../../src/encoding/state-row.ts";
import { SteadyClock, type TimeSource } from "../../src/clock/steady-clock.ts";
import { StoreBuilder } from "../../src/snapshot/store-builder.ts";
import { command } from "../support.ts";

const NOW = 1_700_000_000_000;
const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

class Machine implements TimeSource {
  boot = "boot-1";
  wall = NOW;
  monotonic = 5000.25;
  bootId(): string {
    return this.boot;
  }
  wallMs(): number {
    return this.wall;
  }
  monotonicMs(): number {
    return this.monotonic;
  }
  advance(ms: number): void {
    this.wall += ms;
    this.monotonic += ms;
  }
  reboot(boot: string): void {
    this.boot = boot;
    this.monotonic = 3;
  }
}

/** What a member does: a clock and a state machine on the store. */
async function member(kv: MemoryKv, time: TimeSource): Promise<StateMachine> {
  return StateMachine.open({ kv, clock: SteadyClock.open(kv, time) });
}

function put(machine: StateMachine, path: string, seconds: number): void {
  // As the gateway has it: no expiration before the year 2000.
  const wallMs = Math.max(machine.clock.wallMs(), 946_684_800_000);
  const life = { expirationMs: wallMs + seconds * 1000, ttlMs: seconds * 1000 };
  const index = machine.appliedIndex + 1;
  machine.apply([{ index, term: 1, command: command("set", path, { value: "x", ...life }) }]);
}

describe("the steady clock", () => {
  test("starts near the wall clock and then follows the monotonic one alone", () => {
    const time = new Machine();
    const clock = SteadyClock.open(new MemoryKv(), time);
    assert.equal(clock.steadyMs(), NOW - 1);
    time.wall += HOUR;
    time.monotonic += 10;
    assert.equal(clock.steadyMs(), NOW + 9);
    assert.equal(clock.wallMs(), time.wall);
  });

  test("is never negative, so that deadlines have their order", () => {
    for (const wall of [0, -YEAR, 5]) {
      const time = new Machine();
      time.wall = wall;
      assert.ok(SteadyClock.open(new MemoryKv(), time).steadyMs() > 900_000_000_000);
    }
  });

  test("goes on over a restart within the same boot, whatever the wall clock did", () => {
    for (const jump of [-24 * HOUR, 2 * HOUR, 10 * YEAR, -60 * YEAR]) {
      const time = new Machine();
      const kv = new MemoryKv();
      const before = SteadyClock.open(kv, time).steadyMs();
      time.wall += jump;
      time.monotonic += 2500;
      assert.equal(SteadyClock.open(kv, time).steadyMs(), before + 2500);
    }
  });

  test("goes on from the time saved last after another boot, whatever the wall clock shows", async () => {
    for (const boot of ["boot-2", ""]) {
      for (const jump of [2 * HOUR, -2 * HOUR, 10 * YEAR, -10 * YEAR, -60 * YEAR]) {
        const time = new Machine();
        const kv = new MemoryKv();
        const machine = await member(kv, time);
        put(machine, "/1/a", 1200);
        time.advance(200_000);
        machine.saveTime();
        time.advance(900);
        time.reboot(boot);
        time.wall += jump;
        const again = await member(kv, time);
        assert.equal(again.reader.peek("/1/a")?.ttl, 1000);
        time.advance(999_000);
        assert.deepEqual(again.dueNodes(again.clock.steadyMs(), 10), []);
        // The time of the save is rounded down, and so is the time now.
        time.advance(1003);
        assert.equal(again.dueNodes(again.clock.steadyMs(), 10).length, 1);
      }
    }
  });

  test("stays behind what a second boot without a save in between would continue", async () => {
    const time = new Machine();
    const kv = new MemoryKv();
    put(await member(kv, time), "/1/a", 100);
    for (const boot of ["boot-2", "boot-3", "boot-4"]) {
      time.reboot(boot);
      time.wall += YEAR;
      assert.equal((await member(kv, time)).reader.peek("/1/a")?.ttl, 100);
    }
  });

  test("does not go back with a monotonic clock that does", async () => {
    const time = new Machine();
    const kv = new MemoryKv();
    const machine = await member(kv, time);
    time.advance(50_000);
    machine.saveTime();
    const saved = machine.savedTimeMs;
    time.monotonic = 10;
    const again = SteadyClock.open(kv, time);
    assert.ok(again.steadyMs() >= saved - 1);
    time.monotonic += 100;
    assert.ok(again.steadyMs() >= saved + 99);
  });

  test("a deadline never stands beside a time saved before it was set", async () => {
    const time = new Machine();
    const kv = new MemoryKv();
    const machine = await member(kv, time);
    put(machine, "/1/a", 100);
    // Nothing has been saved for long, since nothing had a deadline.
    time.advance(10 * HOUR);
    put(machine, "/1/b", 100);
    time.advance(999);
    put(machine, "/1/c", 100);
    time.reboot("boot-2");
    const again = await member(kv, time);
    assert.equal(again.reader.peek("/1/b")?.ttl, 100);
    assert.equal(again.reader.peek("/1/c")?.ttl, 100);
  });

  test("goes with a store that was built on one machine and is opened on another", async () => {
    const time = new Machine();
    const kv = new MemoryKv();
    const builder = new StoreBuilder(kv, SteadyClock.open(kv, time));
    const node = { path: "/1/a", dir: false, value: "x", createdIndex: 1, modifiedIndex: 1 };
    builder.addNode({ ...node, expirationMs: NOW + 60_000, ttlMs: 60_000 });
    builder.finish({ raftIndex: 1, raftTerm: 1, etcdIndex: 1 });
    time.reboot("another-machine");
    time.wall += 10 * YEAR;
    assert.equal((await member(kv, time)).reader.peek("/1/a")?.ttl, 60);
  });

  test("of a store that saved no time starts from the wall clock after another boot", () => {
    const time = new Machine();
    const kv = new MemoryKv();
    SteadyClock.open(kv, time);
    time.wall += 60_000;
    time.reboot("boot-2");
    assert.equal(kv.get(STEADY_KEY), undefined);
    assert.equal(SteadyClock.open(kv, time).steadyMs(), time.wall);
  });

  test("of data with moments of the wall clock for deadlines starts from the wall clock", async () => {
    const time = new Machine();
    const kv = new MemoryKv();
    const replayed = { wallMs: () => NOW - HOUR, steadyMs: () => NOW - HOUR };
    const builder = new StoreBuilder(kv, replayed);
    const node = { path: "/1/a", dir: false, value: "x", createdIndex: 1, modifiedIndex: 1 };
    builder.addNode({ ...node, expirationMs: NOW + 60_000 });
    builder.finish({ raftIndex: 1, raftTerm: 1, etcdIndex: 1 });
    assert.equal((await member(kv, time)).reader.peek("/1/a")?.ttl, 61);
  });

  test("of this machine goes forwards and is near the wall clock at first", () => {
    const clock = SteadyClock.open(new MemoryKv());
    const first = clock.steadyMs();
    assert.ok(Math.abs(first - Date.now()) < 60_000);
    assert.ok(clock.steadyMs() >= first);
    assert.ok(Number.isInteger(first));
  });

  test("never ends a life early over random restarts, boots and clock jumps", async () => {
    const random = new SeededRandom(seedOfRun());
    const time = new Machine();
    const kv = new MemoryKv();
    let machine = await member(kv, time);
    /** Real time, which no clock follows. */
    let realMs = 0;
    /** Time the member may be late by: machine down, or not saved before it went down. */
    let lateMs = 0;
    const endsAt = new Map<string, { readonly ms: number; readonly lateBefore: number }>();
    for (let step = 0; step < 3000; step++) {
      const pass = random.below(400);
      realMs += pass;
      time.advance(pass);
      const kind = random.below(20);
      if (kind === 0) time.wall += (random.below(2001) - 1000) * HOUR * 24;
      else if (kind === 1) machine = await member(kv, time);
      else if (kind === 2) {
        const unsaved = machine.clock.steadyMs() - machine.savedTimeMs;
        const down = random.below(5000);
        realMs += down;
        lateMs += down + (Number.isFinite(unsaved) ? unsaved : 400 * 3000) + 2;
        time.reboot(`boot-${step}`);
        time.wall += (random.below(2001) - 1000) * HOUR;
        machine = await member(kv, time);
      } else if (kind < 8) machine.saveTime();
      else if (kind < 12) {
        const seconds = 1 + random.below(20);
        const path = `/1/${random.below(10)}`;
        put(machine, path, seconds);
        endsAt.set(path, { ms: realMs + seconds * 1000, lateBefore: lateMs });
      }
      const now = machine.clock.steadyMs();
      const expired = machine.dueNodes(now, 100);
      const index = machine.appliedIndex + 1;
      if (expired.length > 0) {
        machine.apply([{ index, term: 1, command: { action: "expire", expired } }]);
      }
      for (const { path } of expired) {
        assert.ok(realMs > (endsAt.get(path)?.ms ?? Infinity), `${path} was early at ${realMs}`);
        endsAt.delete(path);
      }
      for (const [path, { ms, lateBefore }] of endsAt) {
        const bound = ms + (lateMs - lateBefore) + 2;
        assert.ok(realMs <= bound, `${path} is late at ${realMs}, after ${bound}`);
      }
    }
  });
});
