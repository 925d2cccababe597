/** Names of v3 keys for v2 paths. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isNameable, KeySpace, type KeyKind } from "../../src/mapping/key-space.ts";

const KINDS: readonly KeyKind[] = [
  "data",
  "file",
  "directory",
  "lifetime",
  "sequence",
  "announcement",
];

/** Any bytes but a slash; neither "." nor "..". */
const names = fc
  .array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 5 })
  .map((codes) => String.fromCharCode(...codes).replaceAll("/", "_"))
  .filter((name) => name !== "." && name !== "..");
const paths = fc
  .array(names, { minLength: 1, maxLength: 5 })
  .map((elements) => `/${elements.join("/")}`);

test("a v2 value is the v3 key of prefix and path", () => {
  assert.equal(new KeySpace("/v2/").key("data", "/foo/bar").toString(), "/v2/foo/bar");
  assert.equal(new KeySpace("").key("data", "/foo").toString(), "/foo");
});

test("every key is read back as what it was made for, under any prefix", () => {
  const spaces = fc.constantFrom("", "/v2", "/a/b", "plain").map((prefix) => new KeySpace(prefix));
  fc.assert(
    fc.property(spaces, fc.constantFrom(...KINDS), paths, (space, kind, path) => {
      assert.deepEqual(space.parse(space.key(kind, path)), { kind, path });
    }),
  );
});

test("all keys of a tree lie in its one range, and those below a directory in the directory's", () => {
  const space = new KeySpace("/v2");
  fc.assert(
    fc.property(fc.constantFrom(...KINDS), paths, names, (kind, path, name) => {
      const key = space.key(kind, `${path}/${name}`);
      for (const { key: start, rangeEnd } of [space.everything, space.below(kind, path)]) {
        assert.ok(key.compare(start) >= 0 && key.compare(rangeEnd) < 0);
      }
      const { key: start, rangeEnd } = space.below(kind, path);
      const beside = space.key(kind, path);
      assert.ok(beside.compare(start) < 0 || beside.compare(rangeEnd) >= 0);
    }),
  );
});

test("keys that v2 cannot name are none of its nodes", () => {
  const space = new KeySpace("/v2");
  const foreign = ["/v2", "/v2/", "/v2x", "/v2//a", "/v2/a/", "/v2/./a", "/v2/a/..", "/other/a"];
  for (const key of foreign) assert.equal(space.parse(Buffer.from(key)), undefined, key);
  assert.ok(isNameable("/..."));
  assert.ok(!isNameable(""));
});
