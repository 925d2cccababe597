/** The log on the file system of this machine: modes, sizes, speed. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { nodeFileSystem } from "../../../src/wal/files/node-file-system.ts";
import { Wal } from "../../../src/wal/wal.ts";
import { describeLog, entriesOf, hardStateOf, METADATA, snapshotAt } from "../wal-harness.ts";
import { closeInline, openInline } from "../../../src/testing/inline-wal.ts";

const base = mkdtempSync(join(tmpdir(), "wal-test-"));
after(() => {
  rmSync(base, { recursive: true });
});
let directories = 0;

function newDirectory(): string {
  directories += 1;
  return join(base, `member-${directories}`, "wal");
}

describe("on a real file system", () => {
  it("files are their owner's alone, and a new log takes next to no space", async () => {
    const directory = newDirectory();
    const wal = await Wal.create(directory, { metadata: METADATA });
    await wal.save(entriesOf(1, 1, 10), hardStateOf(1, 0), true);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    for (const name of readdirSync(directory)) {
      const { mode, blocks } = statSync(join(directory, name));
      assert.equal(mode & 0o777, 0o600, name);
      assert.ok(blocks * 512 <= 64 * 1024, `${name} takes ${blocks} blocks`);
    }
    await wal.close();
  });

  it("writes, switches, compacts and reopens", async () => {
    const directory = newDirectory();
    const options = { segmentBytes: 64 * 1024 };
    const wal = await Wal.create(directory, { metadata: METADATA, ...options });
    for (let index = 1; index <= 1000; index += 10) {
      await wal.save(entriesOf(1, index, 10, 300), hardStateOf(1, index - 1), true);
    }
    await wal.compact(snapshotAt(950, 1), 900);
    const before = describeLog(wal, snapshotAt(950, 1));
    await wal.close();
    assert.ok(readdirSync(directory).filter((name) => name.endsWith(".wal")).length <= 3);
    const { wal: again, compaction, repaired } = await Wal.open(directory, options);
    assert.equal(repaired, undefined);
    assert.equal(describeLog(again, compaction), before);
    await again.close();
    const sync = openInline(directory, options);
    assert.equal(describeLog(sync.wal, sync.compaction), before);
    closeInline(sync.wal);
  });

  it("cuts a torn tail and keeps a copy", async () => {
    const directory = newDirectory();
    const wal = await Wal.create(directory, { metadata: METADATA });
    await wal.save(entriesOf(1, 1, 3), undefined, true);
    await wal.close();
    const [name = ""] = readdirSync(directory).filter((file) => file.endsWith(".wal"));
    const path = join(directory, name);
    const bytes = readFileSync(path);
    const garbage = Buffer.from("not a batch");
    let end = bytes.length;
    while (bytes[end - 1] === 0) end -= 1;
    garbage.copy(bytes, end + 5);
    writeFileSync(path, bytes);
    const { wal: again, repaired } = await Wal.open(directory);
    assert.equal(again.log.lastIndex(), 3);
    assert.equal(repaired?.copy, `${path}.broken`);
    assert.ok(existsSync(`${path}.broken`));
    await again.close();
    const { wal: third, repaired: none } = await Wal.open(directory);
    assert.equal(none, undefined);
    await third.close();
  });

  it("makes directories that are there already, and lists those that are not", () => {
    const directory = newDirectory();
    nodeFileSystem.makeDirectory(directory);
    nodeFileSystem.makeDirectory(directory);
    assert.deepEqual(nodeFileSystem.readDirectory(join(directory, "nothing")), []);
    nodeFileSystem.perform({ kind: "remove", path: join(directory, "nothing") });
  });

  it("opens 20,000 entries of 300 bytes", async () => {
    const directory = newDirectory();
    const wal = await Wal.create(directory, { metadata: METADATA });
    for (let index = 1; index <= 20_000; index += 100) {
      await wal.save(entriesOf(1, index, 100, 300), hardStateOf(1, index - 1), false);
    }
    await wal.close();
    const { wal: again, repaired } = await Wal.open(directory);
    assert.equal(again.log.lastIndex(), 20_000);
    assert.equal(repaired, undefined);
    await again.close();
  });
});
