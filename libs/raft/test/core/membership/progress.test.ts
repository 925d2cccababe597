/** The window and the per-member state machine of a leader. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Inflights } from "../../../src/core/membership/inflights.ts";
import { InvariantError } from "../../../src/core/model/invariant.ts";
import { Progress } from "../../../src/core/membership/progress.ts";
import { seeded } from "../seed.ts";

function progressAt(match: number, next: number, countMax = 2): Progress {
  const progress = new Progress("2", next, { countMax, bytesMax: 100 });
  progress.acknowledge(match);
  progress.next = next;
  return progress;
}

test("a window is full by count or by bytes, and takes one item of any size", () => {
  const window = new Inflights({ countMax: 2, bytesMax: 10 });
  assert.ok(window.fits(1000), "an empty window takes anything");
  window.add(1, 4);
  assert.deepEqual([window.isFull, window.fits(6), window.fits(7)], [false, true, false]);
  window.add(2, 4);
  assert.ok(window.isFull, "two of two");
  assert.throws(() => {
    window.add(3, 1);
  }, InvariantError);
  window.freeTo(1);
  window.add(5, 6);
  assert.deepEqual([window.isFull, window.bytes], [true, 10]);
  window.freeTo(4);
  assert.deepEqual([window.count, window.bytes], [1, 6]);
  window.clear();
  assert.deepEqual([window.count, window.bytes, window.isFull], [0, 0, false]);
});

test("a window counts like a list of what was added and not freed", (t) => {
  const step = fc.record({ bytes: fc.nat(50), freeBehind: fc.option(fc.nat(12)) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const window = new Inflights({ countMax: Infinity, bytesMax: 200 });
      let list: { last: number; bytes: number }[] = [];
      steps.forEach(({ bytes, freeBehind }, i) => {
        window.add(2 * i, bytes);
        list.push({ last: 2 * i, bytes });
        if (freeBehind !== null) {
          window.freeTo(2 * i - freeBehind);
          list = list.filter(({ last }) => last > 2 * i - freeBehind);
        }
        const total = list.reduce((sum, item) => sum + item.bytes, 0);
        assert.deepEqual([window.count, window.bytes], [list.length, total]);
        assert.equal(window.isFull, total >= 200);
      });
    }),
    seeded(t),
  );
});

test("probing sends one append and waits", () => {
  const progress = progressAt(3, 6);
  assert.equal(progress.isPaused, false);
  progress.sentAppend(2, 20);
  assert.deepEqual([progress.isPaused, progress.next, progress.inflights.count], [true, 6, 0]);
  progress.resume();
  assert.equal(progress.isPaused, false, "a sign of life lets the next one out");
  progress.sentAppend(0, 0);
  assert.equal(progress.isPaused, true, "an empty append is a probe too");
});

test("replicating runs ahead until the window is full", () => {
  const progress = progressAt(3, 4);
  progress.becomeReplicate();
  progress.sentAppend(2, 20);
  assert.deepEqual([progress.next, progress.isPaused], [6, false]);
  progress.sentAppend(1, 20);
  assert.deepEqual([progress.next, progress.isPaused], [7, true]);
  assert.ok(progress.acknowledge(5));
  progress.inflights.freeTo(5);
  assert.deepEqual([progress.match, progress.next, progress.isPaused], [5, 7, false]);
});

test("a byte limit fills the window as well", () => {
  const progress = progressAt(0, 1, 1000);
  progress.becomeReplicate();
  progress.sentAppend(1, 99);
  assert.equal(progress.isPaused, false);
  progress.sentAppend(1, 1);
  assert.equal(progress.isPaused, true);
});

test("old acknowledgements change nothing, new ones pull next along", () => {
  const progress = progressAt(5, 6);
  assert.equal(progress.acknowledge(5), false);
  assert.equal(progress.acknowledge(4), false);
  assert.ok(progress.acknowledge(9));
  assert.deepEqual([progress.match, progress.next], [9, 10]);
});

test("a refused probe moves next back to the hint, but never to match", () => {
  const table = [
    { match: 0, next: 10, rejected: 9, hint: 4, expected: 5 },
    { match: 0, next: 10, rejected: 9, hint: 20, expected: 9 },
    { match: 7, next: 10, rejected: 9, hint: 2, expected: 8 },
    { match: 0, next: 2, rejected: 1, hint: 0, expected: 1 },
  ];
  for (const { match, next, rejected, hint, expected } of table) {
    const progress = progressAt(match, next);
    progress.pause();
    assert.ok(progress.decrease(rejected, hint));
    assert.deepEqual([progress.next, progress.isPaused], [expected, false]);
  }
});

test("refusals of appends that are not the latest are ignored", () => {
  const probing = progressAt(0, 10);
  assert.equal(probing.decrease(5, 3), false);
  assert.equal(probing.next, 10);
  const replicating = progressAt(5, 6);
  replicating.becomeReplicate();
  replicating.sentAppend(4, 4);
  assert.equal(replicating.decrease(5, 5), false, "at or below match it cannot be true any more");
  assert.ok(replicating.decrease(8, 5));
  assert.equal(replicating.next, 6);
});

test("a member that lost appends is told again what is committed in them", () => {
  const progress = progressAt(3, 4);
  progress.becomeReplicate();
  progress.sentAppend(4, 4);
  progress.sentCommit = 7;
  assert.ok(progress.decrease(7, 3));
  assert.deepEqual([progress.next, progress.sentCommit], [4, 3]);
  progress.sentAppend(4, 4);
  assert.equal(progress.canBumpCommit(7), true);
});

test("a snapshot under way pauses, and probing goes on behind it or where it began", () => {
  const arrived = progressAt(3, 4);
  arrived.becomeSnapshot(20);
  assert.deepEqual([arrived.isPaused, arrived.pendingSnapshot, arrived.next], [true, 20, 21]);
  arrived.becomeProbe();
  assert.deepEqual([arrived.isPaused, arrived.pendingSnapshot, arrived.next], [false, 0, 21]);
  const failed = progressAt(3, 4);
  failed.becomeSnapshot(20);
  failed.snapshotFailed();
  assert.deepEqual([failed.state, failed.pendingSnapshot, failed.next], ["probe", 0, 4]);
});

test("falling back to probing forgets what was on its way", () => {
  const progress = progressAt(3, 4);
  progress.becomeReplicate();
  progress.sentAppend(2, 2);
  progress.sentCommit = 5;
  progress.becomeProbe();
  assert.deepEqual([progress.next, progress.inflights.count, progress.sentCommit], [4, 0, 3]);
});

test("an empty append is worth sending only for commits the member can use and does not know", () => {
  const progress = progressAt(5, 6);
  progress.sentCommit = 3;
  assert.equal(progress.canBumpCommit(3), false, "known");
  assert.equal(progress.canBumpCommit(4), true);
  progress.sentCommit = 5;
  assert.equal(progress.canBumpCommit(9), false, "beyond what it was sent");
});
