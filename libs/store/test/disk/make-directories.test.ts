import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import { makeDirectories } from "../../src/disk/make-directories.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-directories-"));
after(() => {
  rmSync(root, { recursive: true });
});

describe("directories", () => {
  it("are made with their parents, for the own user alone", () => {
    makeDirectories(join(root, "a", "b"));
    assert.equal(statSync(join(root, "a", "b")).mode & 0o777, 0o700);
    assert.equal(statSync(join(root, "a")).mode & 0o777, 0o700);
  });

  it("are taken back as far as they are new and empty", () => {
    const undo = makeDirectories(join(root, "new", "deep", "er"));
    writeFileSync(join(root, "new", "file"), "");
    undo();
    assert.deepEqual(readdirSync(join(root, "new")), ["file"]);
    makeDirectories(root)();
    assert.ok(readdirSync(root).includes("new"));
  });

  it("are refused at once where a file system takes none", () => {
    assert.throws(() => makeDirectories("/proc/no/such"), /ENOENT/);
  });
});
