/** What an import refuses, leaves behind and rescues, beyond reading the source rightly. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { ImportReport } from "../../src/import/run-import.ts";
import { runImport } from "../../src/import/run-import.ts";
import { confChange, OldWalWriter, request } from "../support/old-formats.ts";
import { TempDir } from "../support/temp-dir.ts";

const SELF = 0xa1n;
const MAIN = join(import.meta.dirname, "..", "..", "src", "main.ts");

/** A directory of 2.x at `path`, its member the last of these changes' business. */
function writeSource(path: string, changes: readonly Buffer[], values: readonly string[]): void {
  mkdirSync(join(path, "member", "snap"), { recursive: true });
  const wal = new OldWalWriter({ directory: join(path, "member", "wal"), memberId: SELF });
  const [first = Buffer.alloc(0), ...later] = changes;
  let index = 0;
  wal.entry(++index, 1, first, 1);
  for (const [i, value] of values.entries()) {
    wal.entry(++index, 1, request({ method: "PUT", path: `/1/k${i}`, value }));
  }
  for (const change of later) wal.entry(++index, 1, change, 1);
  wal.state(1, SELF, index);
  wal.close();
}

const joined = (id: bigint): Buffer =>
  confChange(0, id, { id: 0, peerURLs: [`http://127.0.0.1:${id}`] });

function importTo(dataDir: string, target: string): Promise<ImportReport> {
  return runImport({
    ...{ dataDir, target, dryRun: false, skipCorrupt: false },
    notice: () => undefined,
    progress: () => undefined,
  });
}

describe("an import", () => {
  it("of a member that was removed goes on under an id that is not barred", async () => {
    using dir = new TempDir();
    const changes = [joined(SELF), joined(0xb2n), confChange(1, SELF)];
    writeSource(dir.at("old"), changes, ["v"]);
    const { result, notices, store } = await importTo(dir.at("old"), dir.at("new"));
    assert.deepEqual(result.removedIds, ["00000000000000a1"]);
    assert.ok(!result.removedIds.includes(result.memberId));
    assert.match(result.memberId, /^[0-9a-f]{16}$/);
    assert.equal(store.keys, 1);
    const told = notices.find(({ code }) => code === "members");
    assert.match(told?.text ?? "", /^member 00000000000000a1 was removed from its cluster: /);
  });

  it("never writes into its source, by whatever path that is named", async () => {
    using dir = new TempDir();
    writeSource(dir.at("old"), [joined(SELF)], ["v"]);
    symlinkSync(dir.at("old"), dir.at("link"));
    for (const target of [
      dir.at("old", "member", "new"),
      dir.at("link", "new"),
      dir.at("old", "a", "b"),
    ]) {
      const inside = { code: "target", message: "lies inside the source, which is only read" };
      await assert.rejects(importTo(dir.at("old"), target), inside);
    }
    assert.deepEqual(readdirSync(dir.at("old")), ["member"]);
    await importTo(dir.at("old"), dir.at("older"));
    assert.deepEqual(readdirSync(dir.path).sort(), ["link", "old", "older"]);
  });

  it("removes what a killed run has left, and not what a running one is building", async () => {
    using dir = new TempDir();
    writeSource(dir.at("old"), [joined(SELF)], ["v"]);
    const ended = spawnSync(process.execPath, ["-e", ""]).pid;
    const running = `.new.tmp-${process.pid}-abcdef`;
    const others = [running, ".new.tmp-notes", ".newer.tmp-1-abcdef"];
    for (const name of [`.new.tmp-${ended}-abcdef`, ...others]) {
      mkdirSync(dir.at(name));
      writeFileSync(dir.at(name, "x"), "");
    }
    await importTo(dir.at("old"), dir.at("new"));
    assert.deepEqual(readdirSync(dir.path).sort(), [...others, "new", "old"].sort());
  });

  it("into a place that takes no more says so in one line and leaves nothing", () => {
    using dir = new TempDir();
    const values = Array.from({ length: 40 }, () => "v".repeat(10_000));
    writeSource(dir.at("old"), [joined(SELF)], values);
    for (const blocks of [0, 8]) {
      const limited = `ulimit -f ${blocks}; trap "" XFSZ; exec "$@"`;
      const program = [process.execPath, "--no-warnings", "--conditions=etcd2-source", MAIN];
      const flags = ["--data-dir", dir.at("old"), "--target", dir.at("new")];
      const { status, stderr } = spawnSync("sh", ["-c", limited, "sh", ...program, ...flags], {
        encoding: "utf8",
        env: { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" },
      });
      assert.equal(status, 1);
      assert.match(stderr, /^etcd-migrate: \S*\/new: cannot be written: [^\n]*File too large\n$/);
      assert.deepEqual(readdirSync(dir.path), ["old"]);
    }
  });
});
