/** Quorum arithmetic against tables and against versions that try every possibility. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import {
  jointIndex,
  jointVote,
  majorityIndex,
  majoritySize,
  majorityVote,
  type VoteResult,
} from "../../../src/core/membership/quorum.ts";
import { seeded } from "../seed.ts";

/** All subsets of `of`, the empty one included. */
function subsets<T>(of: readonly T[]): T[][] {
  return of.reduce<T[][]>((all, one) => [...all, ...all.map((subset) => [...subset, one])], [[]]);
}

/** Tries every group of more than half of the voters: what the best of them has reached. */
function naiveIndex(reached: readonly number[]): number {
  if (reached.length === 0) return Infinity;
  const majorities = subsets(reached).filter((group) => group.length * 2 > reached.length);
  return Math.max(...majorities.map((group) => Math.min(...group)));
}

type Votes = ReadonlyMap<number, boolean | undefined>;

/** Tries every way in which the missing votes could come in. */
function naiveVote(
  incoming: readonly number[],
  outgoing: readonly number[],
  votes: Votes,
): VoteResult {
  const missing = [...votes].filter(([, vote]) => vote === undefined).map(([voter]) => voter);
  const outcomes = subsets(missing).map((grantedLater) => {
    const isGranted = (voter: number): boolean =>
      votes.get(voter) === true || grantedLater.includes(voter);
    return [incoming, outgoing].every(
      (half) => half.length === 0 || half.filter(isGranted).length * 2 > half.length,
    );
  });
  if (outcomes.every(Boolean)) return "won";
  return outcomes.some(Boolean) ? "pending" : "lost";
}

test("a majority is more than half, whatever the number of voters", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7].map(majoritySize), [1, 2, 2, 3, 3, 4, 4]);
});

test("the majority index is what more than half of the voters have reached", () => {
  const table: [number[], number][] = [
    [[], Infinity],
    [[7], 7],
    [[7, 3], 3],
    [[7, 3, 5], 5],
    [[0, 0, 9], 0],
    [[4, 4, 4, 9], 4],
    [[1, 2, 3, 4, 5], 3],
    [[5, 5, 1, 1], 1],
  ];
  for (const [reached, expected] of table) {
    assert.equal(majorityIndex(reached), expected, reached.join());
  }
});

test("a vote is won, lost or pending by its majority", () => {
  const table: [(boolean | undefined)[], VoteResult][] = [
    [[], "won"],
    [[true], "won"],
    [[undefined], "pending"],
    [[false], "lost"],
    [[true, false], "lost"],
    [[true, undefined], "pending"],
    [[true, true, undefined], "won"],
    [[true, false, undefined], "pending"],
    [[false, false, undefined], "lost"],
    [[true, true, false, false], "lost"],
  ];
  for (const [votes, expected] of table) {
    assert.equal(majorityVote(votes), expected, votes.join());
  }
});

test("the majority index agrees with trying every majority", (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 7 }), (reached) => {
      assert.equal(majorityIndex(reached), naiveIndex(reached));
    }),
    seeded(t),
  );
});

test("the joint index agrees with trying every majority of both halves", (t) => {
  const half = fc.array(fc.nat(9), { maxLength: 5 });
  fc.assert(
    fc.property(half, half, (incoming, outgoing) => {
      const expected = Math.min(naiveIndex(incoming), naiveIndex(outgoing));
      assert.equal(jointIndex(incoming, outgoing), expected);
    }),
    seeded(t),
  );
});

test("vote results agree with trying every way the missing votes could come in", (t) => {
  const half = fc.uniqueArray(fc.nat(6), { maxLength: 5 });
  const ballot = fc.array(fc.constantFrom(true, false, undefined), { minLength: 7, maxLength: 7 });
  fc.assert(
    fc.property(half, half, ballot, (incoming, outgoing, ballots) => {
      const votes = new Map(
        [...new Set([...incoming, ...outgoing])].map((voter) => [voter, ballots[voter]]),
      );
      const votesOf = (voters: readonly number[]): (boolean | undefined)[] =>
        voters.map((voter) => votes.get(voter));
      const joint = jointVote(votesOf(incoming), votesOf(outgoing));
      assert.equal(joint, naiveVote(incoming, outgoing, votes));
      assert.equal(jointVote(votesOf(outgoing), votesOf(incoming)), joint);
      const alone = new Map(incoming.map((voter) => [voter, ballots[voter]]));
      assert.equal(majorityVote(votesOf(incoming)), naiveVote(incoming, [], alone));
    }),
    seeded(t),
  );
});

test("more acknowledgements never lower the joint index", (t) => {
  const half = fc.array(fc.nat(9), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(half, half, fc.nat(4), (incoming, outgoing, at) => {
      const more = incoming.map((index, i) => (i === at % incoming.length ? index + 1 : index));
      assert.ok(jointIndex(more, outgoing) >= jointIndex(incoming, outgoing));
    }),
    seeded(t),
  );
});
