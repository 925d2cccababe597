import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { percentDecode } from "../../src/http/percent-encoding.ts";
import { seed } from "../seed.ts";

const piece = fc.oneof(
  fc.integer({ min: 0, max: 255 }).map((code): [string, string] => {
    return [`%${code.toString(16).padStart(2, "0")}`, String.fromCharCode(code)];
  }),
  fc.constantFrom<[string, string]>(["+", " "], ["%2B", "+"], ["a", "a"], ["\xe9", "\xe9"]),
);

test("escapes and blanks are decoded alike in short and in long texts", () => {
  fc.assert(
    fc.property(fc.array(piece), fc.constantFrom(0, 2000), (pieces, padding) => {
      const raw = pieces.map(([written]) => written).join("") + "p".repeat(padding);
      const wanted = pieces.map(([, meant]) => meant).join("") + "p".repeat(padding);
      assert.equal(percentDecode(raw, true), wanted);
      if (!raw.includes("+")) assert.equal(percentDecode(raw, false), wanted);
    }),
    { seed, numRuns: 1000 },
  );
});

test("a blank in a path stays a plus", () => {
  assert.equal(percentDecode("a+b%2bc", false), "a+b+c");
});
