/** Digests at chosen applied indexes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { StateHash, StateMachine } from "@etcd2/store";
import { HashPoints } from "../../src/consensus/hash-points.ts";

/** A state machine that only knows how far it is. */
class Counting {
  appliedIndex = 5;
  hashes = 0;
  hash(): Promise<StateHash> {
    this.hashes++;
    const raftIndex = this.appliedIndex;
    return Promise.resolve({ raftIndex, raftTerm: 1, etcdIndex: 1, hash: `at ${raftIndex}` });
  }
}

function points(): { machine: Counting; points: HashPoints; apply: (index: number) => void } {
  const machine = new Counting();
  const made = new HashPoints(() => machine as unknown as StateMachine);
  return {
    machine,
    points: made,
    apply: (index) => {
      machine.appliedIndex = index;
      if (index === made.next) made.reached(index);
    },
  };
}

describe("a digest at an index", () => {
  test("is taken at once where the member stands, and not at all where it was before", async () => {
    const { points: hashes } = points();
    assert.equal((await hashes.at(5, 1000))?.hash, "at 5");
    assert.equal(await hashes.at(4, 1000), undefined);
    assert.equal(hashes.next, Number.POSITIVE_INFINITY);
  });

  test("is taken when the member gets there, once for all who wait", async () => {
    const { machine, points: hashes, apply } = points();
    const waiting = [hashes.at(7, 60_000), hashes.at(7, 60_000), hashes.at(9, 60_000)];
    assert.equal(hashes.next, 7);
    for (const index of [6, 7, 8, 9]) apply(index);
    const found = await Promise.all(waiting);
    assert.deepEqual(
      found.map((each) => each?.hash),
      ["at 7", "at 7", "at 9"],
    );
    assert.equal(machine.hashes, 2);
    assert.equal(hashes.next, Number.POSITIVE_INFINITY);
  });

  test("is given up after the time that was given for it", async () => {
    const { points: hashes } = points();
    assert.equal(await hashes.at(8, 1), undefined);
    assert.equal(hashes.next, Number.POSITIVE_INFINITY);
  });
});
