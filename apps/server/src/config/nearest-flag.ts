/**
 * Owns the guess at what a mistyped flag was meant to be. Knows the flags that count; those of
 * other releases are never proposed.
 */
import { flagTable } from "./flag-table.ts";

/** Edits between the texts: letters added, left out, replaced, or two neighbours swapped. */
function distance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const cost = from[i - 1] === to[j - 1] ? 0 : 1;
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(best);
    }
    [beforeLast, last] = [last, row];
  }
  return last[to.length] ?? 0;
}

/** The flag whose name is closest to the text; undefined when none is close. */
export function nearestFlag(text: string): string | undefined {
  const wanted = text.toLowerCase().replaceAll("_", "-");
  let nearest: string | undefined;
  // A quarter of the letters may be wrong, in a short word one.
  let limit = Math.max(1, Math.floor(wanted.length / 4));
  for (const { name, group, kind } of flagTable) {
    if (group === "foreign" || kind === "unsupported") continue;
    const edits = distance(wanted, name);
    if (edits > limit || (edits === limit && nearest !== undefined)) continue;
    nearest = name;
    limit = edits;
  }
  return nearest;
}
