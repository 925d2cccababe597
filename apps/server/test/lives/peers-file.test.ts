/** What is remembered of other members, on disk. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { PeersFile } from "../../src/lives/peers-file.ts";

const directory = mkdtempSync(join(tmpdir(), "etcd2-peers-"));
const warnings: string[] = [];
const open = (path = directory): PeersFile => new PeersFile(path, (text) => warnings.push(text));
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

  it("that cannot be written is a warning, once", () => {
    const file = open(join(directory, "missing"));
    file.write([["1", life]], true);
    file.write([["1", life]], true);
    assert.equal(warnings.splice(0).length, 1);
  });
});
