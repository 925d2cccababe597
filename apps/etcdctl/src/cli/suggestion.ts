/**
 * What someone who typed a word that is no command probably meant: a command with nearly that name,
 * or one they know from the etcdctl of etcd 3.
 */
import type { Command } from "./command.ts";

/** Edits between two words; a swap of neighbours counts as one. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let cost = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (isSame ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/** The nearest name, if it is near enough that most of the word was typed right. */
export function suggestion(word: string, commands: readonly Command[]): string | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const { name } of commands) {
    const distance = editDistance(word.toLowerCase(), name);
    const isNear =
      distance <= Math.max(1, Math.floor(name.length / 3)) && distance < word.length - 1;
    if (isNear && (best === undefined || distance < best.distance)) best = { name, distance };
  }
  return best?.name;
}

/** Commands of the v3 API, and what does the same here; "" where nothing does. */
const v3Commands: ReadonlyMap<string, string> = new Map([
  ["put", "set <key> <value>"],
  ["del", "rm <key>"],
  ["compaction", ""],
  ["alarm", ""],
  ["check", ""],
  ["defrag", ""],
  ["elect", ""],
  ["lease", ""],
  ["lock", ""],
  ["make-mirror", ""],
  ["txn", ""],
]);

/** One line of advice for a word that names none of the commands; undefined when there is none. */
export function advice(word: string, commands: readonly Command[]): string | undefined {
  const near = suggestion(word, commands);
  if (near !== undefined) return `Did you mean '${near}'?`;
  const twin = v3Commands.get(word);
  if (twin === undefined) return undefined;
  return twin === ""
    ? `'${word}' is a command of the v3 API, which this program does not speak.`
    : `'${word}' is a command of the v3 API; here it is 'etcdctl ${twin}'.`;
}
