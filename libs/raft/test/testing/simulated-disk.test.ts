/** The simulated disk loses what a real one may lose, and nothing else. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "@etcd2/test-support";
import { SimulatedCrash, SimulatedDisk } from "../../src/testing/simulated-disk.ts";
import type { PowerLoss } from "../../src/testing/simulated-file.ts";
import { newDisk } from "../wal/wal-harness.ts";

const PATH = "/d/file";

/** A disk with one durable file of `bytes` bytes of 1, open for writing. */
function withFile(bytes: number, seed = 1): { disk: SimulatedDisk; file: number } {
  const disk = newDisk(seed);
  disk.makeDirectory("/d");
  const file = disk.open(PATH, "create");
  disk.write(file, Buffer.alloc(bytes, 1), 0);
  disk.perform({ kind: "syncFile", file });
  disk.perform({ kind: "syncDirectory", path: "/d" });
  return { disk, file };
}

describe("a power cut", () => {
  it("keeps synced bytes under every loss, and of the others what the loss says", () => {
    const outcomes = new Map<PowerLoss, Set<string>>();
    for (const loss of ["none", "all", "prefix", "subset", "garbage"] as const) {
      const seen = new Set<string>();
      outcomes.set(loss, seen);
      for (let seed = 1; seed <= 60; seed += 1) {
        const { disk, file } = withFile(700, seed);
        disk.truncate(file, 4096);
        disk.perform({ kind: "syncFile", file });
        disk.write(file, Buffer.alloc(2000, 2), 700);
        disk.restartAfterPowerLoss(loss);
        const bytes = disk.readFile(PATH);
        assert.equal(bytes.length, 4096);
        assert.ok(
          bytes.subarray(0, 700).every((byte) => byte === 1),
          loss,
        );
        const sectors = [700, 1024, 1536, 2048, 2560].map((start) => bytes[start]);
        seen.add(sectors.map((byte) => (byte === 2 ? "x" : byte === 0 ? "." : "?")).join(""));
      }
    }
    assert.deepEqual([...(outcomes.get("none") ?? [])], ["....."]);
    assert.deepEqual([...(outcomes.get("all") ?? [])], ["xxxxx"]);
    const prefixes = [".....", "x....", "xx...", "xxx..", "xxxx.", "xxxxx"];
    assert.deepEqual([...(outcomes.get("prefix") ?? [])].sort(), prefixes);
    const subsets = [...(outcomes.get("subset") ?? [])];
    assert.ok(subsets.length > 20);
    assert.ok(subsets.some((sectors) => /\.x/.test(sectors)));
    assert.ok(!subsets.some((sectors) => sectors.includes("?")));
    assert.ok([...(outcomes.get("garbage") ?? [])].some((sectors) => sectors.includes("?")));
  });

  it("loses names that were not synced, and old names come back", () => {
    const { disk } = withFile(10);
    const other = disk.open("/d/new", "create");
    disk.write(other, Buffer.alloc(5, 3), 0);
    disk.perform({ kind: "syncFile", file: other });
    disk.rename(PATH, "/d/renamed");
    disk.perform({ kind: "remove", path: "/d/renamed" });
    assert.deepEqual(disk.readDirectory("/d"), ["new"]);
    const kept = disk.clone.bind(disk);
    assert.throws(() => kept(seededRandom(1)), /unsynced names/);
    disk.restartAfterPowerLoss("none");
    assert.deepEqual(disk.readDirectory("/d"), ["file"]);
    assert.throws(() => disk.read(other, Buffer.alloc(1), 0), { code: "EBADF" });
  });

  it("keeps a rename whose directory was synced", () => {
    const { disk } = withFile(10);
    disk.rename(PATH, "/d/renamed");
    disk.perform({ kind: "syncDirectory", path: "/d" });
    disk.restartAfterPowerLoss("none");
    assert.deepEqual(disk.readDirectory("/d"), ["renamed"]);
  });
});

describe("the simulated disk", () => {
  it("stops at the operation it is told to, and for good", () => {
    const { disk, file } = withFile(10);
    disk.crashAt(disk.operations + 2);
    disk.write(file, Buffer.alloc(10, 2), 0);
    assert.throws(() => {
      disk.perform({ kind: "syncData", file });
    }, SimulatedCrash);
    assert.throws(() => disk.readDirectory("/d"), SimulatedCrash);
    disk.restartAfterPowerLoss("none");
    assert.equal(disk.readFile(PATH)[0], 1);
  });

  it("shows what was written, though not synced, after the process alone was restarted", () => {
    const { disk, file } = withFile(10);
    disk.write(file, Buffer.alloc(10, 2), 0);
    disk.restartProcess();
    assert.equal(disk.readFile(PATH)[0], 2);
    disk.restartAfterPowerLoss("none");
    assert.equal(disk.readFile(PATH)[0], 1);
  });

  it("never writes what a failed sync has given up, whatever later syncs say", () => {
    const { disk, file } = withFile(10);
    disk.write(file, Buffer.alloc(10, 2), 0);
    disk.fail({ on: "sync", code: "EIO", after: 0 });
    assert.throws(
      () => {
        disk.perform({ kind: "syncData", file });
      },
      { code: "EIO" },
    );
    disk.perform({ kind: "syncData", file });
    assert.equal(disk.readFile(PATH)[0], 2);
    disk.restartAfterPowerLoss("all");
    assert.equal(disk.readFile(PATH)[0], 1);
  });

  it("writes what fits and then fails", () => {
    const { disk, file } = withFile(512);
    disk.capacityBytes = 1024;
    assert.throws(
      () => {
        disk.write(file, Buffer.alloc(2000, 2), 512);
      },
      { code: "ENOSPC" },
    );
    assert.equal(disk.size(file), 1024);
  });

  it("moves its clock by the length of syncs, and holds the pool's work when told", async () => {
    const disk = new SimulatedDisk({ random: seededRandom(1), syncMs: () => 7 });
    disk.makeDirectory("/d");
    const file = disk.open(PATH, "create");
    disk.holdsPool = true;
    let done = false;
    const sync = disk.performOnPool({ kind: "syncFile", file }).then(() => {
      done = true;
    });
    await Promise.resolve();
    assert.equal(done, false);
    assert.equal(disk.nowMs, 0);
    disk.releasePool();
    await sync;
    assert.equal(disk.nowMs, 7);
  });
});
