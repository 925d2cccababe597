import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodePath, percentDecode } from "../../src/http/percent-encoding.ts";
import { cleanPath } from "@etcd2/store";
import { parseTarget } from "../../src/http/request-target.ts";
import { seed } from "../seed.ts";

test("a clean target is taken apart without change", () => {
  assert.deepEqual(parseTarget("/v2/keys/a?b=c?d"), {
    path: "/v2/keys/a",
    cleanPath: "/v2/keys/a",
    query: "b=c?d",
  });
  assert.equal(parseTarget("/v2/keys/a+b;c@d:e")?.path, "/v2/keys/a+b;c@d:e");
  assert.equal(parseTarget("/a?")?.query, "");
  assert.equal(parseTarget("/a#b")?.path, "/a#b");
});

test("escapes are decoded to bytes", () => {
  assert.equal(parseTarget("/%C3%a9/%00%2F%3f")?.path, "/\xc3\xa9/\0/?");
  assert.equal(parseTarget("/\xc3\xa9")?.path, "/\xc3\xa9");
});

test("unclean paths show in cleanPath", () => {
  const cases: [string, string][] = [
    ["/a//b", "/a/b"],
    ["//", "/"],
    ["/.", "/"],
    ["/a/.", "/a"],
    ["/a/./", "/a/"],
    ["/a/..", "/"],
    ["/a/b/..", "/a"],
    ["/a/../", "/"],
    ["/../../a", "/a"],
    ["/%2e%2E/a", "/a"],
    ["/a/%2F%2Fb", "/a/b"],
    ["/v2/keys/../x", "/v2/x"],
    ["/.../..a/.b", "/.../..a/.b"],
    ["/a/b/", "/a/b/"],
  ];
  for (const [target, clean] of cases) assert.equal(parseTarget(target)?.cleanPath, clean, target);
});

test("malformed targets are refused", () => {
  for (const target of ["/%", "/%4", "/%zz", "/a%g1?x", "/a\tb", "/a\x7f", "a/b", "*", ""]) {
    assert.equal(parseTarget(target), undefined, target);
  }
  assert.notEqual(parseTarget("/a?%zz"), undefined);
});

test("an absolute target is reduced to its path", () => {
  assert.equal(parseTarget("http://host:1/a/b?c")?.path, "/a/b");
  assert.equal(parseTarget("http:/a")?.path, "/a");
  const empty = { path: "", cleanPath: "/", query: "" };
  assert.deepEqual(parseTarget("http://host:1"), empty);
  assert.deepEqual(parseTarget("host:1"), empty);
  assert.deepEqual(parseTarget("http://host?x=/y"), { ...empty, query: "x=/y" });
});

test("cleaning is idempotent and encoding round-trips", () => {
  const piece = fc.constantFrom("/", ".", "..", "a", "b", "%", "\xff", "?");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const path = "/" + pieces.join("");
      const clean = cleanPath(path);
      assert.equal(cleanPath(clean), clean);
      assert.doesNotMatch(clean, /\/\/|\/\.(?:\/|$)|\/\.\.(?:\/|$)/);
      assert.equal(percentDecode(encodePath(path), false), path);
      assert.equal(parseTarget(encodePath(path))?.path, path);
    }),
    { seed, numRuns: 1000 },
  );
});
