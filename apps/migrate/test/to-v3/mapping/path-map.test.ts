import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import { PathMap } from "../../../src/to-v3/mapping/path-map.ts";

const seed = seedOfRun();

describe("the map of paths", () => {
  it("leaves names as they are without rules", () => {
    const map = new PathMap();
    assert.equal(map.target("/a/b"), "/a/b");
    assert.deepEqual(map.roots, [""]);
    assert.deepEqual(map.targets, [""]);
  });

  it("takes a path off, and only whole elements of it", () => {
    const map = new PathMap({ strip: "/apps" });
    assert.equal(map.target("/apps/web/x"), "/web/x");
    assert.equal(map.target("/appsx/y"), "/appsx/y");
    assert.equal(map.target("/apps"), "");
  });

  it("applies the longest rule", () => {
    const map = new PathMap({ map: ["/a=/x", "/a/b=/y", "/=/rest"] });
    assert.equal(map.target("/a/c"), "/x/c");
    assert.equal(map.target("/a/b/c"), "/y/c");
    assert.equal(map.target("/q"), "/rest/q");
  });

  it("takes the chosen subtrees only, each once", () => {
    const map = new PathMap({ only: ["/a", "/a/b", "/c/"] });
    assert.deepEqual(map.roots, ["/a", "/c"]);
    assert.ok(map.takes("/a/b/c") && map.takes("/c"));
    assert.ok(!map.takes("/ab") && !map.takes("/d"));
  });

  it("knows which other paths would get the same name", () => {
    const map = new PathMap({ map: ["/a=/x"] });
    assert.deepEqual(map.rivals("/a/k"), ["/x/k"]);
    assert.deepEqual(map.rivals("/x/k"), ["/a/k"]);
    assert.deepEqual(map.rivals("/b/k"), []);
  });

  for (const [text, options] of [
    ["no slash", { map: ["a=/b"] }],
    ["no target", { map: ["/a"] }],
    ["two rules for one path", { map: ["/a=/b", "/a=/c"] }],
    ["a map and a strip for one path", { map: ["/a=/b"], strip: "/a" }],
  ] as const) {
    it(`refuses rules with ${text}`, () => {
      assert.throws(() => new PathMap(options), { code: "usage" });
    });
  }

  it(`finds every source of a name, and a place for every image (SEED=${seed})`, () => {
    const random = new SeededRandom(seed);
    const pick = (depth: number): string =>
      Array.from(
        { length: 1 + random.below(depth) },
        () => `/${"abc".charAt(random.below(3))}`,
      ).join("");
    for (let round = 0; round < 500; round++) {
      const rules = new Map(
        Array.from({ length: random.below(4) }, () => [pick(2), pick(2)] as const),
      );
      const only = random.below(2) === 0 ? [] : [pick(2)];
      const map = new PathMap({ only, map: [...rules].map(([from, to]) => `${from}=${to}`) });
      const paths = [...new Set(Array.from({ length: 60 }, () => pick(4)))].filter((path) =>
        map.takes(path),
      );
      for (const path of paths) {
        const target = map.target(path);
        assert.ok(map.sources(target).includes(path), `${path} of ${JSON.stringify(map.rules)}`);
        const rivals = paths.filter((other) => other !== path && map.target(other) === target);
        for (const rival of rivals) assert.ok(map.rivals(path).includes(rival));
        const isPlaced = map.targets.some(
          (top) => top === "" || target === top || target.startsWith(`${top}/`),
        );
        assert.ok(isPlaced, `${target} lies in none of ${map.targets.join()}`);
      }
    }
  });
});
