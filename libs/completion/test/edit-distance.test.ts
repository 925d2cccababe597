/** The distance by which the programs find the word that was meant. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { editDistance } from "../src/edit-distance.ts";

describe("the distance between two words", () => {
  const cases: [typed: string, meant: string, edits: number][] = [
    ["get", "get", 0],
    ["gte", "get", 1],
    ["enalbe", "enable", 1],
    ["snapshto", "snapshot", 1],
    ["initial-clutser-tokn", "initial-cluster-token", 2],
    ["wach", "watch", 1],
    ["wattch", "watch", 1],
    ["wetch", "watch", 1],
    ["", "get", 3],
    ["get", "", 3],
    ["", "", 0],
    ["kitten", "sitting", 3],
    ["GET", "get", 3],
  ];
  for (const [typed, meant, edits] of cases) {
    test(`from "${typed}" to "${meant}" is ${edits}`, () => {
      assert.equal(editDistance(typed, meant), edits);
    });
  }
});
