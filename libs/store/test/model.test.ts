import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import type { Command, WriteAction } from "../src/model/command.ts";
import { EtcdError } from "../src/model/errors.ts";
import type { StoreEvent } from "../src/model/event.ts";
import type { Kv } from "../src/kv/kv.ts";
import { MemoryKv } from "../src/kv/memory-kv.ts";
import type { Delivery, Outcome, StoreStats } from "../src/model/ports.ts";
import { RocksKv } from "../src/kv/rocks-kv.ts";
import type { RecordedEvent } from "../src/tree/recorded-event.ts";
import { matchesWatch } from "../src/tree/watch-rule.ts";
import { StoreWatcherHub } from "../src/events/watcher-hub.ts";
import { type ModelEvent, type ModelOutcome, NaiveModel } from "../src/testing/naive-model.ts";
import { TestStore, command } from "./support.ts";

const ACTIONS: readonly WriteAction[] = [
  "set",
  "set",
  "set",
  "create",
  "createInOrder",
  "update",
  "compareAndSwap",
  "delete",
  "delete",
  "compareAndDelete",
];
const NAMES = ["a", "b", "ab", "_h", "\x00", "\x01\xff"];

function randomPath(random: SeededRandom): string {
  let path = random.chance(0.95) ? "/1" : "/0";
  // Mostly short, so that writes meet; the root itself now and then.
  for (let depth = random.chance(0.03) ? 0 : 1 + random.below(4); depth > 0; depth--) {
    path += `/${random.pick(NAMES)}`;
  }
  return path;
}

function randomCommand(random: SeededRandom, store: TestStore): Command {
  const action = random.pick(ACTIONS);
  const { wall } = store.clock;
  const lives = [{}, {}, {}, store.clock.ttl(random.below(20))];
  if (random.chance(0.1)) lives.push({ expirationMs: wall - 10 ** 13, ttlMs: 10 ** 12 });
  if (random.chance(0.1)) lives.push({ expirationMs: wall + 3000 });
  const life = random.pick(lives);
  return command(action, randomPath(random), {
    value: random.chance(0.2) ? "" : String(random.below(3)),
    dir: random.chance(0.25),
    recursive: random.chance(0.5),
    prevValue: random.chance(0.5) ? String(random.below(3)) : "",
    prevIndex: random.chance(0.3) ? store.machine.reader.etcdIndex - random.below(5) : 0,
    refresh: random.chance(0.15),
    ...life,
  });
}

/** The parts of an event that the model has too. */
function plain(event: StoreEvent): ModelEvent {
  const { action, node, prevNode, etcdIndex, refresh } = event;
  return { action, node, prevNode, etcdIndex, refresh };
}

function plainOutcome(outcome: Outcome): ModelOutcome | undefined {
  if (outcome instanceof EtcdError) return [outcome.code, outcome.cause, outcome.index];
  return outcome === undefined ? undefined : plain(outcome);
}

/** A watch and what it should have been told. */
class CheckedWatch {
  readonly path: string;
  readonly recursive: boolean;
  readonly stream: boolean;
  readonly sinceIndex: number;
  /** First index that concerns it. */
  readonly from: number;
  readonly got: StoreEvent[] = [];
  end: "delivered" | "slow" | "closed" | undefined;
  /** Turns to wait before it takes more from the history. */
  paused = false;
  readonly #random: SeededRandom;
  constructor(random: SeededRandom, sinceIndex: number, lastIndex: number) {
    this.#random = random;
    this.path = randomPath(random);
    this.recursive = random.chance(0.5);
    this.stream = random.chance(0.7);
    this.sinceIndex = sinceIndex;
    this.from = sinceIndex === 0 ? lastIndex + 1 : sinceIndex;
  }
  readonly deliver = (event: StoreEvent): Delivery => {
    assert.equal(this.end, undefined, "nothing comes after the end");
    this.paused = this.#random.chance(0.05);
    if (this.paused) return "later";
    this.got.push(event);
    return "taken";
  };
  readonly congested = (): boolean => {
    this.paused = this.#random.chance(0.3);
    return this.paused;
  };
  readonly ended = (reason: "delivered" | "slow" | "closed"): void => {
    assert.equal(this.end, undefined, "a watch ends once");
    this.end = reason;
  };
}

interface RunOptions {
  readonly steps: number;
  readonly historyMax: number;
  readonly kv: () => Promise<Kv>;
  readonly seed: number;
}

class Run {
  readonly #random: SeededRandom;
  readonly #store: TestStore;
  readonly #model: NaiveModel;
  readonly #hub: StoreWatcherHub;
  readonly #options: RunOptions;
  readonly #told: StoreEvent[] = [];
  readonly #watches: { watch: CheckedWatch; resume: () => void; cancelled: boolean }[] = [];
  private constructor(options: RunOptions, store: TestStore, removedNamesMax: number) {
    this.#options = options;
    this.#store = store;
    this.#random = new SeededRandom(options.seed);
    this.#model = new NaiveModel(store.clock, removedNamesMax);
    this.#hub = new StoreWatcherHub(store.machine, { schedule: store.turns.schedule });
    store.machine.onEvents((events) => this.#told.push(...events));
  }

  static async start(options: RunOptions): Promise<Run> {
    // Small limits, so that small trees meet them.
    const limits = { cacheBytes: 20_000, directRemovalMax: 4, removedNamesMax: 10_000 };
    const kv = await options.kv();
    const store = await TestStore.open({ kv, historyMax: options.historyMax, ...limits });
    return new Run(options, store, limits.removedNamesMax);
  }

  run(): void {
    for (let step = 0; step < this.#options.steps; step++) {
      const kind = this.#random.next();
      if (kind < 0.5) this.#applyBatch();
      else if (kind < 0.6) this.#expire();
      else if (kind < 0.7) this.#store.clock.advance(this.#random.below(4000));
      else if (kind < 0.75) this.#store.clock.wall += this.#random.below(100_000) - 50_000;
      else if (kind < 0.85) this.#watch();
      else if (kind < 0.95) this.#store.turns.step();
      else this.#resumeOrCancel();
      if (step % 20 === 0) this.#compareReads();
    }
    this.#settle();
    this.#compareReads();
    this.#compareHistory();
    this.#compareWatches();
  }

  async close(): Promise<void> {
    await this.#store.machine.close();
  }

  #applyBatch(): void {
    const random = this.#random;
    const entries = [];
    const expected: (ModelOutcome | undefined)[] = [];
    for (let i = random.chance(0.5) ? 1 : random.below(12); i > 0; i--) {
      const given = randomCommand(random, this.#store);
      entries.push({ index: ++this.#store.raftIndex, term: 1, command: given });
      if (given.action === "group" || given.action === "expire") assert.fail("not made here");
      if (given.action === "clusterVersion") assert.fail("not made here");
      expected.push(this.#model.write(given));
    }
    if (random.chance(0.2)) {
      entries.push({ index: ++this.#store.raftIndex, term: 1, command: undefined });
      expected.push(undefined);
    }
    const outcomes = this.#store.machine.apply(entries);
    assert.deepEqual(outcomes.map(plainOutcome), expected);
  }

  #expire(): void {
    const due = this.#store.machine.dueNodes(this.#store.clock.steady, 100);
    assert.deepEqual(new Set(due.map((node) => node.path)), this.#model.due());
    // A proposal can be overtaken by a write, and applied by a member where nothing is due.
    if (this.#random.chance(0.3)) this.#applyBatch();
    this.#store.apply({ action: "expire", expired: due });
    this.#model.expire(due);
  }

  #watch(): void {
    const { history } = this.#store.machine;
    const { lastIndex, firstIndex } = history;
    const since = this.#random.pick([0, lastIndex + 3, Math.max(1, lastIndex - 10), 1, firstIndex]);
    const watch = new CheckedWatch(this.#random, since, lastIndex);
    if (since !== 0 && since < firstIndex) {
      const cause = `the requested history has been cleared [${firstIndex}/${since}]`;
      assert.throws(() => this.#hub.watch(watch), { code: 401, cause, index: lastIndex });
      return;
    }
    const handle = this.#hub.watch(watch);
    const entry = {
      watch,
      cancelled: false,
      resume: () => {
        handle.resume();
      },
    };
    this.#watches.push(entry);
    if (this.#random.chance(0.1)) {
      entry.cancelled = true;
      handle.cancel();
    }
    assert.deepEqual([watch.got, watch.end], [[], undefined], "nothing is told within watch()");
  }

  #resumeOrCancel(): void {
    for (const { watch, resume } of this.#watches) {
      if (watch.paused) resume();
      watch.paused = false;
    }
  }

  /** Lets everything come to rest. */
  #settle(): void {
    for (let i = 0; i < 10_000; i++) {
      this.#store.turns.drain();
      if (!this.#watches.some(({ watch }) => watch.paused)) return;
      this.#resumeOrCancel();
    }
    assert.fail("watches do not come to rest");
  }

  #compareReads(): void {
    const { machine } = this.#store;
    assert.equal(machine.reader.etcdIndex, this.#model.index);
    assert.deepEqual(this.#told.map(plain), this.#model.events);
    for (const path of ["/1", "/1/a", "/1/b/a", "/1/_h"]) {
      if (this.#model.find(path)?.children === undefined) continue;
      for (const recursive of [true, false]) {
        assert.deepEqual(
          this.#store.list(path, recursive, 4).map((row) => row.node),
          this.#model.list(path, recursive),
        );
      }
    }
    for (const [name, count] of Object.entries(machine.reader.stats)) {
      if (name.startsWith("gets")) continue;
      assert.equal(count, this.#model.stats[name as keyof StoreStats] ?? 0, name);
    }
    const settled = this.#store.turns.pending === 0;
    if (settled) assert.equal(machine.nodeCount, [...this.#model.all("")].length - 2);
  }

  #compareHistory(): void {
    const { history } = this.#store.machine;
    assert.equal(history.lastIndex, this.#model.index);
    assert.equal(history.firstIndex, Math.max(1, this.#model.index - this.#options.historyMax + 1));
    const expected = this.#model.events.slice(history.firstIndex - 1);
    const found: RecordedEvent[] = [];
    for (let next = history.firstIndex; next <= history.lastIndex;) {
      const events = history.read(next);
      found.push(...events);
      next += events.length;
    }
    assert.deepEqual(found.map(plain), expected);
    for (const recursive of [true, false]) {
      const watch = { path: "/1/a", recursive };
      assert.deepEqual(
        found.filter((event) => matchesWatch(watch, event)).map(plain),
        expected.filter((event) => this.#model.matches("/1/a", recursive, event)),
      );
    }
  }

  #compareWatches(): void {
    for (const { watch, cancelled } of this.#watches) {
      const matching = this.#model.events.filter(
        (event) =>
          event.etcdIndex >= watch.from && this.#model.matches(watch.path, watch.recursive, event),
      );
      const expected = watch.stream ? matching : matching.slice(0, 1);
      const got = watch.got.map(plain);
      if (cancelled) assert.deepEqual(got, []);
      else if (watch.end === "slow") assert.deepEqual(got, expected.slice(0, got.length));
      else {
        assert.deepEqual(got, expected);
        assert.equal(watch.end, !watch.stream && got.length > 0 ? "delivered" : undefined);
      }
    }
  }
}

/** Multiplies the number of runs, for long tests by hand. */
const RUNS_FACTOR = Number(process.env["RUNS_FACTOR"] ?? 1);

async function runAll(runs: number, options: Omit<RunOptions, "seed">): Promise<void> {
  const first = seedOfRun();
  for (let seed = first; seed < first + runs * RUNS_FACTOR; seed++) {
    const run = await Run.start({ ...options, seed });
    try {
      run.run();
    } catch (error) {
      process.stdout.write(`# failed with SEED=${seed}\n`);
      throw error;
    }
    await run.close();
  }
}

test("random commands, reads and watches agree with the naive model", async () => {
  const kv = (): Promise<Kv> => Promise.resolve(new MemoryKv());
  await runAll(60, { steps: 400, historyMax: 100_000, kv });
});

test("random runs agree with the naive model when the history is short", async () => {
  const kv = (): Promise<Kv> => Promise.resolve(new MemoryKv());
  await runAll(40, { steps: 400, historyMax: 40, kv });
});

test("random runs on disk agree with the naive model", async () => {
  const root = mkdtempSync(join(tmpdir(), "store-model-"));
  let count = 0;
  await runAll(8, {
    steps: 400,
    historyMax: 100,
    kv: () => RocksKv.open(join(root, String(++count))),
  });
  rmSync(root, { recursive: true });
});
