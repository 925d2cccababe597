/** Processors that the native store was not built for are refused with a line, not by a signal. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
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

test(
  "a member on an old processor ends before it writes anything, with a line that says why",
  { skip: noQemu },
  () => {
    const start = join(root, "apps", "server", "bundle", "start.cjs");
    const words = ["-cpu", "Westmere", process.execPath, "--no-warnings", start];
    const cwd = mkdtempSync(join(tmpdir(), "etcd2-processor-"));
    try {
      const options = { cwd, encoding: "utf8", timeout: 120_000 } as const;
      const { status, stderr } = spawnSync(qemu, words, options);
      assert.equal(status, 1, stderr);
      assert.match(
        stderr.trimEnd().split("\n").at(-1) ?? "",
        /^etcd2: this processor lacks avx2, /,
      );
      assert.deepEqual(readdirSync(cwd), []);
    } finally {
      rmSync(cwd, { recursive: true });
    }
  },
);
