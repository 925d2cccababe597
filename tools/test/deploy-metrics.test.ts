/** The dashboards, alerts and their tests under deploy/ read only metrics that are served. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..", "..");

/** Every served name, with the three series of each histogram. */
function servedNames(): Set<string> {
  const names = new Set(["up"]);
  const page = readFileSync(join(root, "docs", "metrics.md"), "utf8");
  for (const [, name = "", type] of page.matchAll(/^\| `(\w+)` +\| (\w+)/gm)) {
    const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
    for (const suffix of suffixes) names.add(name + suffix);
  }
  return names;
}

test("every metric named under deploy/ is in docs/metrics.md", () => {
  const served = servedNames();
  assert.ok(served.size > 100, "the tables of docs/metrics.md were read");
  const folder = join(root, "deploy");
  const unknown: string[] = [];
  let count = 0;
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!/monitoring.*\.(ya?ml|json)$/.test(file)) continue;
    const text = readFileSync(join(folder, file), "utf8");
    const pattern =
      /\b(?:etcd2?_(?:server|network|disk|mvcc|debugging|http|cluster|snap|store|wal|raft|proposal|client|watch|peer|access|alarm|snapshot|scrape|build)\w*|(?:process|nodejs|grpc|os_fd)_\w+)/g;
    for (const [name] of text.matchAll(pattern)) {
      count += 1;
      if (!served.has(name)) unknown.push(`${file}: ${name}`);
    }
  }
  assert.ok(count > 50, "the files under deploy/ were read");
  assert.deepEqual(unknown, []);
});
