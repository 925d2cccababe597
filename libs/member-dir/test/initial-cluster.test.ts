/** The grammar of `--initial-cluster`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultInitialCluster, splitInitialCluster } from "../src/initial-cluster.ts";

test("a name may come several times, and blanks around the pairs do not count", () => {
  const text = " a=http://a:1,\n b=http://b:1 ,,a=http://a:2?x=y\n";
  assert.deepEqual(
    [...splitInitialCluster(text)],
    [
      ["a", ["http://a:1", "http://a:2?x=y"]],
      ["b", ["http://b:1"]],
    ],
  );
});

test("a part without an equals sign is a name without a URL", () => {
  assert.deepEqual(
    [...splitInitialCluster("a,=http://b:1")],
    [
      ["a", [""]],
      ["", ["http://b:1"]],
    ],
  );
  assert.equal(splitInitialCluster(" , ").size, 0);
});

test("by default a member has the two ports of etcd", () => {
  const expected = "n=http://localhost:2380,n=http://localhost:7001";
  assert.equal(defaultInitialCluster("n"), expected);
  assert.equal(defaultInitialCluster(""), expected.replaceAll("n=", "default="));
});
