/** docs/metrics.md lists what the catalogue of metrics has: names, types, labels and meanings. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FAMILIES, SECTIONS } from "@etcd2/observability";
import { withMetricTables } from "../metrics-tables.ts";

const page = readFileSync(join(import.meta.dirname, "..", "..", "docs", "metrics.md"), "utf8");

test("the tables of docs/metrics.md are those of the catalogue (npm run metrics:docs)", async () => {
  assert.equal(await withMetricTables(page), page);
});

test("every family of the catalogue has its place in a section", () => {
  const listed = Object.values(SECTIONS).flatMap((section) => Object.keys(section));
  assert.deepEqual(listed.toSorted(), FAMILIES.map(([name]) => name).toSorted());
});

test("a row that says something else is put right, and rows of other families stay", async () => {
  const changed = page.replace("Changes of leader seen.", "Something else.");
  assert.notEqual(changed, page);
  assert.equal(await withMetricTables(changed), page);
  assert.ok(page.includes("`process_cpu_seconds_total`"));
});
