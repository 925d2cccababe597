import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import { PathSet } from "../../src/nodes/path-set.ts";
import { isBelow } from "../../src/tree/watch-rule.ts";

test("what is below a path is what a look at all members finds", () => {
  const random = new SeededRandom(seedOfRun());
  const path = (): string => {
    let text = "/1";
    for (let left = random.below(4); left > 0; left--) text += `/${random.pick(["a", "b", "ab"])}`;
    return text;
  };
  for (let round = 0; round < 200; round++) {
    const set = new PathSet();
    const members = new Set<string>();
    for (let step = 0; step < 30; step++) {
      const given = path();
      const kind = random.next();
      if (kind < 0.6) {
        set.add(given);
        members.add(given);
      } else if (kind < 0.8) {
        // As of nodes: one that goes by itself has nothing below it.
        if ([...members].some((member) => isBelow(member, given))) continue;
        set.delete(given);
        members.delete(given);
      } else {
        const wanted = [...members].filter((member) => isBelow(member, given));
        const taken = set.takeBelow(given).filter((member) => members.delete(member));
        assert.deepEqual(taken.toSorted(), wanted.toSorted());
      }
      const asked = path();
      assert.deepEqual(
        [...set.below(asked)].filter((member) => members.has(member)).toSorted(),
        [...members].filter((member) => isBelow(member, asked)).toSorted(),
      );
    }
  }
});
