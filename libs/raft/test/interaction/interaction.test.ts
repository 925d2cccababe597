/** Every script in testdata shows what it says. `REWRITE=1` stores what is observed instead. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import test from "node:test";
import { rerun } from "./run.ts";

const FOLDER = new URL("../../testdata/", import.meta.url);
const NAMES = readdirSync(FOLDER).filter((name) => name.endsWith(".txt"));

test("there are scripts to run", () => {
  assert.ok(NAMES.length >= 12, `${NAMES.length} scripts`);
});

for (const name of NAMES) {
  test(`script ${name} shows what it says`, () => {
    const file = new URL(name, FOLDER);
    const expected = readFileSync(file, "utf8");
    const observed = rerun(expected);
    if (process.env["REWRITE"] === "1") writeFileSync(file, observed);
    else assert.equal(observed, expected);
  });
}
