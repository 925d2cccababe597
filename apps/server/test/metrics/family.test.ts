import assert from "node:assert/strict";
import { it } from "node:test";
import { LabelledCounts } from "../../src/metrics/counters.ts";
import { counts } from "../../src/metrics/family.ts";

it("labelled counters that are known beforehand are told as 0 before they occur, and once after", () => {
  const calls = new LabelledCounts();
  const samples = () =>
    counts(["method", "code"], calls, ["Stream\tOK", "Stream\tUnknown"])
      .map(({ labels, value }) => `${labels["method"] ?? ""} ${labels["code"] ?? ""} ${value}`)
      .toSorted();
  assert.deepEqual(samples(), ["Stream OK 0", "Stream Unknown 0"]);
  calls.add("Stream\tOK");
  calls.add("Other\tOK");
  assert.deepEqual(samples(), ["Other OK 1", "Stream OK 1", "Stream Unknown 0"]);
});
