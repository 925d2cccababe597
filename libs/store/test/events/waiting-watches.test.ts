import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import { WaitingWatches } from "../../src/events/waiting-watches.ts";

interface Wanted {
  next: number;
}

function indexes(wanted: Iterable<Wanted>): number[] {
  return [...wanted].map(({ next }) => next).sort((a, b) => a - b);
}

/** Takes everybody whom from() shows, up to an index. */
function joined(waiting: WaitingWatches<Wanted>, from: number, upTo: number): Wanted[] {
  const taken: Wanted[] = [];
  const next = waiting.from(from);
  for (let entry = next(); entry !== undefined && entry.next <= upTo; entry = next()) {
    waiting.delete(entry);
    taken.push(entry);
  }
  return taken;
}

describe("waiting watches", () => {
  it("are those of a plain set, whoever comes, goes and comes back in whatever order", () => {
    const random = new SeededRandom(seedOfRun());
    const waiting = new WaitingWatches<Wanted>();
    const model = new Set<Wanted>();
    const away: Wanted[] = [];
    const took = (entries: readonly Wanted[], expected: readonly Wanted[]): void => {
      assert.deepEqual(indexes(entries), indexes(expected));
      for (const entry of entries) assert.ok(model.delete(entry));
      away.push(...entries);
    };
    for (let step = 0; step < 20_000; step++) {
      const index = random.below(1000);
      const roll = random.below(100);
      if (roll < 50) {
        const entry = (random.chance(0.5) ? away.pop() : undefined) ?? { next: 0 };
        entry.next = index;
        waiting.add(entry);
        model.add(entry);
      } else if (roll < 75) {
        const entry = [...model][random.below(Math.max(1, model.size))];
        if (entry !== undefined) {
          assert.equal(waiting.delete(entry), true);
          assert.equal(waiting.delete(entry), false);
          model.delete(entry);
          away.push(entry);
        }
      } else if (roll < 85) {
        const expected = [...model].filter(({ next }) => next >= index && next <= index + 50);
        const entries = joined(waiting, index, index + 50);
        assert.deepEqual(
          entries.map(({ next }) => next),
          indexes(expected),
        );
        took(entries, expected);
      } else if (roll < 88) {
        const before = random.below(100);
        const expected = [...model].filter(({ next }) => next < before);
        took([...waiting.takeBefore(before)], expected);
      }
      assert.equal(waiting.size, model.size);
      assert.equal(waiting.lowest(), indexes(model)[0]);
    }
    assert.deepEqual(indexes(waiting.values()), indexes(model));
  });

  it("that leave while they are gone through are passed over, and those that come are left out", () => {
    const waiting = new WaitingWatches<Wanted>();
    const [a, b, c] = [{ next: 1 }, { next: 2 }, { next: 3 }];
    for (const entry of [a, b, c]) waiting.add(entry);
    const next = waiting.from(1);
    assert.equal(next(), a);
    assert.equal(next(), a);
    waiting.delete(a);
    waiting.delete(b);
    waiting.add({ next: 2 });
    assert.equal(next(), c);
    waiting.delete(c);
    assert.equal(next(), undefined);
    assert.equal(waiting.size, 1);
  });
});
