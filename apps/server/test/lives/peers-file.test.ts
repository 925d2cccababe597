/** What is remembered of other members, on disk. */
import { createLogger } from "@etcd2/observability";
import assert from "node:assert/strict";
import fs, { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
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
    open().write([["1", life]], true);
    open().write([["1", { ...life, index: 6 }]], false);
    assert.deepEqual(open().read(), [["1", { ...life, index: 6 }]]);
    assert.deepEqual(warnings, []);
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
      assert.equal(file.write([["1", life]], true), false);
      assert.equal(file.write([["1", life]], true), false);
    });
    assert.equal(warnings.splice(0).length, 1);
    assert.equal(file.write([["1", life]], true), true);
    assert.deepEqual(open().read(), [["1", life]]);
  });

  it("ends the member on a disk that fails, since it would forget who has forgotten", () => {
    for (const code of ["EIO", "EROFS", "EACCES"]) {
      withFailingRename(code, () => {
        assert.throws(() => open().write([["1", life]], true), StartError);
      });
    }
    mkdirSync(join(directory, "other", "peers"), { recursive: true });
    assert.throws(() => open(join(directory, "other")).read(), /cannot read .*peers/);
    assert.deepEqual(warnings, []);
  });
});
