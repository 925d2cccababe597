/** When the disk is found to be low, and when no longer. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { until } from "@etcd2/test-support";
import { DiskWatch } from "../../src/system/disk.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-disk-"));
after(() => {
  rmSync(root, { recursive: true });
});

describe("the disk watch", () => {
  const mib = 1024 ** 2;
  const watch = (reserveBytes: number, paths = ["/data"]) => {
    const spaces = new Map<string, { freeBytes: number; totalBytes: number }>();
    const said: string[] = [];
    const made = new DiskWatch({
      paths,
      reserveBytes,
      measure: (path) => {
        const space = spaces.get(path);
        return space === undefined ? Promise.reject(new Error("gone")) : Promise.resolve(space);
      },
      onChange: (state, message) => said.push(`${state}: ${message}`),
    });
    const look = async (freeBytes: number, path = "/data", totalBytes = 10_000 * mib) => {
      spaces.set(path, { freeBytes, totalBytes });
      await made.look();
      return made.state;
    };
    return { made, look, said, spaces };
  };

  it("is low below the reserve, and ok again only well above it", async () => {
    const { look, said } = watch(100 * mib);
    assert.equal(await look(100 * mib), "ok");
    assert.equal(await look(100 * mib - 1), "low");
    assert.equal(await look(100 * mib), "low");
    assert.equal(await look(124 * mib), "low");
    assert.equal(await look(125 * mib), "ok");
    assert.equal(await look(110 * mib), "ok");
    assert.deepEqual(said, [
      "low: disk space is low, writes are refused until there is more (99 MiB free, reserve 100 MiB)",
      "ok: disk space is sufficient again, writes are accepted (125 MiB free, reserve 100 MiB)",
    ]);
  });

  it("takes at most a tenth of a small disk for the reserve", async () => {
    const { made, look } = watch(100 * mib);
    assert.equal(await look(15 * mib, "/data", 100 * mib), "ok");
    assert.equal(made.reserveBytes, 10 * mib);
    assert.equal(await look(9 * mib, "/data", 100 * mib), "low");
  });

  it("looks at every file system, and keeps its state while one cannot be asked", async () => {
    const { made, look, spaces } = watch(100 * mib, ["/data", "/wal"]);
    await look(500 * mib, "/data");
    assert.equal(await look(50 * mib, "/wal"), "low");
    assert.equal(made.freeBytes, 50 * mib);
    spaces.clear();
    await made.look();
    assert.equal(made.state, "low");
  });

  it("is never low without a reserve", async () => {
    const { look } = watch(0);
    assert.equal(await look(0), "ok");
  });

  it("goes on looking by itself until it is closed", async () => {
    let looks = 0;
    const made = new DiskWatch({
      paths: [root],
      reserveBytes: 1,
      measure: () => {
        looks++;
        return Promise.resolve({ freeBytes: 10, totalBytes: 1000 });
      },
      onChange: () => undefined,
    });
    await made.start();
    await until("it looks again", () => looks >= 3);
    made.close();
    made.close();
  });

  it("measures real file systems", async () => {
    const made = new DiskWatch({ paths: [root], reserveBytes: 1, onChange: () => undefined });
    await made.look();
    const { freeBytes } = made;
    assert.ok(freeBytes > 0 && freeBytes < Number.POSITIVE_INFINITY);
  });
});
