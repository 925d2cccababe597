import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import type { DetectedSource } from "../src/detect.ts";
import { detectSource } from "../src/detect.ts";
import { MigrateError } from "../src/errors.ts";
import type { Notice } from "../src/notices.ts";
import { TempDir } from "./support/temp-dir.ts";

function withFiles(dir: TempDir, ...files: readonly string[]): void {
  for (const file of files) {
    const path = dir.at(file);
    if (file.endsWith("/")) mkdirSync(path, { recursive: true });
    else {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, "x");
    }
  }
}

function detect(directory: string, walDir?: string): DetectedSource & { notices: Notice[] } {
  const notices: Notice[] = [];
  const source = detectSource(directory, { walDir, notice: (notice) => notices.push(notice) });
  return { ...source, notices };
}

const LOG = "0000000000000000-0000000000000000.wal";

describe("a data directory", () => {
  it("is recognised by its names", () => {
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ["etcd04", ["log", "conf", "snapshot/"]],
      ["etcd04", ["standby_info"]],
      ["etcd2 flat", [`wal/${LOG}`, "snap/"]],
      ["etcd2", [`member/wal/${LOG}`, "member/snap/"]],
      ["etcd2", [`member/wal/${LOG}`, "member/snap/db"]],
      ["own", ["member/wal/", "member/store/CURRENT"]],
    ];
    for (const [kind, files] of cases) {
      using dir = new TempDir();
      withFiles(dir, ...files);
      const source = detect(dir.path);
      const flat = source.kind === "etcd2" && source.isFlatLayout ? " flat" : "";
      assert.equal(source.kind + flat, kind);
    }
  });

  it("may be named by its member folder", () => {
    using dir = new TempDir();
    withFiles(dir, `member/wal/${LOG}`, "member/snap/");
    const source = detect(dir.at("member"));
    assert.ok(source.kind === "etcd2");
    assert.equal(source.isFlatLayout, false);
  });

  it("that was converted before is taken as the newer of the two, with a notice", () => {
    using dir = new TempDir();
    withFiles(dir, "log", "conf", "snapshot/", `wal/${LOG}`, "snap/");
    const source = detect(dir.path);
    assert.equal(source.kind, "etcd2");
    assert.equal(source.notices[0]?.code, "ignoredFile");
  });

  it("may have its log elsewhere", () => {
    using dir = new TempDir();
    withFiles(dir, "data/member/snap/db", `logs/${LOG}`);
    const source = detect(dir.at("data"), dir.at("logs"));
    assert.ok(source.kind === "etcd2");
    assert.equal(source.walDir, dir.at("logs"));
    assert.equal(source.v3Path, dir.at("data", "member", "snap", "db"));
  });

  it("that cannot be read is refused with a reason and a way out", () => {
    const cases: readonly (readonly [RegExp, readonly string[]])[] = [
      [/is empty/, []],
      [/is no data directory/, ["letter.txt"]],
      [/directory of a proxy.*take the directory of a member/, ["proxy/cluster"]],
      [/has snapshots but no log.*--wal-dir/, ["member/snap/"]],
      [/did you mean .*default\.etcd\?/, [`default.etcd/member/wal/${LOG}`]],
    ];
    for (const [text, files] of cases) {
      using dir = new TempDir();
      withFiles(dir, ...files);
      assert.throws(
        () => detect(dir.path),
        (error: unknown) => {
          assert.ok(error instanceof MigrateError);
          assert.equal(error.code, "unsupported");
          assert.match(error.describe(), text);
          return true;
        },
      );
    }
    using dir = new TempDir();
    assert.throws(() => detect(dir.at("nowhere")), /does not exist/);
    withFiles(dir, "file");
    assert.throws(() => detect(dir.at("file")), /is not a directory/);
    assert.throws(() => detect(dir.path, dir.at("nowhere")), /log directory does not exist/);
  });
});
