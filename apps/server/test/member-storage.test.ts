import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";

import { inspectDataDir, layoutOf } from "../src/data-dir.ts";
import type { DataDirLayout } from "../src/data-dir.ts";
import { MemberStorage } from "../src/member-storage.ts";
import type { StorageOptions } from "../src/member-storage.ts";
import { StartError } from "../src/start-error.ts";

const ids = { memberId: "00000000000000a1", clusterId: "00000000000000c1" };

describe("making a new member's storage", () => {
  let directory = "";
  let layout: DataDirLayout;
  let options: StorageOptions;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "etcd2-storage-"));
    layout = layoutOf(join(directory, "data"), undefined);
    options = {
      layout,
      watchHistory: 100,
      onWalSync: () => undefined,
      onSlowWalSync: () => undefined,
      warn: () => undefined,
    };
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  /** What a crash right before the last step leaves. */
  function crashBeforeLastStep(): void {
    rmSync(join(layout.storeDir, "CURRENT"));
  }

  it("starts anew after a crash that left an unused log", async () => {
    await (await MemberStorage.create(options, ids, "{}")).close();
    assert.equal(inspectDataDir(layout), "member");
    crashBeforeLastStep();
    assert.equal(inspectDataDir(layout), "empty");
    const other = { ...ids, memberId: "00000000000000a2" };
    await (await MemberStorage.create(options, other, "{}")).close();
    const storage = await MemberStorage.open(options);
    assert.equal(storage.memberId, other.memberId);
    await storage.close();
  });

  it("leaves a log alone that was written to", async () => {
    const storage = await MemberStorage.create(options, ids, "{}");
    await storage.wal.save([], { term: 1, vote: "", commit: 0 }, true);
    await storage.close();
    crashBeforeLastStep();
    await assert.rejects(MemberStorage.create(options, ids, "{}"), StartError);
  });
});
