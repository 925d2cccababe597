/** Asks the finished programs for what shells and man(1) show of them: completions and manual pages. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HelpText } from "./manual-page.ts";
import { manualPage } from "./manual-page.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
const RUN_TIMEOUT_MS = 30_000;

interface Program {
  readonly name: string;
  readonly summary: string;
  readonly synopsis: string;
  /** The words that print the list of commands, and how a line of it names one; none without commands. */
  readonly commands?: RegExp;
}

const PROGRAMS: readonly Program[] = [
  {
    name: "etcd",
    summary: "server of a key-value store with the etcd v2 API",
    synopsis: "[flags]",
  },
  {
    name: "etcdctl",
    summary: "command line client of the etcd v2 API",
    synopsis: "[global options] command [command options] [arguments...]",
    commands: /^ {3}([a-z][a-z-]*)(?:, \w+)?\t/gm,
  },
  {
    name: "etcd-migrate",
    summary: "brings the data of old etcd servers to etcd2, and back out",
    synopsis: "[options] command",
    commands: /^ {2}([a-z][a-z0-9-]*) (?:\[options\]|<\w+>) /gm,
  },
];

/** What a program prints; some print their help on standard error, or end with a status of their own. */
function outputOf(folder: string, name: string, words: readonly string[]): string {
  const said = execFileSync(join(folder, name), words, {
    encoding: "utf8",
    timeout: RUN_TIMEOUT_MS,
  });
  if (said.trim() === "") throw new Error(`${name} ${words.join(" ")} printed nothing`);
  return said;
}

/** The scripts for shells to complete by, in `completions`. */
export function stageCompletions(folder: string): void {
  mkdirSync(join(folder, "completions"));
  for (const { name } of PROGRAMS) {
    for (const shell of SHELLS) {
      const script = outputOf(folder, name, ["completion", shell]);
      writeFileSync(join(folder, "completions", `${name}.${shell}`), script);
    }
  }
}

/** Help of the commands that `text` lists, and of theirs. */
function helpOfCommands(
  folder: string,
  program: Program,
  before: readonly string[],
  text: string,
): readonly HelpText[] {
  const { name, commands } = program;
  if (commands === undefined) return [];
  const names = [...text.matchAll(commands)].flatMap(([, found]) => found ?? []);
  return names
    .filter((command) => command !== "help")
    .flatMap((command) => {
      const words = [...before, command];
      const help = outputOf(folder, name, [...words, "--help"]);
      const inner = before.length === 0 && name === "etcdctl" && /^COMMANDS:$/m.test(help);
      return [
        { title: `${name} ${words.join(" ")}`, text: help },
        ...(inner ? helpOfCommands(folder, program, words, help) : []),
      ];
    });
}

/** A page for each program, in `man`. */
export function stageManual(folder: string, version: string, epochSeconds: number): void {
  mkdirSync(join(folder, "man"));
  for (const program of PROGRAMS) {
    const { name, summary, synopsis } = program;
    const text = outputOf(folder, name, ["--help"]);
    const extra =
      name === "etcdctl"
        ? [{ title: "beyond etcdctl 2.3.8", text: outputOf(folder, name, ["help", "extra"]) }]
        : [];
    const help = [{ title: "usage", text }, ...helpOfCommands(folder, program, [], text), ...extra];
    const seeAlso = PROGRAMS.map((other) => other.name).filter((other) => other !== name);
    const page = manualPage({
      program: name,
      summary,
      version,
      epochSeconds,
      synopsis,
      help,
      seeAlso,
    });
    writeFileSync(join(folder, "man", `${name}.1`), page);
  }
}
