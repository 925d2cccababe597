import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import { layoutOf } from "@etcd2/member-dir";
import { checkWritable, inspectDataDir } from "../../src/storage/data-dir.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-data-dir-"));
after(() => {
  rmSync(root, { recursive: true });
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

describe("a log elsewhere", () => {
  it("of another etcd is refused with what to do, and left as it is", () => {
    const walDir = join(root, "old-wal");
    mkdirSync(walDir);
    writeFileSync(join(walDir, "0000000000000000-0000000000000000.wal"), "");
    const layout = layoutOf(join(root, "new"), walDir);
    assert.throws(() => inspectDataDir(layout), /etcd-migrate --data-dir OLD_DATA_DIR --wal-dir/);
    assert.equal(readdirSync(walDir).length, 1);
  });

  it("of this program is not", () => {
    const walDir = join(root, "own-wal");
    mkdirSync(walDir);
    writeFileSync(join(walDir, "0000000000000000-0000000000000001.wal"), "");
    writeFileSync(join(walDir, "lock-00000001"), "");
    assert.equal(inspectDataDir(layoutOf(join(root, "new"), walDir)), "empty");
  });
});
