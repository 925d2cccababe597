/**
 * `npm run metrics:docs`: writes the tables of docs/metrics.md from the catalogue of @etcd2/observability.
 * Rows of families that are not in it, prom-client's, stay as they are; so does all text around.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CATALOGUE, SECTIONS, type MetricSpec } from "@etcd2/observability";
import { format, resolveConfig } from "prettier";

const SPECS: Readonly<Record<string, MetricSpec>> = CATALOGUE;
const PAGE = join(import.meta.dirname, "..", "docs", "metrics.md");
const HEAD = ["| name | type | labels | meaning |", "| --- | --- | --- | --- |"];

/** The labels of a family's series, in the order in which they are served. */
function labelsOf(spec: MetricSpec): readonly string[] {
  const { labels = [] } = SPECS[spec.of ?? ""] ?? spec;
  const sample = { labels: Object.fromEntries(labels.map((name) => [name, "?"])), value: 1 };
  const shown = spec.shown?.([sample])[0] ?? sample;
  const names = Object.keys(shown.labels);
  return (spec.type === "summary" ? [...names, "quantile"] : names).toSorted();
}

function rowOf([name, spec]: readonly [string, MetricSpec]): string {
  return `| \`${name}\` | ${spec.type} | ${labelsOf(spec).join(", ")} | ${spec.help} |`;
}

function tableOf(title: string, existing: readonly string[]): readonly string[] {
  const foreign = existing
    .slice(HEAD.length)
    .filter((row) => SPECS[/^\| `(\w+)`/.exec(row)?.[1] ?? ""] === undefined);
  return [...HEAD, ...foreign, ...Object.entries(SECTIONS[title] ?? {}).map(rowOf)];
}

/** The page with the tables the catalogue wants. @throws Error when a section has no table */
export async function withMetricTables(page: string): Promise<string> {
  const lines: string[] = [];
  let title = "";
  let table: string[] = [];
  const missing = new Set(Object.keys(SECTIONS));
  for (const line of [...page.split("\n"), ""]) {
    if (line.startsWith("|")) {
      table.push(line);
      continue;
    }
    if (table.length > 0) {
      lines.push(...tableOf(title, table));
      missing.delete(title);
      table = [];
    }
    title = /^## (.*)$/.exec(line)?.[1] ?? title;
    lines.push(line);
  }
  if (missing.size > 0) throw new Error(`docs/metrics.md lacks tables: ${[...missing].join(", ")}`);
  const config = await resolveConfig(PAGE);
  return format(lines.slice(0, -1).join("\n"), { ...config, filepath: PAGE });
}

if (import.meta.main) {
  writeFileSync(PAGE, await withMetricTables(readFileSync(PAGE, "utf8")));
}
