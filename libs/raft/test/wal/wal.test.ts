import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "@etcd2/test-support";
import { FatalError } from "../../src/core/model/errors.ts";
import { readWal } from "../../src/wal/read-wal.ts";
import { SimulatedDisk } from "../../src/testing/simulated-disk.ts";
import { Wal } from "../../src/wal/wal.ts";
import {
  createOn,
  describeLog,
  DIRECTORY,
  entriesOf,
  errorOf,
  hardStateOf,
  installNow,
  MEMBER,
  METADATA,
  newDisk,
  on,
  openOn,
  saveNow,
  snapshotAt,
} from "./wal-harness.ts";
import { closeInline, compactInline } from "../../src/testing/inline-wal.ts";

const NO_HARD_STATE = { term: 0, vote: "", commit: 0 };

function segments(disk: SimulatedDisk): readonly string[] {
  return disk
    .readDirectory(DIRECTORY)
    .filter((name) => name.endsWith(".wal"))
    .sort();
}

/** Reopens and returns the state as text, having checked that nothing had to be repaired. */
function reopened(disk: SimulatedDisk, segmentBytes?: number): string {
  const { wal, compaction, repaired } = openOn(disk, segmentBytes);
  assert.equal(repaired, undefined);
  const text = describeLog(wal, compaction);
  closeInline(wal);
  return text;
}

describe("a new log", () => {
  it("is empty, says whose it is, and is there from then on", () => {
    const disk = newDisk();
    assert.equal(Wal.exists(DIRECTORY, disk), false);
    const wal = createOn(disk);
    assert.equal(Wal.exists(DIRECTORY, disk), true);
    assert.equal(wal.log.lastIndex(), 0);
    closeInline(wal);
    const opened = openOn(disk);
    assert.deepEqual(opened.metadata, METADATA);
    assert.deepEqual(opened.hardState, NO_HARD_STATE);
    assert.equal(opened.compaction, undefined);
    assert.equal(opened.repaired, undefined);
    assert.equal(opened.wal.log.firstIndex(), 1);
    assert.equal(opened.wal.log.lastIndex(), 0);
  });

  it("refuses to take the place of another", () => {
    const disk = newDisk();
    closeInline(createOn(disk));
    const error = errorOf(() => createOn(disk));
    assert.ok(error instanceof FatalError);
    assert.match(error.message, /there is a log in \/data\/wal already/);
    closeInline(openOn(disk).wal);
  });

  it("cannot be opened where there is none, and nothing is created by trying", () => {
    const disk = newDisk();
    assert.match(errorOf(() => openOn(disk)).message, /there is no log in \/data\/wal/);
    assert.deepEqual(disk.readDirectory(DIRECTORY), []);
  });

  it("is locked while it is open, and only then", () => {
    const disk = newDisk();
    const wal = createOn(disk);
    assert.match(errorOf(() => openOn(disk)).message, /open wal error: file already locked/);
    closeInline(wal);
    closeInline(openOn(disk).wal);
  });

  it("leaves no lock and no open file behind when it cannot be created", () => {
    const disk = newDisk();
    disk.fail({ on: "sync", code: "EIO", after: 0 });
    assert.equal((errorOf(() => createOn(disk)) as NodeJS.ErrnoException).code, "EIO");
    assert.equal(disk.openHandles, 0);
    assert.equal(Wal.exists(DIRECTORY, disk), false);
    closeInline(createOn(disk));
    assert.equal(disk.openHandles, 0);
    assert.deepEqual(
      disk.readDirectory(DIRECTORY).filter((name) => name.endsWith(".tmp")),
      [],
    );
  });
});

describe("save", () => {
  it("gives back after reopening what was saved, with unsynced data too if nothing crashed", () => {
    const disk = newDisk();
    const wal = createOn(disk);
    saveNow(wal, entriesOf(1, 1, 3), hardStateOf(1, 0));
    saveNow(wal, entriesOf(1, 4, 1, 0), hardStateOf(1, 3));
    saveNow(wal, [], hardStateOf(1, 4), false);
    const before = describeLog(wal, undefined);
    closeInline(wal);
    assert.equal(reopened(disk), before);
    assert.match(before, /commit 4/);
  });

  it("overwrites a conflicting suffix, also one in an earlier segment", () => {
    const disk = newDisk();
    const wal = createOn(disk, 600);
    for (let index = 1; index <= 20; index += 1) saveNow(wal, entriesOf(1, index, 1));
    assert.ok(segments(disk).length >= 3);
    saveNow(wal, entriesOf(2, 4, 2), hardStateOf(2, 3));
    assert.equal(wal.log.lastIndex(), 5);
    assert.equal(wal.log.term(4), 2);
    const before = describeLog(wal, undefined);
    closeInline(wal);
    assert.equal(reopened(disk, 600), before);
  });

  it("recovers every prefix: reopened after each batch, whatever the segment size", () => {
    for (const segmentBytes of [1, 300, 700, 5000]) {
      const disk = newDisk();
      closeInline(createOn(disk, segmentBytes));
      let last = 0;
      for (let round = 1; round <= 25; round += 1) {
        const { wal } = openOn(disk, segmentBytes);
        assert.equal(wal.log.lastIndex(), last);
        const count = round % 4;
        saveNow(wal, entriesOf(round, last + 1, count, round * 11), hardStateOf(round, last));
        last += count;
        const before = describeLog(wal, undefined);
        closeInline(wal);
        assert.equal(reopened(disk, segmentBytes), before);
      }
    }
  });

  it("writes one batch and syncs once, and not at all when no sync is asked for", () => {
    const disk = newDisk();
    const wal = createOn(disk, 1024 * 1024);
    saveNow(wal, entriesOf(1, 1, 1));
    let before = disk.operations;
    saveNow(wal, entriesOf(1, 2, 64, 300), hardStateOf(1, 1));
    assert.equal(disk.operations - before, 2);
    before = disk.operations;
    saveNow(wal, [], hardStateOf(1, 60), false);
    assert.equal(disk.operations - before, 1);
  });

  it("takes a batch larger than a segment", () => {
    const disk = newDisk();
    const wal = createOn(disk, 1000);
    saveNow(wal, entriesOf(1, 1, 50, 300));
    saveNow(wal, entriesOf(1, 51, 1, 6_000_000));
    saveNow(wal, entriesOf(1, 52, 1, 10));
    assert.equal(segments(disk).length, 3);
    const before = describeLog(wal, undefined);
    closeInline(wal);
    assert.equal(reopened(disk, 1000), before);
  });

  it("keeps data that is not durable out of the log in memory", () => {
    const disk = newDisk();
    const wal = createOn(disk);
    saveNow(wal, entriesOf(1, 1, 2));
    disk.fail({ on: "sync", code: "EIO", after: 0 });
    assert.throws(() => wal.save(entriesOf(1, 3, 2), hardStateOf(1, 2), true), FatalError);
    assert.equal(wal.log.lastIndex(), 2);
    assert.deepEqual(wal.hardState, NO_HARD_STATE);
  });

  it("repeats at the start of a segment what the log before it amounts to", () => {
    const disk = newDisk();
    const wal = createOn(disk, 400);
    saveNow(wal, entriesOf(1, 1, 4, 60), hardStateOf(1, 3));
    compactInline(wal, snapshotAt(3, 1), 3);
    saveNow(wal, entriesOf(1, 5, 4, 60));
    const tail = segments(disk).at(-1);
    const head = [...readWal(DIRECTORY, disk)].flatMap((item) =>
      item.kind === "record" && item.file === tail ? [item.content] : [],
    );
    assert.deepEqual(head.slice(0, 4), [
      { type: "batch" },
      { type: "metadata", metadata: METADATA },
      { type: "hardState", hardState: hardStateOf(1, 3) },
      {
        type: "compaction",
        marker: { snapshot: snapshotAt(3, 1), keepFrom: 3, previousTerm: 1, isReset: false },
      },
    ]);
  });

  it("names segments by sequence and by the index that comes next", () => {
    const disk = newDisk();
    const wal = createOn(disk, 400);
    for (let index = 1; index <= 12; index += 1) saveNow(wal, entriesOf(1, index, 1, 60));
    const names = segments(disk);
    assert.equal(names[0], "0000000000000000-0000000000000001.wal");
    const second = /^0000000000000001-([0-9a-f]{16})\.wal$/.exec(names[1] ?? "");
    const first = Number.parseInt(second?.[1] ?? "", 16);
    const records = [...readWal(DIRECTORY, disk)].filter(
      (item) => item.kind === "record" && item.file === names[1] && item.content.type === "entry",
    );
    const [record] = records;
    assert.ok(record?.kind === "record" && record.content.type === "entry");
    assert.equal(record.content.entry.index, first);
  });
});

describe("compact", () => {
  function filled(disk: SimulatedDisk, segmentBytes: number, last: number): Wal {
    const wal = createOn(disk, segmentBytes);
    for (let index = 1; index <= last; index += 1) {
      saveNow(wal, entriesOf(1, index, 1), hardStateOf(1, index - 1));
    }
    return wal;
  }

  it("starts the log at the reserve and knows the term before it", () => {
    const disk = newDisk();
    const wal = filled(disk, 600, 40);
    compactInline(wal, snapshotAt(35, 1), 30);
    assert.equal(wal.log.firstIndex(), 30);
    assert.equal(wal.log.term(29), 1);
    const before = describeLog(wal, snapshotAt(35, 1));
    closeInline(wal);
    const { wal: again, compaction } = openOn(disk, 600);
    assert.deepEqual(compaction, snapshotAt(35, 1));
    assert.equal(describeLog(again, compaction), before);
  });

  it("removes the segments nobody needs and no other", () => {
    const disk = newDisk();
    const wal = filled(disk, 600, 40);
    const all = segments(disk);
    compactInline(wal, snapshotAt(35, 1), 20);
    const left = segments(disk);
    assert.deepEqual(left, all.slice(-left.length));
    const firsts = left.map((name) => Number.parseInt(name.slice(17, 33), 16));
    assert.ok((firsts[0] ?? 0) <= 20);
    assert.ok((firsts[1] ?? 0) > 20);
    compactInline(wal, snapshotAt(40, 1), 41);
    assert.equal(segments(disk).length, 1);
    assert.equal(wal.log.lastIndex(), 40);
    closeInline(wal);
    assert.match(reopened(disk, 600), /^from 41 after term 1\nterm 1/);
  });

  it("goes on when entries below the start of the oldest segment were overwritten", () => {
    const disk = newDisk();
    const wal = filled(disk, 600, 30);
    const firsts = segments(disk).map((name) => Number.parseInt(name.slice(17, 33), 16));
    const third = firsts[2] ?? 0;
    // The overwriting entries reach back behind the start of a segment that stays.
    saveNow(wal, entriesOf(2, third - 2, 40, 10), hardStateOf(2, third - 3));
    saveNow(wal, [], hardStateOf(2, third + 30));
    compactInline(wal, snapshotAt(third + 30, 2), third + 20);
    const before = describeLog(wal, snapshotAt(third + 30, 2));
    closeInline(wal);
    assert.equal(reopened(disk, 600), before);
  });

  it("is a no-op at an index that is compacted already, and keeps no less than it has", () => {
    const disk = newDisk();
    const wal = filled(disk, 600, 30);
    compactInline(wal, snapshotAt(20, 1), 15);
    const operations = disk.operations;
    compactInline(wal, snapshotAt(20, 1), 21);
    compactInline(wal, snapshotAt(19, 1), 20);
    assert.equal(disk.operations, operations);
    assert.equal(wal.log.firstIndex(), 15);
    compactInline(wal, snapshotAt(22, 1), 3);
    assert.equal(wal.log.firstIndex(), 15);
  });

  it("refuses an index that the log does not reach, and a gap", () => {
    const disk = newDisk();
    assert.throws(() => {
      compactInline(filled(disk, 600, 5), snapshotAt(6, 1), 6);
    }, /beyond the last/);
    assert.throws(() => {
      compactInline(filled(newDisk(), 600, 5), snapshotAt(3, 1), 5);
    }, /leaves a gap/);
  });

  it("counts the bytes written since, also across a restart", () => {
    const disk = newDisk();
    const wal = filled(disk, 2000, 20);
    assert.ok(wal.bytesSinceCompaction > 20 * 40);
    compactInline(wal, snapshotAt(20, 1), 21);
    assert.equal(wal.bytesSinceCompaction, 0);
    saveNow(wal, entriesOf(1, 21, 3));
    const bytes = wal.bytesSinceCompaction;
    assert.ok(bytes > 3 * 40);
    closeInline(wal);
    const { wal: again } = openOn(disk, 2000);
    // The batch that marks the log as closed counts as well.
    assert.equal(again.bytesSinceCompaction, bytes + 41);
  });
});

describe("installSnapshot", () => {
  it("restarts the log behind the snapshot, whatever it held", () => {
    for (const index of [3, 10, 500]) {
      const disk = newDisk();
      const wal = createOn(disk, 600);
      saveNow(wal, entriesOf(1, 1, 10), hardStateOf(1, 2));
      installNow(wal, snapshotAt(index, 4), hardStateOf(5, index));
      assert.equal(wal.log.firstIndex(), index + 1);
      assert.equal(wal.log.lastIndex(), index);
      saveNow(wal, entriesOf(5, index + 1, 4), hardStateOf(5, index + 1));
      const before = describeLog(wal, snapshotAt(index, 4));
      closeInline(wal);
      assert.equal(reopened(disk, 600), before);
    }
  });

  it("raises the hard state to the snapshot when a crash loses the one that belongs to it", () => {
    const disk = newDisk();
    const wal = createOn(disk);
    saveNow(wal, entriesOf(1, 1, 10), hardStateOf(2, 5));
    installNow(wal, snapshotAt(50, 4));
    disk.restartAfterPowerLoss("none");
    const { hardState } = openOn(disk);
    assert.deepEqual(hardState, { term: 4, vote: "", commit: 50 });
  });

  it("keeps the vote when the snapshot's term is not newer", () => {
    const disk = newDisk();
    const wal = createOn(disk);
    saveNow(wal, entriesOf(1, 1, 10), hardStateOf(4, 5));
    installNow(wal, snapshotAt(50, 4));
    disk.restartAfterPowerLoss("none");
    assert.deepEqual(openOn(disk).hardState, { term: 4, vote: MEMBER, commit: 50 });
  });

  it("leaves a log that can be compacted, switched and reopened as usual", () => {
    const disk = newDisk();
    const wal = createOn(disk, 500);
    saveNow(wal, entriesOf(1, 1, 30));
    installNow(wal, snapshotAt(12, 1), hardStateOf(1, 12));
    for (let index = 13; index < 60; index += 1) saveNow(wal, entriesOf(2, index, 1));
    compactInline(wal, snapshotAt(50, 2), 45);
    const before = describeLog(wal, snapshotAt(50, 2));
    closeInline(wal);
    assert.equal(reopened(disk, 500), before);
  });
});

describe("close", () => {
  it("is idempotent, makes everything durable, and refuses what comes after", async () => {
    const disk = newDisk();
    const wal = createOn(disk);
    saveNow(wal, entriesOf(1, 1, 2), hardStateOf(1, 0), false);
    await Promise.all([wal.close(), wal.close()]);
    closeInline(wal);
    assert.equal(disk.openHandles, 0);
    assert.throws(() => wal.save(entriesOf(1, 3, 1), undefined, true), /the wal is closed/);
    disk.restartAfterPowerLoss("none");
    assert.equal(openOn(disk).wal.log.lastIndex(), 2);
  });

  it("writes nothing to a log that nothing was written to", () => {
    const disk = newDisk();
    closeInline(createOn(disk));
    const [name] = segments(disk);
    const path = `${DIRECTORY}/${name ?? ""}`;
    const before = disk.readFile(path);
    for (let round = 0; round < 3; round += 1) closeInline(openOn(disk).wal);
    assert.ok(disk.readFile(path).subarray(0, before.length).equals(before));
    assert.equal([...readWal(DIRECTORY, disk)].length, 3);
  });
});

describe("a failing disk", () => {
  it("is fatal at the first failed sync: nothing is retried, nothing works any more", () => {
    const disk = newDisk();
    const wal = createOn(disk);
    saveNow(wal, entriesOf(1, 1, 2));
    disk.fail({ on: "sync", code: "EIO", after: 0 });
    const first = errorOf(() => wal.save(entriesOf(1, 3, 1), undefined, true));
    assert.ok(first instanceof FatalError);
    assert.match(first.message, /writing to \/data\/wal failed: EIO/);
    const operations = disk.operations;
    for (const call of [
      () => wal.save(entriesOf(1, 3, 1), undefined, true),
      () => wal.save([], hardStateOf(1, 1), false),
      () => wal.installSnapshot(snapshotAt(9, 1)),
      () => {
        compactInline(wal, snapshotAt(2, 1), 1);
      },
    ]) {
      assert.equal(errorOf(call), first);
    }
    closeInline(wal);
    assert.equal(disk.operations, operations);
    assert.equal(disk.openHandles, 0);
  });

  it("does not lose after a restart what a failed sync had left in memory only", () => {
    const disk = newDisk();
    const wal = createOn(disk);
    saveNow(wal, entriesOf(1, 1, 2));
    disk.fail({ on: "sync", code: "EIO", after: 0 });
    assert.throws(() => wal.save(entriesOf(1, 3, 2), undefined, true), FatalError);
    // The process goes, the machine stays: the kernel shows the data but will not write it.
    disk.restartProcess();
    assert.equal(openOn(disk).wal.log.lastIndex(), 4);
    disk.restartAfterPowerLoss("none");
    assert.equal(openOn(disk).wal.log.lastIndex(), 4);
  });

  it("says so when there is no space left, and starts again when there is", () => {
    const disk = newDisk();
    const wal = createOn(disk);
    saveNow(wal, entriesOf(1, 1, 2));
    disk.capacityBytes = 4096;
    let saved = 2;
    const error = errorOf(() => {
      for (;;) {
        saveNow(wal, entriesOf(1, saved + 1, 1, 300));
        saved += 1;
      }
    });
    assert.ok(error instanceof FatalError);
    assert.match(error.message, /no space left for \/data\/wal: free some/);
    disk.restartProcess();
    // Not even a copy of the torn file fits, and yet the log opens.
    const { wal: again, repaired } = openOn(disk);
    assert.equal(again.log.lastIndex(), saved);
    assert.equal(repaired?.copy, undefined);
    assert.notEqual(repaired, undefined);
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    saveNow(again, entriesOf(1, saved + 1, 1, 300));
  });

  it("fails a segment switch as a whole", () => {
    for (const fault of ["sync", "rename", "open", "write"] as const) {
      for (const after of [0, 1, 2]) {
        const disk = newDisk();
        const wal = createOn(disk, 400);
        saveNow(wal, entriesOf(1, 1, 2, 150));
        disk.fail({ on: fault, code: "EIO", after });
        let error: unknown;
        try {
          saveNow(wal, entriesOf(1, 3, 2, 150));
        } catch (thrown) {
          error = thrown;
        }
        closeInline(wal);
        assert.equal(disk.openHandles, 0);
        disk.restartAfterPowerLoss("none");
        const { wal: again } = openOn(disk, 400);
        assert.equal(again.log.lastIndex(), error === undefined ? 4 : 2, `${fault} ${after}`);
      }
    }
  });
});

describe("on a slow disk", () => {
  function slow(): {
    disk: SimulatedDisk;
    wal: Promise<Wal>;
    syncs: number[];
    slowSyncs: number[];
  } {
    const disk = new SimulatedDisk({ random: seededRandom(1), syncMs: () => 20 });
    const syncs: number[] = [];
    const slowSyncs: number[] = [];
    const wal = Wal.create(DIRECTORY, {
      metadata: METADATA,
      fileSystem: disk,
      now: () => disk.nowMs,
      segmentBytes: 2000,
      slowSyncMs: 20,
      onSync: (seconds) => syncs.push(seconds),
      onSlowSync: (seconds) => slowSyncs.push(seconds),
    });
    return { disk, wal, syncs, slowSyncs };
  }

  it("moves syncs to the pool, keeps their order, and reports each", async () => {
    const { disk, wal: creating, syncs, slowSyncs } = slow();
    const wal = await creating;
    let index = 1;
    let done = wal.save(entriesOf(1, index, 1), undefined, true);
    while (done === undefined) {
      index += 1;
      assert.ok(index < 20, "the log stays on this thread");
      done = wal.save(entriesOf(1, index, 1), undefined, true);
    }
    await done;
    disk.holdsPool = true;
    const order: number[] = [];
    const saves = [1, 2, 3].map(async (at) => {
      await wal.save(entriesOf(1, index + at, 1), undefined, true);
      order.push(at);
      assert.equal(wal.log.lastIndex(), index + at);
    });
    const closing = wal.close();
    assert.deepEqual(order, []);
    assert.equal(wal.log.lastIndex(), index);
    while (order.length < 3) {
      disk.releasePool();
      await Promise.resolve();
    }
    disk.holdsPool = false;
    disk.releasePool();
    await Promise.all([...saves, closing]);
    assert.deepEqual(order, [1, 2, 3]);
    assert.ok(syncs.length >= index + 3);
    assert.ok(syncs.every((seconds) => seconds === 0.02));
    assert.equal(slowSyncs.length, syncs.length);
    assert.ok(wal.syncEstimateSeconds > 0.001);
    assert.equal(openOn(disk).wal.log.lastIndex(), index + 3);
  });

  it("switches segments, compacts and installs snapshots as on a fast one", async () => {
    const { disk, wal: creating } = slow();
    const wal = await creating;
    for (let index = 1; index <= 60; index += 1) {
      await wal.save(entriesOf(1, index, 1, 90), hardStateOf(1, index - 1), true);
    }
    const before = segments(disk).length;
    await wal.compact(snapshotAt(55, 1), 50);
    await wal.save(entriesOf(1, 61, 1), hardStateOf(1, 60), true);
    await wal.close();
    assert.ok(segments(disk).length < before - 2);
    const opened = await Wal.open(DIRECTORY, on(disk, 2000));
    assert.equal(opened.wal.log.firstIndex(), 50);
    assert.equal(opened.wal.log.lastIndex(), 61);
    await opened.wal.close();
  });

  it("rejects everything in line when a sync fails on the pool", async () => {
    const { disk, wal: creating } = slow();
    const wal = await creating;
    for (let index = 1; index <= 10; index += 1) {
      await wal.save(entriesOf(1, index, 1), undefined, true);
    }
    disk.fail({ on: "sync", code: "EIO", after: 0 });
    const results = await Promise.allSettled([
      wal.save(entriesOf(1, 11, 1), undefined, true),
      wal.save(entriesOf(1, 12, 1), undefined, true),
      wal.compact(snapshotAt(5, 1), 3),
    ]);
    assert.deepEqual(
      results.map((result) => result.status === "rejected" && result.reason instanceof FatalError),
      [true, true, true],
    );
    assert.equal(wal.log.lastIndex(), 10);
    await wal.close();
    assert.equal(disk.openHandles, 0);
  });

  it("fails everything after a segment that could not be removed", async () => {
    const { disk, wal: creating } = slow();
    const wal = await creating;
    for (let index = 1; index <= 60; index += 1) {
      await wal.save(entriesOf(1, index, 1, 90), undefined, true);
    }
    disk.fail({ on: "remove", code: "EIO", after: 0 });
    await wal.compact(snapshotAt(55, 1), 50);
    await wal.close();
    assert.throws(() => wal.save([], hardStateOf(1, 1), true), /EIO/);
  });
});
