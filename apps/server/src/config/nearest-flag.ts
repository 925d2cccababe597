/**
 * Owns the guess at what a mistyped flag was meant to be. Knows the flags that count; those of
 * other releases are never proposed.
 */
import { editDistance } from "@etcd2/completion";
import { flagTable } from "./flag-table.ts";

/** The flag whose name is closest to the text; undefined when none is close. */
export function nearestFlag(text: string): string | undefined {
  const wanted = text.toLowerCase().replaceAll("_", "-");
  let nearest: string | undefined;
  // A quarter of the letters may be wrong, in a short word one.
  let limit = Math.max(1, Math.floor(wanted.length / 4));
  for (const { name, group, kind } of flagTable) {
    if (group === "foreign" || kind === "unsupported") continue;
    const edits = editDistance(wanted, name);
    if (edits > limit || (edits === limit && nearest !== undefined)) continue;
    nearest = name;
    limit = edits;
  }
  return nearest;
}
