/** One hash over all files below a folder and their names. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export function hashTree(directory: string): string {
  const hash = createHash("sha256");
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true })
    .map((entry) => ({ path: join(entry.parentPath, entry.name), isFile: entry.isFile() }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const { path, isFile } of entries) {
    hash.update(path.slice(directory.length));
    if (isFile) hash.update(readFileSync(path));
  }
  return hash.digest("hex");
}
