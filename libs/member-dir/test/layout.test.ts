/** What the names in a data directory tell. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { foreignVersion, hasStore, layoutOf, namesIn } from "../src/layout.ts";

const folder = mkdtempSync(join(tmpdir(), "etcd2-layout-"));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

function directoryWith(...files: readonly string[]): string {
  const directory = mkdtempSync(join(folder, "d-"));
  for (const file of files) {
    const path = join(directory, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, "");
  }
  return directory;
}

const cases: readonly (readonly [string | undefined, readonly string[]])[] = [
  [undefined, []],
  [undefined, ["member/store/CURRENT", "member/wal/0.wal"]],
  [undefined, ["member/store/CURRENT", "member/snap/db", "log", "conf"]],
  [undefined, ["member/wal/lost+found"]],
  ["etcd 2.x or 3.x", ["member/snap/db"]],
  ["etcd 2.x or 3.x", ["member/wal/0000000000000000-0000000000000000.wal"]],
  ["etcd 2.0", ["snap/a", "wal/b"]],
  ["etcd 0.4", ["log", "conf"]],
  ["etcd 0.4", ["standby_info"]],
];
for (const [version, files] of cases) {
  test(`${files.join(" and ") || "nothing"}: ${version ?? "not of another etcd"}`, () => {
    const layout = layoutOf(directoryWith(...files), undefined);
    assert.equal(foreignVersion(layout), version);
    assert.equal(hasStore(layout), files.includes("member/store/CURRENT"));
  });
}

test("the log may lie elsewhere, and what does not exist has no names", () => {
  assert.equal(layoutOf("/d", "/w").walDir, "/w");
  assert.equal(layoutOf("/d", undefined).walDir, "/d/member/wal");
  assert.deepEqual(namesIn(join(folder, "absent")), []);
});
