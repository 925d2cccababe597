import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { lockFile } from "../../../src/wal/files/lock-file.ts";
import { holderOf, readLockHolders } from "../../../src/wal/files/lock-holders.ts";

const directory = mkdtempSync(join(tmpdir(), "lock-holders-test-"));
after(() => {
  rmSync(directory, { recursive: true });
});

describe("the system's list of locks", () => {
  it(
    "names the holder of a file, and nobody for others",
    { skip: !existsSync("/proc/locks") },
    () => {
      const path = join(directory, "lock");
      const other = join(directory, "other");
      writeFileSync(other, "");
      const release = lockFile(path, "exclusive");
      assert.equal(holderOf(path, readLockHolders()), process.pid);
      assert.equal(holderOf(other, readLockHolders()), undefined);
      assert.equal(holderOf(join(directory, "none"), readLockHolders()), undefined);
      release?.();
      assert.equal(holderOf(path, readLockHolders()), undefined);
    },
  );
});
