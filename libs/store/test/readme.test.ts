/** The example of the README runs as it stands there, and prints what it says. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

test("the example of the README prints what it says", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const input = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? "";
  const printed = /console\.log\(.*\); \/\/ (.*)/.exec(input)?.[1];
  assert.ok(printed !== undefined, "the example says what it prints");
  // A program on standard input finds packages from the working directory.
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--conditions=etcd2-source", "--input-type=module-typescript", "-"],
    {
      cwd: fileURLToPath(new URL("..", import.meta.url)),
      input,
      encoding: "utf8",
      timeout: 60_000,
    },
  );
  assert.deepEqual([stderr, status, stdout], ["", 0, `${printed}\n`]);
});
