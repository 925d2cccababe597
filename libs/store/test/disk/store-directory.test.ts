import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, test } from "node:test";
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
