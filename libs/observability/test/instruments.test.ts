/** Histograms agree with a plain count of the values. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CountingHistogram, doublingBuckets } from "../src/index.ts";

describe("a counting histogram", () => {
  it("agrees with a plain count for any values", () => {
    const bounds = doublingBuckets(0.001, 14);
    assert.equal(bounds.at(-1), 8.192);
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 20, noNaN: true })), (values) => {
        const histogram = new CountingHistogram(bounds);
        for (const value of values) histogram.observe(value);
        const plain = bounds.map((bound) => values.filter((value) => value <= bound).length);
        assert.deepEqual(histogram.cumulative(), plain);
        assert.equal(histogram.count, values.length);
      }),
      { seed: Number(process.env["SEED"] ?? Date.now()) },
    );
  });
});
