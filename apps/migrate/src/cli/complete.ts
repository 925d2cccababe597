/**
 * What the shell is told while a command line of `etcd-migrate` is typed, read from the declarations
 * of the commands and their options.
 */
import {
  behindEquals,
  type CompletedOption,
  type Completion,
  optionCandidates,
  type OptionValue,
  splitOption,
  startingWith,
  valueCompletion,
} from "@etcd2/completion";
import type { Command, Option } from "commander";

/** What the placeholder of an option's value says of it. */
function valueOf({ flags, argChoices, required, optional }: Option): OptionValue | undefined {
  if (!required && !optional) return undefined;
  if (argChoices !== undefined) return argChoices;
  if (/[<[](?:dir|directory)\b/.test(flags)) return "directories";
  return /[<[](?:file|path)\b/.test(flags) ? "files" : "anything";
}

function optionsOf(command: Command): CompletedOption[] {
  const own = command.options.map((option) => {
    const value = valueOf(option);
    return {
      name: (option.long ?? option.short ?? "").replace(/^-+/, ""),
      usage: option.description,
      isHidden: option.hidden,
      ...(value === undefined ? {} : { value }),
    };
  });
  return [...own, { name: "help", usage: "show help" }];
}

/** What may stand in place of the last of the words, which are those after the program's name. */
export function completeWords(program: Command, words: readonly string[]): Completion {
  const typed = words.at(-1) ?? "";
  const named = (word: string | undefined): Command | undefined =>
    program.commands.find((command) => command.name() === word);
  const command = named(words.length > 1 ? words[0] : undefined);
  // Options without a command are those of the import, which the program does by default.
  const options = optionsOf(command ?? named("import") ?? program);
  const valueNamed = (name: string | undefined): OptionValue | undefined =>
    options.find((option) => option.name === name)?.value;
  const before = splitOption(words.at(-2) ?? "");
  const pending = before?.value === undefined ? valueNamed(before?.name) : undefined;
  if (pending !== undefined) return valueCompletion(typed, pending);
  if (typed.startsWith("-")) {
    const option = splitOption(typed);
    const value = valueNamed(option?.name);
    if (option?.value === undefined || value === undefined) {
      return { candidates: optionCandidates(typed, options) };
    }
    return behindEquals(typed, valueCompletion(option.value, value));
  }
  if (words.length > 1) return { candidates: [] };
  const commands = program.commands.map((known) => ({
    text: known.name(),
    usage: known.description(),
  }));
  return { candidates: startingWith(typed, commands) };
}
