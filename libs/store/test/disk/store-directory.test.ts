import assert from "node:assert/strict";
import fs, { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, mock, test } from "node:test";
import { StoreDirectory } from "../../src/disk/store-directory.ts";

const root = mkdtempSync(join(tmpdir(), "store-directory-"));
after(() => {
  rmSync(root, { recursive: true });
});

test("names nothing at first, then the generation switched to, also when opened again", () => {
  const path = join(root, "a");
  const directory = new StoreDirectory(path);
  assert.equal(directory.current(), undefined);
  const first = directory.next();
  assert.equal(directory.current(), undefined, "a generation counts when it is switched to");
  writeFileSync(join(first, "data"), "x");
  directory.switchTo(first);
  assert.equal(new StoreDirectory(path).current(), first);
});

test("an unfinished generation is replaced, the one in use stays until it is not", () => {
  const directory = new StoreDirectory(join(root, "b"));
  const first = directory.next();
  directory.switchTo(first);
  const unfinished = directory.next();
  mkdirSync(join(unfinished, "folder"));
  const second = directory.next();
  assert.equal(existsSync(unfinished), false);
  assert.ok(existsSync(first));
  assert.ok(basename(second) > basename(first));
  directory.switchTo(second);
  assert.equal(directory.current(), second);
  directory.removeOthers();
  assert.deepEqual([existsSync(first), existsSync(second)], [false, true]);
});

/** A call into the file system that fails, as the programs here see it. */
const calls = [
  { name: "readdirSync", what: "listing" },
  { name: "openSync", what: "opening" },
  { name: "fsyncSync", what: "syncing" },
  { name: "writeFileSync", what: "writing" },
  { name: "renameSync", what: "renaming" },
] as const;

/** Lets the call of this number fail; undefined counts only. @returns The calls there were. */
function withFailure(
  name: (typeof calls)[number]["name"],
  failing: number | undefined,
  code: string,
  work: () => void,
): number {
  const original = fs[name] as (...args: unknown[]) => unknown;
  let count = 0;
  const replaced = mock.method(fs, name, (...args: unknown[]) => {
    count += 1;
    if (count === failing) throw Object.assign(new Error(code), { code });
    return original(...args);
  });
  syncBuiltinESMExports();
  try {
    work();
  } finally {
    replaced.mock.restore();
    syncBuiltinESMExports();
  }
  return count;
}

for (const { name, what } of calls) {
  test(`${what} fails once in a switch: one complete state is named, and the next switch works`, () => {
    for (const code of ["ENOSPC", "EIO", "EROFS"]) {
      for (let failing = 1; ; failing += 1) {
        const path = mkdtempSync(join(root, "single-"));
        const directory = new StoreDirectory(path);
        const first = directory.next();
        writeFileSync(join(first, "data"), "first");
        directory.switchTo(first);
        const second = directory.next();
        writeFileSync(join(second, "data"), "second");
        let count = 0;
        let thrown: unknown;
        const attempt = (): void => {
          directory.switchTo(second);
        };
        try {
          count = withFailure(name, failing, code, attempt);
        } catch (error) {
          thrown = error;
        }
        const named = new StoreDirectory(path).current() ?? "";
        assert.equal(directory.current(), named, "the object and the disk agree");
        assert.ok(existsSync(join(named, "data")));
        if (thrown === undefined) {
          assert.equal(named, second);
          assert.ok(count < failing && count > 0, `${name} was called ${count} times`);
          break;
        }
        assert.equal((thrown as NodeJS.ErrnoException).code, code);
        directory.removeOthers();
        assert.ok(existsSync(join(named, "data")), "the one named is never removed");
        const third = directory.next();
        directory.switchTo(third);
        assert.equal(new StoreDirectory(path).current(), third);
      }
    }
  });
}
