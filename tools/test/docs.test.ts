import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..", "..");
const skipped = new Set(["node_modules", "dist", "bundle", "gen"]);

function pages(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name) || entry.name.startsWith(".")) return [];
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return pages(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

/** The id that a heading gets, as the common renderers make it. */
function anchorOf(heading: string): string {
  const plain = heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "");
  return plain.trim().replaceAll(" ", "-");
}

test("every link between the pages leads somewhere", () => {
  const found = pages(root);
  assert.ok(found.length > 10);
  for (const page of found) {
    for (const [, target = ""] of readFileSync(page, "utf8").matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = "", anchor] = target.split("#");
      const path = file === "" ? page : join(dirname(page), file);
      const shown = `${relative(root, page)}: ${target}`;
      assert.ok(existsSync(path), shown);
      if (anchor === undefined) continue;
      const headings = [...readFileSync(path, "utf8").matchAll(/^#+ (.+)$/gm)];
      assert.ok(headings.map(([, text = ""]) => anchorOf(text)).includes(anchor), shown);
    }
  }
});
