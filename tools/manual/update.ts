/**
 * `npm run docs:examples -- PAGE ...`: runs the examples of pages of the manual and writes what they print into
 * the pages. Look at the difference before you commit it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { runPage } from "./examples.ts";

for (const path of process.argv.slice(2)) {
  writeFileSync(path, await runPage(readFileSync(path, "utf8")));
}
// The choice of ports keeps the process alive no longer than this.
process.exit(0);
