/** The lines that the charts draw are those at which the alerts fire. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { thresholds } from "../src/state/thresholds.ts";

test("thresholds are those of the alert rules", () => {
  const file = join(import.meta.dirname, "../../../deploy/monitoring/alerts.yml");
  const rules = readFileSync(file, "utf8").split("- alert: ").slice(1);
  for (const { alert, value } of Object.values(thresholds)) {
    const rule = rules.find((text) => text.startsWith(`${alert}\n`)) ?? "";
    const [, limit] = /expr: .* > ([\d.]+)\n/.exec(rule) ?? [];
    assert.equal(Number(limit), value, alert);
  }
});
