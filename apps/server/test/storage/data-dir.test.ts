import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import { checkWritable, layoutOf } from "../../src/storage/data-dir.ts";
import { makeDirectories } from "../../src/storage/make-directories.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-data-dir-"));
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
});

describe("a member that ran before", () => {
  it("is told of a file system that became read-only, not of damage", () => {
    const layout = layoutOf(join(root, "ran"), undefined);
    mkdirSync(layout.storeDir, { recursive: true });
    checkWritable(layout);
    const refuse = (path: string): void => {
      if (path === layout.storeDir)
        throw new Error(`EROFS: read-only file system, access '${path}'`);
    };
    assert.throws(
      () => {
        checkWritable(layout, refuse);
      },
      {
        message: `cannot access data directory: read-only file system, access '${layout.storeDir}'`,
      },
    );
  });
});
