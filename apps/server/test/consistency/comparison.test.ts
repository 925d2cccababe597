/** What follows from the digests of several members. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compare, type MemberDigest, named } from "../../src/consistency/comparison.ts";

function members(...digests: (string | undefined)[]): MemberDigest[] {
  return digests.map((digest, at) => ({
    id: String(at),
    name: at === 0 ? "" : `m${at}`,
    isSelf: at === 0,
    ...(digest === undefined ? { problem: "down" } : { digest }),
  }));
}

const verdictOf = (...digests: (string | undefined)[]): string =>
  compare(7, members(...digests)).verdict;

describe("digests at one index", () => {
  test("are the same, or tell the odd one from the majority", () => {
    assert.equal(verdictOf("a", "a", "a"), "same");
    assert.equal(verdictOf("a", "a", undefined), "same");
    assert.equal(verdictOf("b", "a", "a"), "minority");
    assert.equal(verdictOf("a", "a", "b"), "majority");
    assert.equal(verdictOf("a", "b", "a", "b", "a"), "majority");
    assert.equal(verdictOf("b", "a", undefined, "a", "a"), "minority");
  });

  test("leave it open without a majority of all members", () => {
    assert.equal(verdictOf("a", "b"), "divided");
    assert.equal(verdictOf("b", "a", "a", undefined, undefined), "divided");
    assert.equal(verdictOf("a", "b", "c"), "divided");
  });

  test("say nothing when this member or all others are silent", () => {
    assert.equal(verdictOf("a", undefined, undefined), "unknown");
    assert.equal(verdictOf(undefined, "a", "b"), "unknown");
    assert.equal(verdictOf("a"), "unknown");
  });

  test("name those that differ", () => {
    const { different } = compare(7, members("a", "b", "a", "c", "a"));
    assert.equal(named(different), "m1 (1), m3 (3)");
    assert.equal(named(compare(7, members("b", "a", "a")).different), "0");
  });
});
