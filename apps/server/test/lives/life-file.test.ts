/** The record by which a data directory is known: starts, copies, full disks. */
import assert from "node:assert/strict";
import fs, {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it, mock } from "node:test";
import { LifeFile } from "../../src/lives/life-file.ts";
import { StartError } from "../../src/base/start-error.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-life-"));
const INCARNATION = "00000000000000aa";
let count = 0;
let directory: string;

beforeEach(() => {
  count += 1;
  directory = join(root, String(count));
  mkdirSync(directory);
});

after(() => {
  rmSync(root, { recursive: true });
});

describe("the life of a data directory", () => {
  it("keeps its incarnation and counts its starts, each with a session of its own", () => {
    const first = LifeFile.create(directory, { incarnation: INCARNATION, doubt: "none" });
    const second = LifeFile.open(directory, undefined);
    const third = LifeFile.open(directory, undefined);
    const lives = [first, second, third];
    assert.deepEqual(
      lives.map(({ incarnation, starts, doubt }) => [incarnation, starts, doubt]),
      [1, 2, 3].map((starts) => [INCARNATION, starts, "none"]),
    );
    assert.equal(new Set(lives.map(({ session }) => session)).size, 3);
  });

  it("is whole although a write took a part of it only", () => {
    const original = fs.writeSync.bind(fs) as (file: number, text: string) => number;
    const write = mock.method(fs, "writeSync", (file: number, text: string) =>
      original(file, text.slice(0, 100)),
    );
    syncBuiltinESMExports();
    try {
      LifeFile.create(directory, { incarnation: INCARNATION, doubt: "none" });
    } finally {
      write.mock.restore();
      syncBuiltinESMExports();
    }
    assert.equal(LifeFile.open(directory, undefined).incarnation, INCARNATION);
  });

  /** Calls of this kind fail with the code. */
  function withFailing(
    call: "openSync" | "renameSync" | "fsyncSync",
    code: string,
    work: () => void,
  ): void {
    const original = fs[call] as (...given: unknown[]) => unknown;
    const failing = mock.method(fs, call, (...given: unknown[]) => {
      // The file that is there can be written in place still.
      if (call === "openSync" && given[1] !== "w") return original(...given);
      throw Object.assign(new Error(code), { code });
    });
    syncBuiltinESMExports();
    try {
      work();
    } finally {
      failing.mock.restore();
      syncBuiltinESMExports();
    }
  }

  it("is written in place on a full disk: starts count, doubts settle, and nothing is left behind", () => {
    for (const code of ["ENOSPC", "EDQUOT"]) {
      for (const call of ["openSync", "renameSync"] as const) {
        const path = join(directory, "life");
        LifeFile.create(directory, { incarnation: INCARNATION, doubt: "founding" });
        withFailing(call, code, () => {
          const second = LifeFile.open(directory, undefined);
          assert.deepEqual([second.starts, second.doubt], [2, "founding"]);
          second.settle();
        });
        assert.deepEqual(readdirSync(directory), ["life"], `${call} ${code}`);
        assert.equal(statSync(path).size, 1024);
        const third = LifeFile.open(directory, undefined);
        assert.deepEqual([third.incarnation, third.starts, third.doubt], [INCARNATION, 3, "none"]);
      }
    }
  });

  it("is refused, and stays as it was, when the disk fails or has no room for a first one", () => {
    withFailing("openSync", "ENOSPC", () => {
      assert.throws(
        () => LifeFile.create(directory, { incarnation: INCARNATION, doubt: "founding" }),
        /cannot write .*life/,
      );
    });
    assert.deepEqual(readdirSync(directory), []);
    LifeFile.create(directory, { incarnation: INCARNATION, doubt: "founding" });
    const before = readFileSync(join(directory, "life"));
    for (const call of ["openSync", "renameSync", "fsyncSync"] as const) {
      withFailing(call, "EIO", () => {
        assert.throws(() => LifeFile.open(directory, undefined), /cannot write .*life/);
      });
      assert.deepEqual(readFileSync(join(directory, "life")), before, call);
    }
  });

  it("is in doubt until that is settled, over restarts", () => {
    LifeFile.create(directory, { incarnation: INCARNATION, doubt: "founding" });
    const second = LifeFile.open(directory, undefined);
    assert.equal(second.doubt, "founding");
    second.settle();
    assert.equal(LifeFile.open(directory, undefined).doubt, "none");
  });

  it("is in doubt in a copy, until that is settled", () => {
    LifeFile.create(directory, { incarnation: INCARNATION, doubt: "none" });
    const copy = `${directory}-copy`;
    cpSync(directory, copy, { recursive: true, preserveTimestamps: true });
    assert.equal(LifeFile.open(copy, undefined).doubt, "copy");
    const again = LifeFile.open(copy, undefined);
    assert.deepEqual([again.doubt, again.incarnation, again.starts], ["copy", INCARNATION, 3]);
    again.settle();
    assert.equal(LifeFile.open(copy, undefined).doubt, "none");
    assert.equal(LifeFile.open(directory, undefined).doubt, "none");
  });

  it("begins anew without the file, or as it was meant to when it could not be written", () => {
    const imported = LifeFile.open(directory, undefined);
    assert.equal(imported.doubt, "none");
    assert.match(imported.incarnation, /^[0-9a-f]{16}$/);
    rmSync(join(directory, "life"));
    assert.notEqual(LifeFile.open(directory, undefined).incarnation, imported.incarnation);
    rmSync(join(directory, "life"));
    const meant = LifeFile.open(directory, { incarnation: INCARNATION, doubt: "founding" });
    assert.deepEqual([meant.incarnation, meant.doubt], [INCARNATION, "founding"]);
  });

  it("ends when it is condemned: every start is refused with the reason", () => {
    LifeFile.create(directory, { incarnation: INCARNATION, doubt: "none" }).condemn(
      "two histories",
    );
    for (let start = 0; start < 2; start++) {
      assert.throws(() => LifeFile.open(directory, undefined), new StartError("two histories"));
    }
  });

  it("is not made up when the file is damaged", () => {
    for (const text of ["", "{}", "garbage", '{"incarnation":"00000000000000aa","starts":-1}']) {
      writeFileSync(join(directory, "life"), text);
      assert.throws(() => LifeFile.open(directory, undefined), /life is damaged/);
      assert.equal(readFileSync(join(directory, "life"), "utf8"), text);
    }
  });
});
