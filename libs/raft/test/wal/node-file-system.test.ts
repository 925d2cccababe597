/** The log on the file system of this machine: modes, sizes, locks between processes, speed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { FatalError } from "../../src/errors.ts";
import { lockDirectory } from "../../src/wal/lock.ts";
import { nodeFileSystem } from "../../src/wal/node-file-system.ts";
import { Wal } from "../../src/wal/wal.ts";
import { describeLog, entriesOf, hardStateOf, METADATA, snapshotAt } from "./wal-harness.ts";

const base = mkdtempSync(join(tmpdir(), "wal-test-"));
after(() => {
  rmSync(base, { recursive: true });
});
let directories = 0;

function newDirectory(): string {
  directories += 1;
  return join(base, `member-${directories}`, "wal");
}

const CHILD = fileURLToPath(new URL("lock-child.ts", import.meta.url));

interface Child {
  readonly process: ChildProcess;
  /** The first line it prints: "open PID", or why it could not. */
  readonly line: string;
}

async function startChild(...args: string[]): Promise<Child> {
  const flags = ["--conditions=etcd2-source", CHILD, ...args];
  const child = spawn(process.execPath, flags, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, "line")) as [string];
  return { process: child, line };
}

async function stopChild(child: Child, signal?: NodeJS.Signals): Promise<void> {
  if (child.process.exitCode !== null || child.process.signalCode !== null) return;
  const exit = once(child.process, "exit");
  if (signal === undefined) child.process.stdin?.end();
  else child.process.kill(signal);
  await exit;
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
    const sync = Wal.openSync(directory, options);
    assert.equal(describeLog(sync.wal, sync.compaction), before);
    sync.wal.closeSync();
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

describe("the lock", () => {
  it("keeps a second process out, names the first, and falls with it", async () => {
    const directory = newDirectory();
    const child = await startChild(directory, "--create");
    assert.equal(child.line, `open ${child.process.pid ?? 0}`);
    await assert.rejects(Wal.open(directory), (error: Error) => {
      assert.ok(error instanceof FatalError);
      assert.match(error.message, /^open wal error: file already locked: /);
      assert.ok(error.message.includes(directory));
      assert.ok(error.message.includes(`held by process ${child.process.pid ?? 0}`));
      return true;
    });
    await stopChild(child, "SIGKILL");
    const { wal } = await Wal.open(directory);
    const second = await startChild(directory);
    assert.match(second.line, new RegExp(`already locked: .* held by process ${process.pid};`));
    await stopChild(second);
    await wal.close();
    const third = await startChild(directory);
    assert.match(third.line, /^open \d+$/);
    await stopChild(third);
    const locks = readdirSync(directory).filter((name) => name.startsWith("lock-"));
    assert.equal(locks.length, 1);
  });

  it("of a dead process is taken over by exactly one of many", async () => {
    const directory = newDirectory();
    const dead = await startChild(directory, "--create");
    await stopChild(dead, "SIGKILL");
    const children = await Promise.all(Array.from({ length: 5 }, () => startChild(directory)));
    const winners = children.filter(({ line }) => /^open \d+$/.test(line));
    for (const { line } of children) assert.match(line, /^open \d+$|file already locked/);
    await Promise.all(children.map((child) => stopChild(child)));
    assert.equal(winners.length, 1);
  });

  it("of a process whose id was given to another is taken over", () => {
    const directory = newDirectory();
    nodeFileSystem.makeDirectory(directory);
    writeFileSync(join(directory, "lock-00000007"), `pid ${process.pid} start 12345\n`);
    const unlock = lockDirectory(directory);
    assert.deepEqual(readdirSync(directory), ["lock-00000008"]);
    assert.throws(() => lockDirectory(directory), /already locked/);
    unlock();
    unlock();
    lockDirectory(directory)();
    assert.deepEqual(readdirSync(directory), ["lock-00000009"]);
  });

  it("that names nobody is left to the operator", () => {
    const directory = newDirectory();
    nodeFileSystem.makeDirectory(directory);
    writeFileSync(join(directory, "lock-00000001"), "");
    assert.throws(() => lockDirectory(directory), /does not name its holder; remove it if no etcd/);
    // Older than this boot, a power loss took its content.
    utimesSync(join(directory, "lock-00000001"), 1e9, 1e9);
    lockDirectory(directory)();
  });

  it("can be released after its directory is gone", () => {
    const directory = newDirectory();
    nodeFileSystem.makeDirectory(directory);
    const unlock = lockDirectory(directory);
    rmSync(directory, { recursive: true });
    unlock();
  });
});
