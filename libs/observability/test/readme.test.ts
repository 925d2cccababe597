/** The example of the README runs as it stands there, and prints what it says. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { runReadmeExample } from "@etcd2/test-support";

test("the example of the README prints what it says", () => {
  const { promised, stdout, stderr, status } = runReadmeExample(join(import.meta.dirname, ".."));
  assert.notEqual(promised, "", "the example says what it prints");
  assert.deepEqual([stderr, status, stdout], ["", 0, `${promised}\n`]);
});
