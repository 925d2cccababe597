/** Locks of directories between real processes, in other process-id namespaces too. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { FatalError } from "../../../src/core/model/errors.ts";
import { LOCK_NAME, lockDirectory, lockDirectoryForReading } from "../../../src/wal/files/lock.ts";
import { Wal } from "../../../src/wal/wal.ts";
import { METADATA } from "../wal-harness.ts";

const base = mkdtempSync(join(tmpdir(), "lock-test-"));
after(() => {
  rmSync(base, { recursive: true });
});
let directories = 0;

function newDirectory(): string {
  directories += 1;
  const path = join(base, `member-${directories}`, "wal");
  mkdirSync(path, { recursive: true });
  return path;
}

const CHILD = fileURLToPath(new URL("lock-child.ts", import.meta.url));

interface Child {
  readonly process: ChildProcess;
  /** The first line it prints: "open PID", or why it could not. */
  readonly line: string;
}

async function start(words: readonly string[]): Promise<Child> {
  const [program = "", ...rest] = words;
  const child = spawn(program, rest, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, "line")) as [string];
  return { process: child, line };
}

const program = [process.execPath, "--conditions=etcd2-source", CHILD];

const startChild = (...args: string[]): Promise<Child> => start([...program, ...args]);

async function stopChild(child: Child, signal?: NodeJS.Signals): Promise<void> {
  if (child.process.exitCode !== null || child.process.signalCode !== null) return;
  const exit = once(child.process, "exit");
  if (signal === undefined) child.process.stdin?.end();
  else child.process.kill(signal);
  await exit;
}

const NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

function namespaceRefusal(): string | false {
  const [unshare = "", ...flags] = NAMESPACE;
  const { status, error } = spawnSync(unshare, [...flags, "true"]);
  return status === 0
    ? false
    : `unshare --pid is not possible here (${error?.message ?? "refused"})`;
}

/** The locks the system knows on a file. */
function locksOn(path: string): number {
  const { ino } = statSync(path);
  return readFileSync("/proc/locks", "latin1")
    .split("\n")
    .filter((line) => line.includes(`:${ino} `)).length;
}

const isLinux = existsSync("/proc/locks");

describe("the lock of a directory", () => {
  it("keeps a second process out, names the first, and falls with it", async () => {
    const directory = newDirectory();
    const child = await startChild(directory, "--create");
    assert.equal(child.line, `open ${child.process.pid ?? 0}`);
    await assert.rejects(Wal.open(directory), (error: Error) => {
      assert.ok(error instanceof FatalError);
      assert.match(error.message, /^open wal error: file already locked: /);
      assert.ok(error.message.includes(directory));
      if (isLinux) assert.ok(error.message.includes(`held by process ${child.process.pid ?? 0}`));
      return true;
    });
    await stopChild(child, "SIGKILL");
    const { wal } = await Wal.open(directory);
    const second = await startChild(directory);
    assert.match(second.line, /already locked: .* is held by /);
    await stopChild(second);
    await wal.close();
    const third = await startChild(directory);
    assert.match(third.line, /^open \d+$/);
    await stopChild(third);
    assert.equal(statSync(join(directory, LOCK_NAME)).size, 0);
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

  it("is one for all process-id namespaces", { skip: namespaceRefusal() }, async () => {
    const directory = newDirectory();
    const inside = await start([...NAMESPACE, ...program, directory, "--create"]);
    assert.match(inside.line, /^open \d+$/);
    const outside = await startChild(directory);
    assert.match(outside.line, /file already locked/);
    const other = await start([...NAMESPACE, ...program, directory]);
    assert.match(other.line, /file already locked: .* of another container or machine/);
    await Promise.all([outside, other].map((child) => stopChild(child)));
    await stopChild(inside, "SIGKILL");
  });

  it("outlives the log being read and listed in the same process", { skip: !isLinux }, async () => {
    const directory = newDirectory();
    const wal = await Wal.create(directory, { metadata: METADATA });
    assert.equal(locksOn(join(directory, LOCK_NAME)), 1);
    assert.throws(() => lockDirectory(directory), /held by this very process/);
    assert.throws(() => lockDirectoryForReading(directory), /held by this very process/);
    assert.equal(locksOn(join(directory, LOCK_NAME)), 1);
    assert.deepEqual(
      readdirSync(directory).filter((name) => !name.endsWith(".wal")),
      [LOCK_NAME],
    );
    await wal.close();
    assert.equal(locksOn(join(directory, LOCK_NAME)), 0);
  });

  it("can be released twice, and after its directory is gone", () => {
    const directory = newDirectory();
    const unlock = lockDirectory(directory);
    rmSync(directory, { recursive: true });
    unlock();
    unlock();
  });
});

describe("the lock of readers", () => {
  it("is shared among them, keeps a server out, and is refused while one runs", () => {
    const directory = newDirectory();
    lockDirectory(directory)();
    const one = lockDirectoryForReading(directory);
    const two = lockDirectoryForReading(directory);
    assert.throws(() => lockDirectory(directory), /already locked/);
    one();
    assert.throws(() => lockDirectory(directory), /already locked/);
    two();
    const unlock = lockDirectory(directory);
    assert.throws(() => lockDirectoryForReading(directory), /already locked/);
    unlock();
  });

  it("leaves a directory as it is that was never locked", () => {
    const directory = newDirectory();
    lockDirectoryForReading(directory)();
    assert.deepEqual(readdirSync(directory), []);
  });
});

describe("the process-id locks of earlier versions", () => {
  function withOldLock(content: string): string {
    const directory = newDirectory();
    writeFileSync(join(directory, "lock-00000007"), content);
    writeFileSync(join(directory, "lock-00000008.12-3.tmp"), "");
    return directory;
  }

  for (const [what, content] of [
    ["of a process whose id was given to another", `pid ${process.ppid} start 12345\n`],
    ["of a process that ended", "pid 4194304 start 12345\n"],
    ["that was released", "released\n"],
    ["that lost its content", ""],
  ] as const) {
    it(`are removed: one ${what}`, () => {
      const directory = withOldLock(content);
      lockDirectory(directory)();
      assert.deepEqual(readdirSync(directory), [LOCK_NAME]);
    });
  }

  it("are respected while their process lives", { skip: !isLinux }, async () => {
    const other = spawn(process.execPath, ["-e", "process.stdin.resume()"], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    const stat = readFileSync(`/proc/${other.pid ?? 0}/stat`, "latin1");
    const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
    const content = `pid ${other.pid ?? 0} start ${startTime}\n`;
    const directory = withOldLock(content);
    assert.throws(
      () => lockDirectory(directory),
      new RegExp(`lock-00000007 is held by process ${other.pid ?? 0};`),
    );
    const exit = once(other, "exit");
    other.stdin.end();
    await exit;
    lockDirectory(directory)();
  });
});
