/**
 * Runs a script like a page of a lab notebook.
 *
 *     # a remark
 *     > command argument name=value
 *       what was observed
 *
 * Observations are full: every Ready and every message. "quiet" before a command keeps its
 * observations out, for what only leads up to the point. The result is the page rewritten with
 * what was observed now, so comparing it to the page is the test and storing it the update.
 */
import { Cluster } from "../core/cluster.ts";
import { COMMANDS, type Line } from "./commands.ts";

const PROMPT = "> ";
const INDENT = "  ";

function parse(words: readonly string[]): Line {
  const isSetting = (word: string): boolean => /^[a-z-]+=/.test(word);
  const settings = words.filter(isSetting).map((word): [string, string] => {
    const at = word.indexOf("=");
    return [word.slice(0, at), word.slice(at + 1)];
  });
  return { words: words.filter((word) => !isSetting(word)), settings: new Map(settings) };
}

function observe(cluster: Cluster, line: string): readonly string[] {
  const all = line.split(" ").filter(Boolean);
  const isQuiet = all[0] === "quiet";
  const [name = "", ...words] = isQuiet ? all.slice(1) : all;
  const command = COMMANDS.get(name);
  if (command === undefined) throw new Error(`no such command: ${name}`);
  const lines = command(cluster, parse(words));
  return isQuiet ? [] : lines;
}

/** @returns the script with the observations of this run. */
export function rerun(script: string): string {
  const cluster = new Cluster();
  const page: string[] = [];
  for (const line of script.split("\n")) {
    if (line.startsWith(INDENT)) continue;
    page.push(line);
    if (!line.startsWith(PROMPT)) continue;
    for (const seen of observe(cluster, line.slice(PROMPT.length))) page.push(INDENT + seen);
  }
  return page.join("\n");
}
