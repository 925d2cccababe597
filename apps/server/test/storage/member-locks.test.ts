import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { DataDirLayout } from "@etcd2/member-dir";
import { layoutOf } from "@etcd2/member-dir";
import { inspectDataDir, isMemberBegun } from "../../src/storage/data-dir.ts";
import { MemberLocks } from "../../src/storage/member-locks.ts";
import { StartError } from "../../src/base/start-error.ts";

describe("the locks of a member", () => {
  let directory = "";
  let layout: DataDirLayout;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "etcd2-locks-"));
    layout = layoutOf(join(directory, "a", "data"), join(directory, "b", "wal"));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it("are taken back with all directories that were made for them", () => {
    MemberLocks.forNew(layout).undo();
    assert.deepEqual(readdirSync(directory), []);
  });

  it("leave what was there before them", () => {
    mkdirSync(layout.walDir, { recursive: true });
    MemberLocks.forNew(layout).release();
    writeFileSync(join(layout.dataDir, "registration"), "");
    MemberLocks.forNew(layout).undo();
    assert.deepEqual(readdirSync(layout.walDir), ["etcd2.lock"]);
    assert.deepEqual(readdirSync(layout.memberDir), ["etcd2.lock"]);
    MemberLocks.forNew(layout).release();
  });

  it("of the log alone keep another data directory out, which is left as it was", () => {
    const locks = MemberLocks.forNew(layout);
    const other = layoutOf(join(directory, "c"), layout.walDir);
    assert.throws(() => MemberLocks.forNew(other), StartError);
    assert.equal(existsSync(other.dataDir), false);
    mkdirSync(other.memberDir, { recursive: true });
    assert.throws(() => MemberLocks.forExisting(other), /file already locked/);
    assert.deepEqual(readdirSync(other.memberDir), []);
    locks.release();
    MemberLocks.forExisting(other).release();
  });

  it("do not make the directory of a log that is missing", () => {
    mkdirSync(layout.memberDir, { recursive: true });
    MemberLocks.forExisting(layout).release();
    assert.equal(existsSync(layout.walDir), false);
  });

  it("are no member: what was killed before it wrote anything is still nothing", () => {
    const inside = layoutOf(join(directory, "data"), undefined);
    MemberLocks.forNew(inside).release();
    assert.equal(isMemberBegun(inside), false);
    assert.equal(inspectDataDir(inside), "empty");
    mkdirSync(inside.proxyDir);
    assert.equal(inspectDataDir(inside), "proxy");
    mkdirSync(inside.storeDir);
    assert.throws(() => inspectDataDir(inside), /Both member and proxy directories exist/);
  });
});
