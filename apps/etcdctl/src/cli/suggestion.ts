/**
 * What someone who typed a word that is no command probably meant: a command with nearly that name,
 * or one they know from the etcdctl of etcd 3.
 */
import { editDistance } from "@etcd2/completion";
import type { Command } from "./command.ts";

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
