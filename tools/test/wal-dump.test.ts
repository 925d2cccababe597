/** The dump command on a log written here: its lines for commands, and its exit codes. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { create, toBinary } from "@bufbuild/protobuf";
import { Action, CommandSchema } from "@etcd2/proto/command";
import { Wal } from "@etcd2/raft/wal";

const TOOL = fileURLToPath(new URL("../wal-dump.ts", import.meta.url));
const base = mkdtempSync(join(tmpdir(), "wal-dump-"));
after(() => {
  rmSync(base, { recursive: true });
});

function run(...args: string[]): { status: number | null; lines: string[]; problem: string } {
  const flags = ["--conditions=etcd2-source", TOOL, ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, flags, { encoding: "utf8" });
  return { status, lines: stdout.split("\n").slice(0, -1), problem: stderr };
}

function command(fields: Parameters<typeof create<typeof CommandSchema>>[1]): Uint8Array {
  return toBinary(CommandSchema, create(CommandSchema, fields));
}

describe("wal-dump", () => {
  it("says what each command does, on one line whatever it holds", async () => {
    const directory = join(base, "good");
    const wal = await Wal.create(directory, { metadata: { memberId: "a1", clusterId: "c1" } });
    const data = [
      command({ action: Action.SET, path: Buffer.from("/1/a"), value: Buffer.from("x\ny") }),
      command({ action: Action.DELETE, path: Buffer.from("/1/d"), dir: true, recursive: true }),
      Buffer.from([0xff, 0xff]),
    ];
    const entries = data.map((bytes, at) => ({
      ...{ term: 2, index: at + 1, type: "normal" as const },
      data: bytes,
    }));
    await wal.save(entries, { term: 2, vote: "", commit: 3 }, true);
    await wal.close();
    const { status, lines } = run(directory);
    assert.equal(status, 0);
    const text = lines.map((line) => line.slice(line.indexOf("  ") + 2));
    assert.equal(text[0], "metadata member=a1 cluster=c1");
    assert.match(text[1] ?? "", /^entry term=2 index=1 normal \d+B {2}set "\/1\/a" = "x\\ny"$/);
    assert.match(text[2] ?? "", /^entry term=2 index=2 normal \d+B {2}delete "\/1\/d" dir recurs/);
    assert.match(text[3] ?? "", /^entry term=2 index=3 normal 2B {2}not a command: /);
    assert.match(lines.at(-1) ?? "", /^entries 1\.\.3, term 2, commit 3$/);
    assert.match(lines[1] ?? "", /^0000000000000000-0000000000000001\.wal:\d+ {2}/);
  });

  it("ends with 1 at damage, having said where and what", () => {
    const directory = join(base, "good");
    const [name = ""] = readdirSync(directory).filter((file) => file.endsWith(".wal"));
    const bytes = readFileSync(join(directory, name));
    bytes[200] = (bytes[200] ?? 0) ^ 1;
    writeFileSync(join(directory, name), bytes);
    const { status, lines } = run(directory);
    assert.equal(status, 1);
    assert.ok(lines.some((line) => /\.wal:\d+ {2}CORRUPTION, .*checksum of a record/.test(line)));
  });

  it("ends with 1 where there is no log and with 2 when called wrongly", () => {
    assert.deepEqual(run(base).lines, [`there is no log in ${base}`]);
    assert.equal(run(base).status, 1);
    assert.equal(run().status, 2);
    assert.match(run().problem, /^usage: wal-dump\.ts DIR/);
  });
});
