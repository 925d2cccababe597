/** How far a mistyped word is from one that was probably meant. */
import { distance } from "fastest-levenshtein";

/**
 * Edits between two words: letters added, left out or replaced, where one swap of neighbours, the
 * commonest slip of all, counts as one edit and not as the two that Levenshtein's distance has for it.
 * At least 0, at most the length of the longer word; upper and lower case differ.
 */
export function editDistance(typed: string, meant: string): number {
  let least = distance(typed, meant);
  for (let at = 1; at < typed.length; at++) {
    const [before, first, second, behind] = [
      typed.slice(0, at - 1),
      typed[at - 1] ?? "",
      typed[at] ?? "",
      typed.slice(at + 1),
    ];
    least = Math.min(least, 1 + distance(`${before}${second}${first}${behind}`, meant));
  }
  return least;
}
