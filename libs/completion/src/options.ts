/**
 * Completion of options in the syntax that the three programs share: one or two dashes, a value
 * behind `=` or as the next word, switches without one.
 */
import type { Candidate, Completion } from "./completion.ts";
import { startingWith } from "./completion.ts";

/** What may be given as the value of an option. */
export type OptionValue =
  | "files"
  | "directories"
  /** Something that no list holds, such as a number. */
  | "anything"
  | readonly string[];

/** One option as completion needs to know it. */
export interface CompletedOption<Value = OptionValue> {
  /** Without dashes; one letter is written with one dash, longer names with two. */
  readonly name: string;
  readonly usage: string;
  /** Absent for a switch. */
  readonly value?: Value;
  /** Understood, but not proposed. */
  readonly isHidden?: boolean;
}

/** An option as it is typed. */
export function spelled(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** Name and value of a word that begins with a dash; undefined for other words and a bare dash. */
export function splitOption(word: string): { name: string; value?: string } | undefined {
  const [, name, value] = /^--?([^-=][^=]*)(?:=([\s\S]*))?$/.exec(word) ?? [];
  if (name === undefined) return undefined;
  return value === undefined ? { name } : { name, value };
}

/** The options whose spelling begins with the word. One dash is enough to see all of them. */
export function optionCandidates(
  word: string,
  options: readonly CompletedOption<unknown>[],
): Candidate[] {
  const shown = options.filter(({ isHidden = false }) => !isHidden);
  // Programs of this kind take `-data-dir` for `--data-dir`; the two-dash form is proposed.
  const typed = /^-[^-]./.test(word) ? `-${word}` : word;
  return startingWith(
    typed,
    shown.map(({ name, usage }) => ({ text: spelled(name), usage })),
  );
}

/** What may stand as a value where `prefix` was typed. */
export function valueCompletion(typed: string, value: OptionValue): Completion {
  switch (value) {
    case "files":
    case "directories":
      return { candidates: [], paths: value };
    case "anything":
      return { candidates: [] };
    default:
      return {
        candidates: startingWith(
          typed,
          value.map((text) => ({ text })),
        ),
      };
  }
}

/** The same completion for a word of the form `--name=typed`. */
export function behindEquals(word: string, completion: Completion): Completion {
  const head = word.slice(0, word.indexOf("=") + 1);
  const candidates = completion.candidates.map(({ text, ...rest }) => ({
    ...rest,
    text: head + text,
  }));
  return { ...completion, candidates };
}
