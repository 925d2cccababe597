/** Byte strings: conversions to and from text, and clean paths. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seedOfRun } from "@etcd2/test-support";
import { cleanKey, cleanPath, fromByteString, toByteString } from "../../src/model/byte-string.ts";

const seed = seedOfRun();

test("text survives the way through bytes", () => {
  assert.equal(toByteString("ü"), "\u00c3\u00bc");
  assert.equal(fromByteString("\u00ff"), "\ufffd");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      assert.equal(fromByteString(toByteString(text)), text);
    }),
    { seed },
  );
});

test("paths are cleaned of empty, dot and dot-dot elements", () => {
  for (const [given, path, key] of [
    ["", "/", "/"],
    ["/", "/", "/"],
    ["//", "/", "/"],
    ["a", "/a", "/a"],
    ["/a/", "/a/", "/a"],
    ["/a//b/./c/", "/a/b/c/", "/a/b/c"],
    ["/a/../../b", "/b", "/b"],
    ["/a/..", "/", "/"],
    ["/a/../", "/", "/"],
    ["/.a/..b", "/.a/..b", "/.a/..b"],
  ] as const) {
    assert.equal(cleanPath(given), path, given);
    assert.equal(cleanKey(given), key, given);
  }
});

test("a clean path is left as it is", () => {
  const element = fc.constantFrom("a", ".", "..", "", "b.c", ".d");
  fc.assert(
    fc.property(fc.array(element), (elements) => {
      const path = "/" + elements.join("/");
      assert.equal(cleanPath(cleanPath(path)), cleanPath(path));
      assert.equal(cleanKey(cleanKey(path)), cleanKey(path));
      assert.equal(cleanKey(cleanPath(path)), cleanKey(path));
    }),
    { seed },
  );
});
