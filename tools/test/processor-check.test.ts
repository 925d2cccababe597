/** Processors that the native store was not built for are refused with a line, not by a signal. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..", "..");
const { missingFeatures } = createRequire(import.meta.url)("../launch/processor-check.cjs") as {
  readonly missingFeatures: (has?: (feature: { readonly name: string }) => boolean) => string[];
};

const qemu = "qemu-x86_64";
const noQemu =
  spawnSync(qemu, ["--version"]).error === undefined ? false : `${qemu} is not installed`;

test("what a processor lacks is named", () => {
  assert.deepEqual(
    missingFeatures(() => true),
    [],
  );
  assert.deepEqual(
    missingFeatures(({ name }) => name !== "avx2" && name !== "fma"),
    ["avx2", "fma"],
  );
});

test("the machine that runs the tests of the store is not refused", () => {
  assert.deepEqual(missingFeatures(), []);
});

test("a server on an old processor ends with one line", { skip: noQemu }, () => {
  const start = join(root, "apps", "server", "bundle", "start.cjs");
  const words = ["-cpu", "Westmere", process.execPath, "--no-warnings", start];
  const { status, stderr } = spawnSync(qemu, words, { encoding: "utf8", timeout: 120_000 });
  assert.equal(status, 1, stderr);
  assert.match(stderr, /^etcd2: this processor lacks avx2, .*\n$/);
});
