/** What is remembered of other members, on disk. */
import { createLogger } from "@etcd2/observability";
import assert from "node:assert/strict";
import fs, { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, mock } from "node:test";
import { PeersFile } from "../../src/lives/peers-file.ts";
import { StartError } from "../../src/base/start-error.ts";

const directory = mkdtempSync(join(tmpdir(), "etcd2-peers-"));
const warnings: string[] = [];
const open = (path = directory): PeersFile =>
  new PeersFile(
    path,
    createLogger((_level, text) => warnings.push(text)),
  );
const life = { incarnation: "a", starts: 3, session: "b", term: 4, index: 5 };

after(() => {
  rmSync(directory, { recursive: true });
});

describe("the memory of other members", () => {
  it("is nothing at first, and then what was written last", () => {
    assert.deepEqual(open().read(), []);
    open().write([["1", life]]);
    open().write([["1", { ...life, index: 6 }]]);
    assert.deepEqual(open().read(), [["1", { ...life, index: 6 }]]);
    assert.deepEqual(warnings, []);
  });

  it("is written off the thread, unless a later write comes between", async () => {
    const file = open();
    const at = (index: number): [string, typeof life][] => [["1", { ...life, index }]];
    assert.equal(await file.writeLater(at(7)), true);
    assert.deepEqual(open().read(), at(7));
    const late = file.writeLater(at(8));
    file.write(at(9));
    assert.equal(await late, false);
    assert.deepEqual(open().read(), at(9));
  });

  it("is synced before it takes the place of what was there", () => {
    const order: string[] = [];
    const sync = mock.method(fs, "fsyncSync", () => order.push("sync"));
    const rename = mock.method(fs, "renameSync", () => order.push("rename"));
    const write = mock.method(fs, "writeFileSync", (_: string, __: string, options: object) =>
      order.push(JSON.stringify(options)),
    );
    syncBuiltinESMExports();
    try {
      open().write([["1", life]]);
      assert.deepEqual(order.slice(0, 2), ['{"mode":384,"flush":true}', "rename"]);
      assert.ok(order.length > 2, "the directory is synced after it");
    } finally {
      for (const { mock } of [sync, rename, write]) mock.restore();
      syncBuiltinESMExports();
    }
  });

  it("of an earlier version, without a checksum, is taken", () => {
    writeFileSync(join(directory, "peers"), `${JSON.stringify({ "1": life })}\n`);
    assert.deepEqual(open().read(), [["1", life]]);
    assert.deepEqual(warnings, []);
  });

  it("is begun anew with a warning when any bit of it is wrong, or any byte is missing", () => {
    open().write([["1", life]]);
    const whole = readFileSync(join(directory, "peers"));
    const damaged = [...whole.keys()].flatMap((at) => {
      const flipped = Buffer.from(whole);
      flipped[at] = (whole[at] ?? 0) ^ (1 << (at % 7));
      // Cut behind the first line it is a file of an earlier version; the last line end says nothing.
      const cut = whole.subarray(0, at);
      const isOfEarlier = cut.toString().trimEnd() === whole.toString().split("\n")[0];
      const isLast = at === whole.length - 1;
      return [...(isLast ? [] : [flipped]), ...(isOfEarlier || isLast ? [] : [cut])];
    });
    for (const bytes of damaged) {
      writeFileSync(join(directory, "peers"), bytes);
      assert.deepEqual(open().read(), [], bytes.toString());
      assert.match(warnings.splice(0).join(), /damaged/);
    }
  });

  it("is begun anew with a warning when it is damaged", () => {
    writeFileSync(join(directory, "peers"), '{"1":{"incarnation":"a"}}');
    assert.deepEqual(open().read(), []);
    writeFileSync(join(directory, "peers"), "garbage");
    assert.deepEqual(open().read(), []);
    assert.match(warnings.splice(0).join(), /damaged/);
  });

  /** The rename that puts the file in place fails. */
  function withFailingRename(code: string, work: () => void): void {
    const rename = mock.method(fs, "renameSync", () => {
      throw Object.assign(new Error(code), { code });
    });
    syncBuiltinESMExports();
    try {
      work();
    } finally {
      rename.mock.restore();
      syncBuiltinESMExports();
    }
  }

  it("that a full disk does not take is a warning, once, and stays to be written", () => {
    const file = open();
    withFailingRename("ENOSPC", () => {
      assert.equal(file.write([["1", life]]), false);
      assert.equal(file.write([["1", life]]), false);
    });
    assert.equal(warnings.splice(0).length, 1);
    assert.equal(file.write([["1", life]]), true);
    assert.deepEqual(open().read(), [["1", life]]);
  });

  it("ends the member on a disk that fails, since it would forget who has forgotten", () => {
    for (const code of ["EIO", "EROFS", "EACCES"]) {
      withFailingRename(code, () => {
        assert.throws(() => open().write([["1", life]]), StartError);
      });
    }
    mkdirSync(join(directory, "other", "peers"), { recursive: true });
    assert.throws(() => open(join(directory, "other")).read(), /cannot read .*peers/);
    assert.deepEqual(warnings, []);
  });
});
