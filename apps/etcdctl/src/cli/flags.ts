/**
 * Options as etcdctl 2.3.8 reads them: one or two dashes, values behind `=` or as the next word,
 * switches that take a value only after `=`, several spellings of one option. It turns words into
 * values and knows nothing of commands or help screens.
 */
import type { OptionValue } from "@etcd2/completion";
import { parseDurationMs, parseInteger, parseSwitch } from "../text/go-text.ts";

/** Names that the cluster knows. */
export type LiveKind = "key" | "key directory" | "member" | "user" | "role";

/** What an argument or the value of an option is. */
export type WordKind = OptionValue | LiveKind;

interface FlagBase {
  readonly name: string;
  /** A second, one-letter spelling. */
  readonly alias?: string;
  readonly usage: string;
  /** What its value is, for completion; `"anything"` where absent. */
  readonly holds?: WordKind;
  /** Accepted, but absent from the help screens of etcdctl 2.3.8. */
  readonly isHidden?: boolean;
}

export type FlagSpec =
  | (FlagBase & { readonly kind: "switch" })
  | (FlagBase & { readonly kind: "string"; readonly initial?: string })
  | (FlagBase & { readonly kind: "integer"; readonly initial: number })
  | (FlagBase & { readonly kind: "duration"; readonly initial: string })
  | (FlagBase & { readonly kind: "strings" });

type FlagValue = boolean | string | bigint | number | readonly string[];

/** Values of one level of the command line; asking for an undeclared name is a programming error. */
export class FlagValues {
  readonly #values: ReadonlyMap<string, FlagValue>;
  constructor(values: ReadonlyMap<string, FlagValue>) {
    this.#values = values;
  }
  isSet(name: string): boolean {
    return this.#get(name) === true;
  }
  string(name: string): string {
    return String(this.#get(name));
  }
  integer(name: string): bigint {
    const value = this.#get(name);
    if (typeof value !== "bigint") throw new TypeError(`option ${name} is no integer`);
    return value;
  }
  durationMs(name: string): number {
    return Number(this.#get(name));
  }
  strings(name: string): readonly string[] {
    const value = this.#get(name);
    if (!Array.isArray(value)) throw new TypeError(`option ${name} is no list`);
    return value as readonly string[];
  }
  #get(name: string): FlagValue {
    const value = this.#values.get(name);
    if (value === undefined) throw new TypeError(`option ${name} is not declared`);
    return value;
  }
}

export interface ParsedFlags {
  readonly values: FlagValues;
  /** What follows the options. */
  readonly rest: readonly string[];
  /** An unknown option, or a missing or malformed value. */
  readonly isMalformed: boolean;
  /** Set when two spellings of one option were given: the complaint. */
  readonly conflict: string | undefined;
}

function initialValue(spec: FlagSpec): FlagValue {
  switch (spec.kind) {
    case "switch":
      return false;
    case "string":
      return spec.initial ?? "";
    case "integer":
      return BigInt(spec.initial);
    case "duration":
      return parseDurationMs(spec.initial) ?? 0;
    case "strings":
      return [];
  }
}

function parseValue(spec: FlagSpec, text: string, before: FlagValue): FlagValue | undefined {
  switch (spec.kind) {
    case "switch":
      return parseSwitch(text);
    case "string":
      return text;
    case "integer":
      return parseInteger(text);
    case "duration":
      return parseDurationMs(text);
    case "strings":
      return [...(Array.isArray(before) ? (before as string[]) : []), text];
  }
}

/** Splits a word into option name and value; undefined when it is no well-formed option. */
function splitWord(word: string): { name: string; value: string | undefined } | undefined {
  const body = word.slice(word.startsWith("--") ? 2 : 1);
  if (body === "" || body.startsWith("-") || body.startsWith("=")) return undefined;
  const equals = body.indexOf("=");
  if (equals < 0) return { name: body, value: undefined };
  return { name: body.slice(0, equals), value: body.slice(equals + 1) };
}

/** Reads options up to the first word that is none, or to `--`. */
export function parseFlags(specs: readonly FlagSpec[], words: readonly string[]): ParsedFlags {
  const bySpelling = new Map<string, FlagSpec>();
  const values = new Map<string, FlagValue>();
  for (const spec of specs) {
    bySpelling.set(spec.name, spec);
    if (spec.alias !== undefined) bySpelling.set(spec.alias, spec);
    values.set(spec.name, initialValue(spec));
  }
  const seen = new Set<string>();
  let isMalformed = false;
  let at = 0;
  while (at < words.length) {
    const word = words[at] ?? "";
    if (!word.startsWith("-") || word === "-") break;
    at++;
    if (word === "--") break;
    const split = splitWord(word);
    const spec = split === undefined ? undefined : bySpelling.get(split.name);
    let text = split?.value;
    if (spec !== undefined && text === undefined) {
      text = spec.kind === "switch" ? "true" : words[at++];
    }
    const value =
      spec === undefined || text === undefined
        ? undefined
        : parseValue(spec, text, values.get(spec.name) ?? "");
    if (split === undefined || spec === undefined || value === undefined) {
      isMalformed = true;
      break;
    }
    seen.add(split.name);
    values.set(spec.name, value);
  }
  const twice = specs.find((s) => s.alias !== undefined && seen.has(s.name) && seen.has(s.alias));
  return {
    values: new FlagValues(values),
    rest: words.slice(at),
    isMalformed,
    conflict:
      twice === undefined
        ? undefined
        : `Cannot use two forms of the same flag: ${twice.alias ?? ""} ${twice.name}`,
  };
}

/**
 * The order in which a command reads its words: from the first option up to `--` come options, the
 * plain words before them move behind. `words` are those after the command's name.
 */
export function reorderWords(words: readonly string[]): readonly string[] {
  const terminator = words.indexOf("--");
  const optionsEnd = terminator < 0 ? words.length : terminator;
  const firstOption = words.findIndex((word, i) => i < optionsEnd && word.startsWith("-"));
  if (firstOption < 0) return words;
  return [
    ...words.slice(firstOption, optionsEnd),
    ...words.slice(0, firstOption),
    ...words.slice(optionsEnd),
  ];
}
