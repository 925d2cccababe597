/** The in-memory window of a log, against a plain list. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { InvariantError } from "../../src/core/model/invariant.ts";
import type { Entry } from "../../src/core/model/types.ts";
import { RaftError } from "../../src/core/model/errors.ts";
import { MemoryLog } from "../../src/wal/memory-log.ts";
import { MemoryStorage } from "../../src/testing/memory-storage.ts";
import { confState, entry, logOf } from "../core/host.ts";
import { seeded } from "../core/seed.ts";

function refuses(code: string): (error: unknown) => boolean {
  return (error) => error instanceof RaftError && error.code === code;
}

test("an empty log begins behind its compaction point and knows its term", () => {
  const log = new MemoryLog(10, 3);
  assert.deepEqual([log.firstIndex(), log.lastIndex(), log.term(10), log.bytes], [11, 10, 3, 0]);
  assert.throws(() => log.term(9), refuses("compacted"));
  assert.throws(() => log.term(11), refuses("unavailable"));
  assert.deepEqual(log.entries(11, 11, 100), []);
});

test("reading outside the window is refused, by the side it is missed on", () => {
  const log = new MemoryLog(2, 1);
  log.append(logOf([1, 2, 2], 3));
  assert.throws(() => log.entries(2, 4, 100), refuses("compacted"));
  assert.throws(() => log.entries(4, 7, 100), refuses("unavailable"));
  assert.equal(log.entries(3, 6, 100).length, 3);
});

test("a read returns at least one entry, then what fits", () => {
  const log = new MemoryLog(0, 0);
  log.append([entry(1, 1, "aaaa"), entry(1, 2, "bbb"), entry(1, 3, "c")]);
  assert.deepEqual(
    [0, 4, 6, 7, 8, Infinity].map((max) => log.entries(1, 4, max).length),
    [1, 1, 1, 2, 3, 3],
  );
});

test("appending overwrites a conflicting suffix and counts its bytes out", () => {
  const log = new MemoryLog(0, 0);
  log.append([entry(1, 1, "aa"), entry(1, 2, "bb"), entry(1, 3, "cc")]);
  log.append([entry(2, 2, "x")]);
  assert.deepEqual([log.lastIndex(), log.term(2), log.bytes], [2, 2, 3]);
});

test("gaps and compacted indexes break an invariant", () => {
  const log = new MemoryLog(5, 1);
  log.append(logOf([1, 1], 6));
  for (const bad of [[entry(1, 9)], [entry(1, 5)], [entry(1, 8), entry(1, 10)]]) {
    assert.throws(() => {
      log.append(bad);
    }, InvariantError);
  }
});

test("compacting keeps the term, ignores the past and refuses the future", () => {
  const log = new MemoryLog(0, 0);
  log.append(logOf([1, 1, 2, 3]));
  log.compact(3);
  log.compact(2);
  assert.deepEqual([log.firstIndex(), log.lastIndex(), log.term(3)], [4, 4, 2]);
  assert.throws(() => {
    log.compact(5);
  }, refuses("unavailable"));
});

test("a long log reads right through compactions, small and large", () => {
  const log = new MemoryLog(0, 0);
  const all = Array.from({ length: 5000 }, (_, i) => entry(1 + (i >> 8), i + 1, "xy"));
  log.append(all);
  for (const index of [1, 1000, 1023, 1024, 1025, 3000, 4100, 4999]) {
    log.compact(index);
    assert.deepEqual(log.entries(index + 1, 5001, Infinity), all.slice(index));
    assert.deepEqual([log.term(index), log.bytes], [all[index - 1]?.term, 2 * (5000 - index)]);
    log.append(all.slice(4999));
  }
});

test("a window counts and reads like a list, whatever is done to it", (t) => {
  const action = fc.oneof(
    fc.record({
      do: fc.constant("append" as const),
      back: fc.nat(5),
      sizes: fc.array(fc.nat(9), { minLength: 1, maxLength: 400 }),
    }),
    fc.record({ do: fc.constant("compact" as const), share: fc.nat(100) }),
    fc.record({ do: fc.constant("reset" as const), by: fc.integer({ min: -3, max: 3 }) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const log = new MemoryLog(0, 0);
      let list: Entry[] = [];
      let compacted = { index: 0, term: 0 };
      actions.forEach((one, at) => {
        const last = list.at(-1)?.index ?? compacted.index;
        if (one.do === "append") {
          const first = Math.max(compacted.index + 1, last + 1 - one.back);
          const added = one.sizes.map((size, i) => entry(at + 1, first + i, "x".repeat(size)));
          log.append(added);
          list = [...list.filter(({ index }) => index < first), ...added];
        } else if (one.do === "compact") {
          const index = compacted.index + Math.floor(((last - compacted.index) * one.share) / 100);
          log.compact(index);
          const term = list.find((held) => held.index === index)?.term ?? compacted.term;
          compacted = { index, term };
          list = list.filter((held) => held.index > index);
        } else {
          compacted = { index: Math.max(0, last + one.by), term: at + 1 };
          log.reset(compacted.index, compacted.term);
          list = [];
        }
        const end = compacted.index + list.length;
        assert.deepEqual([log.firstIndex(), log.lastIndex()], [compacted.index + 1, end]);
        assert.equal(log.term(compacted.index), compacted.term);
        assert.equal(
          log.bytes,
          list.reduce((sum, held) => sum + held.data.length, 0),
        );
        assert.deepEqual(log.entries(compacted.index + 1, end + 1, Infinity), list);
      });
    }),
    seeded(t, 100),
  );
});

test("a memory storage starts at a snapshot, and returns to one", () => {
  const conf = confState(["1"]);
  const storage = new MemoryStorage({ index: 4, term: 2, confState: conf });
  assert.deepEqual(storage.initialState(), {
    hardState: { term: 2, vote: "", commit: 4 },
    confState: conf,
  });
  storage.append(logOf([2, 2], 5));
  const installed = { index: 9, term: 3, confState: confState(["1", "2"]) };
  storage.installSnapshot(installed);
  assert.deepEqual([storage.firstIndex(), storage.lastIndex(), storage.term(9)], [10, 9, 3]);
  assert.equal(storage.snapshot(), installed);
});
