/** What the compactor asks of the state machine before it lets the log forget. */
import { NO_LOGGER } from "@etcd2/observability";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { layoutOf } from "@etcd2/member-dir";
import type { RaftNode } from "@etcd2/raft";
import { writeCommand } from "@etcd2/store";
import { until } from "@etcd2/test-support";

import { Compactor, type CompactorOptions } from "../../src/storage/compactor.ts";
import { MemberStorage } from "../../src/storage/member-storage.ts";

const IDS = { memberId: "00000000000000a1", clusterId: "00000000000000c1" };

/** A raft loop that stands still whenever it is asked to. */
const idleNode = {
  exclusively: <T>(work: () => Promise<T>): Promise<T> => work(),
  status: () => ({ progress: new Map<string, never>() }),
};

describe("compacting the log", () => {
  let directory = "";
  let storage: MemberStorage;
  let calls: string[];
  let fatal: Error | undefined;

  beforeEach(async () => {
    calls = [];
    fatal = undefined;
    directory = mkdtempSync(join(tmpdir(), "etcd2-compactor-"));
    const options = {
      layout: layoutOf(join(directory, "data"), undefined),
      watchHistory: 100,
      onWalSync: () => undefined,
      onSlowWalSync: () => undefined,
      log: NO_LOGGER,
    };
    storage = await MemberStorage.create(options, IDS, "{}");
  });
  afterEach(async () => {
    await storage.close();
    rmSync(directory, { recursive: true });
  });

  async function writeKey(index: number): Promise<void> {
    await storage.wal.save(
      [{ index, term: 1, type: "normal", data: Buffer.of(index) }],
      { term: 1, vote: "", commit: index },
      true,
    );
    const command = writeCommand({ action: "set", path: "/1/a", value: String(index) });
    storage.machine.apply([{ index, term: 1, command }]);
  }

  function compactor(options: Partial<CompactorOptions> = {}): Compactor {
    return new Compactor({
      storage,
      node: idleNode as unknown as RaftNode,
      snapshotCount: 1,
      catchUpEntries: 0,
      isConnected: () => false,
      log: NO_LOGGER,
      onCompacted: () => calls.push("compacted"),
      onFatal: (error) => {
        fatal = error;
      },
      ...options,
    });
  }

  it("syncs off the event loop first, and only then blocks it for the rest", async () => {
    const { machine } = storage;
    const prepare = machine.prepareFlush.bind(machine);
    const flush = machine.flushDurable.bind(machine);
    mock.method(machine, "prepareFlush", async () => {
      await prepare();
      calls.push("prepared");
    });
    mock.method(machine, "flushDurable", () => {
      calls.push("flushed");
      flush();
    });
    await writeKey(1);
    await writeKey(2);
    compactor().afterApply();
    await until("the log is compacted", () => calls.includes("compacted") || fatal !== undefined);
    assert.equal(fatal, undefined);
    assert.deepEqual(calls, ["prepared", "flushed", "compacted"]);
  });

  it("stops the member when the disk fails while it prepares", async () => {
    mock.method(storage.machine, "prepareFlush", () => Promise.reject(new Error("disk gone")));
    await writeKey(1);
    await writeKey(2);
    compactor().afterApply();
    await until("the fault is reported", () => fatal !== undefined);
    assert.match(fatal?.message ?? "", /disk gone/);
    assert.deepEqual(calls, []);
  });

  it("lets it be when the state machine was replaced meanwhile, and compacts the next time", async () => {
    const { promise: isReplaced, resolve: replaced } = Promise.withResolvers<undefined>();
    const old = {
      appliedIndex: 2,
      prepareFlush: async () => {
        await isReplaced;
        throw new Error("its folder is gone");
      },
    };
    let machine: unknown = old;
    const replacing = {
      wal: storage.wal,
      memberId: storage.memberId,
      snapshotMetadata: () => storage.snapshotMetadata(),
      get machine() {
        return machine;
      },
    };
    await writeKey(1);
    await writeKey(2);
    const compacting = compactor({ storage: replacing as unknown as MemberStorage });
    compacting.afterApply();
    machine = storage.machine;
    replaced(undefined);
    await until("the next one compacts", () => {
      compacting.afterApply();
      return calls.includes("compacted") || fatal !== undefined;
    });
    assert.equal(fatal, undefined);
  });
});
