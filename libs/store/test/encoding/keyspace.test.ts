import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seedOfRun } from "@etcd2/test-support";
import {
  PREFIX,
  depthOfKey,
  descendantsRange,
  indexKey,
  indexOfKey,
  nodeKey,
  nodeKeyView,
  pathOfKey,
  pathOfTtlKey,
  ttlKey,
} from "../../src/encoding/keyspace.ts";
import { isBelow } from "../../src/tree/watch-rule.ts";

const byte = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 0x10, 0x12, 0x2e, 0x30, 0x5f, 0xff),
  fc.integer({ min: 0, max: 255 }).filter((code) => code !== 0x2f),
);
const name = fc
  .array(byte, { minLength: 1, maxLength: 5 })
  .map((codes) => String.fromCharCode(...codes));
const path = fc.array(name, { minLength: 1, maxLength: 5 }).map((names) => `/${names.join("/")}`);
const parameters = { seed: seedOfRun(), numRuns: 2000 };

test("a node key yields its path and depth", () => {
  fc.assert(
    fc.property(path, (given) => {
      assert.equal(pathOfKey(nodeKey(given)), given);
      assert.deepEqual(nodeKeyView(given), nodeKey(given));
      assert.equal(depthOfKey(nodeKey(given)), given.split("/").length - 1);
    }),
    parameters,
  );
});

test("keys order as paths do, element by element in the order of bytes", () => {
  const compareNames = (a: readonly string[], b: readonly string[]): number => {
    for (let i = 0; i < a.length || i < b.length; i++) {
      const [x, y] = [a[i], b[i]];
      if (x === undefined) return -1;
      if (y === undefined) return 1;
      if (x !== y) return x < y ? -1 : 1;
    }
    return 0;
  };
  fc.assert(
    fc.property(path, path, (a, b) => {
      assert.equal(
        Math.sign(nodeKey(a).compare(nodeKey(b))),
        compareNames(a.split("/"), b.split("/")),
      );
    }),
    parameters,
  );
});

test("the range below a directory holds exactly what is below it", () => {
  fc.assert(
    fc.property(path, path, fc.boolean(), (directory, other, nested) => {
      const candidate = nested ? directory + other : other;
      const { from, to } = descendantsRange(directory);
      const key = nodeKey(candidate);
      const inside = from.length > 0 && key.compare(from) >= 0 && key.compare(to) < 0;
      assert.equal(inside, isBelow(candidate, directory));
    }),
    parameters,
  );
});

test("index keys order as their indices do, up to the largest safe integer", () => {
  const index = fc.oneof(fc.nat(1000), fc.maxSafeNat());
  fc.assert(
    fc.property(index, index, (a, b) => {
      const [x, y] = [indexKey(PREFIX.history, a), indexKey(PREFIX.history, b)];
      assert.equal(indexOfKey(x), a);
      assert.equal(Math.sign(x.compare(y)), Math.sign(a - b));
    }),
    parameters,
  );
});

test("the key of a path that is longer than any before is whole, in shared memory too", () => {
  for (const length of [5000, 20_000, 100_000]) {
    const long = `/1/${"k".repeat(length)}`;
    const view = Buffer.from(nodeKeyView(long));
    assert.equal(pathOfKey(view), long);
    assert.deepEqual(view, nodeKey(long));
  }
});

test("TTL keys hold deadline and path; deadlines before 0 count as 0", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), path, (deadline, given) => {
      const key = ttlKey(deadline, given);
      assert.equal(indexOfKey(key), deadline);
      assert.equal(pathOfTtlKey(key), given);
    }),
    parameters,
  );
  assert.equal(indexOfKey(ttlKey(-5, "/1/a")), 0);
});

test("very long paths are keys like others", () => {
  const long = `/1/${"\x01".repeat(20_000)}/${"b".repeat(50_000)}`;
  assert.equal(pathOfKey(nodeKey(long)), long);
});
