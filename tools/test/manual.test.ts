/** The examples of the manual run as they stand, against real servers, and print what the pages say. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { examplesOf, runPage } from "../manual/examples.ts";

const docs = join(import.meta.dirname, "..", "..", "docs");
const pages = ["api", "guides"].flatMap((folder) =>
  readdirSync(join(docs, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name)),
);

for (const name of pages) {
  const page = readFileSync(join(docs, name), "utf8");
  if (examplesOf(page).length === 0) continue;
  test(`the examples of ${name} print what the page says`, { timeout: 300_000 }, async () => {
    assert.equal(await runPage(page), page);
  });
}

test("examples are found, and those marked as not run are left out", () => {
  const page = [
    ...["```console", "$ true", "```", "", "```sh", "false", "```", ""],
    ...["<!-- not run: it needs two machines -->", "", "```console", "$ false", "```", ""],
    ...["```ts", "console.log(1);", "// 1", "```", ""],
  ].join("\n");
  const found = examplesOf(page);
  assert.deepEqual(
    found.map(({ language, text }) => [language, text]),
    [
      ["console", "$ true\n"],
      ["ts", "console.log(1);\n// 1\n"],
    ],
  );
  for (const { text, offset } of found) assert.ok(page.startsWith(text, offset));
});
