/**
 * What the shell is told while a command line of `etcd` is typed, and the script that makes it ask.
 * Both are asked for by a first word that is no flag, which no release of etcd has ever accepted.
 */
import {
  behindEquals,
  COMPLETE_WORD,
  type Completion,
  type CompletedOption,
  completionScript,
  completionText,
  optionCandidates,
  type OptionValue,
  shellNamed,
  shells,
  splitOption,
  valueCompletion,
} from "@etcd2/completion";
import type { FlagSpec } from "./flag-spec.ts";
import { isSwitch } from "./flags.ts";
import { flagTable } from "./flag-table.ts";

function valueOf(flag: FlagSpec): OptionValue | undefined {
  const { name, choices } = flag;
  if (isSwitch(flag)) return undefined;
  if (choices !== undefined) return choices;
  if (name.endsWith("file")) return "files";
  return name.endsWith("-dir") ? "directories" : "anything";
}

const options: readonly CompletedOption[] = [
  ...flagTable
    .filter(({ group }) => group !== "foreign")
    .map((flag) => {
      const { name, help: usage, group } = flag;
      const value = valueOf(flag);
      const isHidden = group === "deprecated";
      return { name, usage, isHidden, ...(value === undefined ? {} : { value }) };
    }),
  { name: "help", usage: "show the flags" },
  { name: "version", usage: "print the version" },
];

/** What may stand in place of the last of the words, which are those after the program's name. */
export function completeFlags(words: readonly string[]): Completion {
  const typed = words.at(-1) ?? "";
  const named = (name: string | undefined): CompletedOption | undefined =>
    options.find((option) => option.name === name);
  const before = splitOption(words.at(-2) ?? "");
  const pending = before?.value === undefined ? named(before?.name)?.value : undefined;
  if (pending !== undefined) return valueCompletion(typed, pending);
  const option = splitOption(typed);
  const value = named(option?.name)?.value;
  if (option?.value !== undefined && value !== undefined) {
    return behindEquals(typed, valueCompletion(option.value, value));
  }
  return { candidates: optionCandidates(typed, options) };
}

/** What the program prints when the words ask for completion, and its exit status. */
export interface CompletionOutcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** The answer to `__complete WORD...` and `completion SHELL`; undefined for all other words. */
export function completionOutcome(words: readonly string[]): CompletionOutcome | undefined {
  const [first, ...rest] = words;
  if (first === COMPLETE_WORD) {
    return { stdout: completionText(completeFlags(rest)), stderr: "", status: 0 };
  }
  if (first !== "completion") return undefined;
  const shell = rest.length === 1 ? shellNamed(rest[0]) : undefined;
  if (shell === undefined) {
    const stderr = `etcd completion: name one shell: ${shells.join(", ")}\n`;
    return { stdout: "", stderr, status: 2 };
  }
  return { stdout: completionScript(shell, "etcd"), stderr: "", status: 0 };
}
