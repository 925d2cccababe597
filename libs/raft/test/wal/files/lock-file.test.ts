/** Locks of single files: what failures of the file system look like, and files that are replaced. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { LockError, lockFile } from "../../../src/wal/files/lock-file.ts";
import type { LockFailure, TakeLock } from "../../../src/wal/files/lock-file.ts";

const base = mkdtempSync(join(tmpdir(), "lock-file-test-"));
after(() => {
  rmSync(base, { recursive: true });
});

let directories = 0;
let path = "";
let directory = "";

beforeEach(() => {
  directories += 1;
  directory = join(base, String(directories));
  mkdirSync(directory);
  path = join(directory, "lock");
});

/** As node:sqlite reports SQLite's result codes. */
function sqliteError(errcode: number): Error {
  return Object.assign(new Error("from sqlite"), { code: "ERR_SQLITE_ERROR", errcode });
}

const failing =
  (errcode: number): TakeLock =>
  () => {
    throw sqliteError(errcode);
  };

function refusal(take?: TakeLock): { readonly failure: LockFailure; readonly message: string } {
  try {
    lockFile(path, "exclusive", take);
  } catch (error) {
    assert.ok(error instanceof LockError);
    return error;
  }
  return assert.fail("it was locked");
}

describe("a file lock", () => {
  it("is held when others can be locked beside it", () => {
    const take: TakeLock = (file) => {
      if (file === path) throw sqliteError(5);
      return () => undefined;
    };
    assert.equal(refusal(take).failure, "held");
    assert.deepEqual(readdirSync(directory), ["lock"]);
  });

  it("is impossible where no file can be locked: ENOLCK looks like a held lock", () => {
    const { failure, message } = refusal(failing(5));
    assert.equal(failure, "unsupported");
    assert.match(message, /the file system of .*lock cannot lock files/);
    assert.deepEqual(readdirSync(directory), ["lock"]);
  });

  it("is impossible where locking is an I/O error", () => {
    assert.equal(refusal(failing(10 | (15 << 8))).failure, "unsupported");
  });

  it("is not taken on a file that holds something, and leaves it alone", () => {
    writeFileSync(path, "somebody's data ".repeat(100));
    const { failure, message } = refusal();
    assert.equal(failure, "inaccessible");
    assert.match(message, /should be an empty lock file and is not/);
  });

  it("says what is wrong with a path that is too long", () => {
    path = join(directory, "x".repeat(200), "x".repeat(200), "x".repeat(200), "lock");
    mkdirSync(join(path, ".."), { recursive: true });
    const { failure, message } = refusal();
    assert.equal(failure, "inaccessible");
    assert.match(message, /its path has \d+ bytes, at most 511 are possible/);
  });

  it("names a directory that is missing", () => {
    path = join(directory, "none", "lock");
    assert.match(refusal().message, /^no such file or directory, open '.*none\/lock'$/);
  });

  it("on a file that was removed in that moment is taken again on the new one", () => {
    const taken: string[] = [];
    const take: TakeLock = (file) => {
      taken.push(file);
      // The holder before us took its file away while we waited for the disk.
      if (taken.length === 1) {
        writeFileSync(join(directory, "keeps-the-inode"), "");
        rmSync(file);
      }
      return () => taken.push("released");
    };
    assert.notEqual(lockFile(path, "exclusive", take), undefined);
    assert.deepEqual(taken, [path, "released", path]);
    assert.ok(existsSync(path));
  });

  it("gives up on a file that is replaced for ever", () => {
    const take: TakeLock = (file) => {
      rmSync(file);
      return () => undefined;
    };
    assert.match(refusal(take).message, /is replaced again and again/);
  });
});
