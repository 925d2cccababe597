import { createLogger, NO_LOGGER } from "@etcd2/observability";
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import type { DataDirLayout } from "@etcd2/member-dir";
import { layoutOf, META_CONF_STATE } from "@etcd2/member-dir";
import { EMPTY_CONF_STATE, encodeConfState } from "@etcd2/raft";
import { importSnapshot, StoreBuilder, StoreDirectory, SteadyClock } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";

import { inspectDataDir } from "../../src/storage/data-dir.ts";
import { MemberStorage, TakeoverError } from "../../src/storage/member-storage.ts";
import type { StorageOptions } from "../../src/storage/member-storage.ts";
import { StartError } from "../../src/base/start-error.ts";

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
      log: NO_LOGGER,
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

  /** The only generation there is, and what its files are. */
  async function writtenMember(): Promise<readonly string[]> {
    const storage = await MemberStorage.create(options, ids, "{}");
    await storage.wal.save([], { term: 1, vote: "", commit: 0 }, true);
    await storage.close();
    return readdirSync(join(layout.storeDir, "generation-00000001"));
  }

  it("takes no empty state for one whose name was damaged, and removes nothing", async () => {
    const files = await writtenMember();
    writeFileSync(join(layout.storeDir, "CURRENT"), "generation-00000003\n");
    await assert.rejects(MemberStorage.open(options), StartError);
    await assert.rejects(MemberStorage.open(options), /generation-00000003.*CURRENT is missing/);
    assert.deepEqual(readdirSync(join(layout.storeDir, "generation-00000001")), files);
    writeFileSync(join(layout.storeDir, "CURRENT"), "generation-00000001\n");
    await (await MemberStorage.open(options)).close();
  });

  it("makes no new state where the old one lost a file, however often it is started", async () => {
    await writtenMember();
    rmSync(join(layout.storeDir, "generation-00000001", "CURRENT"));
    for (let start = 0; start < 2; start += 1) {
      await assert.rejects(MemberStorage.open(options), StartError);
    }
  });

  it("knows its own log without the state beside it", async () => {
    await writtenMember();
    rmSync(layout.storeDir, { recursive: true });
    assert.equal(inspectDataDir(layout), "empty");
    await assert.rejects(
      MemberStorage.create(options, ids, "{}"),
      /holds the log of a member whose state is missing/,
    );
  });

  it("refuses a log that ends before what was committed", async () => {
    const storage = await MemberStorage.create(options, ids, "{}");
    const entry = { index: 1, term: 1, type: "normal", data: new Uint8Array() } as const;
    await storage.wal.save([entry], { term: 1, vote: "", commit: 3 }, true);
    await storage.close();
    await assert.rejects(
      MemberStorage.open(options),
      /index 3 is committed, but the entries end at 1/,
    );
  });

  it("refuses a state that has applied entries and does not say who votes", async () => {
    const storage = await MemberStorage.create(options, ids, "{}");
    const entry = { index: 1, term: 1, type: "normal", data: new Uint8Array() } as const;
    await storage.wal.save([entry], { term: 1, vote: "", commit: 1 }, true);
    storage.machine.apply([{ index: 1, term: 1, command: undefined }]);
    await storage.close();
    await assert.rejects(MemberStorage.open(options), /has lost who votes/);
  });

  for (const content of ["", "\0\0\0\n", "generation-1\n"]) {
    it(`removes nothing, running or not, once CURRENT is ${JSON.stringify(content)}`, async () => {
      const storage = await MemberStorage.create(options, ids, "{}");
      const files = readdirSync(layout.storeDir);
      writeFileSync(join(layout.storeDir, "CURRENT"), content);
      assert.throws(() => storage.nextGeneration(), /CURRENT names no state/);
      await storage.close();
      await assert.rejects(MemberStorage.open(options), StartError);
      assert.deepEqual(readdirSync(layout.storeDir), files);
    });
  }

  it("removes nothing once CURRENT is gone or names another state under a running member", async () => {
    const storage = await MemberStorage.create(options, ids, "{}");
    rmSync(join(layout.storeDir, "CURRENT"));
    assert.throws(() => storage.nextGeneration(), /does not name the state in use/);
    writeFileSync(join(layout.storeDir, "CURRENT"), "generation-00000007\n");
    assert.throws(() => storage.nextGeneration(), /does not name the state in use/);
    assert.ok(readdirSync(layout.storeDir).includes("generation-00000001"));
    await storage.close();
  });

  it("refuses a state that stands before its log begins", async () => {
    const storage = await MemberStorage.create(options, ids, "{}");
    const confState = { voters: [ids.memberId], learners: [], votersOutgoing: [] };
    await storage.wal.installSnapshot({
      index: 7,
      term: 2,
      confState: { ...confState, learnersNext: [], autoLeave: false },
    });
    await storage.close();
    await assert.rejects(
      MemberStorage.open(options),
      /applied index 0: a part of the store was lost/,
    );
  });
});

describe("taking over a received state", () => {
  let directory = "";
  let storage: MemberStorage;
  let warnings: string[] = [];
  let layout: DataDirLayout;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "etcd2-takeover-"));
    layout = layoutOf(join(directory, "data"), undefined);
    warnings = [];
    const options: StorageOptions = {
      layout,
      watchHistory: 100,
      onWalSync: () => undefined,
      onSlowWalSync: () => undefined,
      log: createLogger((_level, message) => warnings.push(message)),
    };
    storage = await MemberStorage.create(options, ids, "{}");
    const confState = encodeConfState({ ...EMPTY_CONF_STATE, voters: [ids.memberId] });
    storage.machine.apply([], new Map([[META_CONF_STATE, confState]]));
  });
  afterEach(async () => {
    mock.restoreAll();
    await storage.close();
    rmSync(directory, { recursive: true });
  });

  async function received(): Promise<string> {
    const path = storage.nextGeneration();
    const kv = await RocksKv.open(path);
    await importSnapshot(kv, storage.machine.exportSnapshot());
    await kv.close();
    return path;
  }

  let applied = 0;
  /** The machine takes writes and reads them back. */
  function assertServes(): void {
    applied += 1;
    storage.machine.apply([], new Map([["local-test", Buffer.from(String(applied))]]));
    assert.equal(
      Buffer.from(storage.machine.readMeta("local-test") ?? []).toString(),
      String(applied),
    );
  }

  async function assertOldServes(path: string): Promise<void> {
    const old = storage.machine;
    await assert.rejects(storage.switchTo(path), (error) => !(error instanceof TakeoverError));
    assert.equal(storage.machine, old);
    assertServes();
    assert.notEqual(new StoreDirectory(layout.storeDir).current(), path);
  }

  it("leaves the old one in use where the new one cannot be named, and works when it can", async () => {
    mkdirSync(join(layout.storeDir, "CURRENT.tmp"));
    await assertOldServes(await received());
    rmdirSync(join(layout.storeDir, "CURRENT.tmp"));
    const path = await received();
    await storage.switchTo(path);
    assertServes();
    assert.equal(new StoreDirectory(layout.storeDir).current(), path);
    assert.equal(warnings.length, 0);
  });

  it("leaves the old one in use where the new one does not say who votes", async () => {
    const path = storage.nextGeneration();
    const kv = await RocksKv.open(path);
    new StoreBuilder(kv, SteadyClock.open(kv)).finish({ raftIndex: 9, raftTerm: 2, etcdIndex: 0 });
    await kv.close();
    await assertOldServes(path);
  });

  it("leaves the old one in use where the new one cannot be opened", async () => {
    const path = await received();
    rmSync(join(path, "CURRENT"));
    await assertOldServes(path);
  });

  for (const code of ["ENOSPC", "EIO", "EROFS"]) {
    it(`leaves the old one in use after ${code} before the new one has its name`, async () => {
      const path = await received();
      mock.method(StoreDirectory.prototype, "switchTo", () => {
        throw Object.assign(new Error(code), { code });
      });
      await assertOldServes(path);
    });

    it(`tells that the member must stop after ${code} behind the rename`, async () => {
      const path = await received();
      const name = path.slice(layout.storeDir.length + 1);
      mock.method(StoreDirectory.prototype, "switchTo", () => {
        writeFileSync(join(layout.storeDir, "CURRENT"), `${name}\n`);
        throw Object.assign(new Error(code), { code });
      });
      await assert.rejects(storage.switchTo(path), TakeoverError);
    });

    it(`warns after ${code} on the removal of the old one, and the new one serves`, async () => {
      const path = await received();
      mock.method(StoreDirectory.prototype, "removeOthers", () => {
        throw Object.assign(new Error(code), { code });
      });
      await storage.switchTo(path);
      assertServes();
      assert.match(warnings.join(), new RegExp(`could not be removed: ${code}`));
    });
  }
});
