/**
 * What may follow the words typed so far: read from the declarations alone. Names that only the
 * cluster knows are asked for by the caller.
 */
import {
  behindEquals,
  type Candidate,
  type CompletedOption,
  type Completion,
  optionCandidates,
  splitOption,
  startingWith,
  valueCompletion,
} from "@etcd2/completion";
import { type Command, findCommand } from "./command.ts";
import type { FlagSpec, LiveKind, WordKind } from "./flags.ts";

/** The words typed so far, taken apart. */
export interface Place {
  /** Words of the global options. */
  readonly globalWords: readonly string[];
  /** Answers the question, once the names that the cluster knows have been asked for. */
  readonly complete: (live: readonly Candidate[]) => Completion;
  /** What to ask the cluster for, and the text that the names begin with; undefined for nothing. */
  readonly live?: { readonly kind: LiveKind; readonly typed: string };
}

const liveKinds: readonly WordKind[] = ["key", "key directory", "member", "user", "role"];

function isLive(kind: WordKind): kind is LiveKind {
  return liveKinds.includes(kind);
}

const helpOption: CompletedOption<WordKind> = { name: "help", usage: "show help" };
const versionOption: CompletedOption<WordKind> = { name: "version", usage: "print the version" };

function options(flags: readonly FlagSpec[] = []): CompletedOption<WordKind>[] {
  return flags.flatMap(({ name, alias, usage, kind, holds = "anything" }) => {
    const value = kind === "switch" ? {} : { value: holds };
    return [name, ...(alias === undefined ? [] : [alias])].map((spelling) => ({
      name: spelling,
      usage,
      ...value,
    }));
  });
}

/** One level of the command line: the program, a group or a command. */
interface Level {
  readonly options: readonly CompletedOption<WordKind>[];
  readonly commands: readonly Command[];
  readonly takes: readonly WordKind[];
}

function levelOf(command: Command): Level {
  return {
    options: [...options(command.flags), helpOption],
    commands: command.subcommands ?? [],
    takes: command.takes ?? [],
  };
}

/** What the walk over the words before the cursor has found. */
interface Walk {
  level: Level;
  /** The command has been reached, so that plain words are its arguments. */
  isCommand: boolean;
  arguments: number;
  pending: CompletedOption<WordKind> | undefined;
  areOptionsOver: boolean;
}

function step(walk: Walk, word: string): void {
  if (walk.pending !== undefined) {
    walk.pending = undefined;
  } else if (word === "--" && !walk.areOptionsOver) {
    walk.areOptionsOver = true;
  } else if (word.startsWith("-") && word !== "-" && !walk.areOptionsOver) {
    const option = splitOption(word);
    if (option === undefined || option.value !== undefined) return;
    const known = walk.level.options.find(({ name }) => name === option.name);
    if (known?.value !== undefined) walk.pending = known;
  } else if (walk.isCommand) {
    walk.arguments++;
  } else {
    const command = findCommand(walk.level.commands, word);
    // Nothing sensible follows a word that names no command.
    walk.level =
      command === undefined ? { options: [], commands: [], takes: [] } : levelOf(command);
    walk.isCommand = command?.subcommands === undefined;
  }
}

/** Where the last of the words stands; `words` are those after the program's name. */
export function placeOf(
  commands: readonly Command[],
  globalFlags: readonly FlagSpec[],
  words: readonly string[],
): Place {
  const typed = words.at(-1) ?? "";
  const walk: Walk = {
    level: {
      options: [...options(globalFlags), helpOption, versionOption],
      commands,
      takes: [],
    },
    isCommand: false,
    arguments: 0,
    pending: undefined,
    areOptionsOver: false,
  };
  const program = walk.level;
  let globals = 0;
  for (const [at, word] of words.slice(0, -1).entries()) {
    step(walk, word);
    if (walk.level === program && walk.pending === undefined) globals = at + 1;
  }
  const globalWords = words.slice(0, globals);
  const { level, pending } = walk;
  if (pending?.value !== undefined) return valuePlace(globalWords, pending.value, typed);
  if (typed.startsWith("-") && !walk.areOptionsOver) {
    const option = splitOption(typed);
    const known = level.options.find(({ name }) => name === option?.name)?.value;
    if (option?.value === undefined || known === undefined) {
      const candidates = optionCandidates(typed, level.options);
      return { globalWords, complete: () => ({ candidates }) };
    }
    const { complete, ...place } = valuePlace(globalWords, known, option.value);
    return { ...place, complete: (live) => behindEquals(typed, complete(live)) };
  }
  if (walk.isCommand) {
    const kind = level.takes[walk.arguments] ?? "anything";
    return valuePlace(globalWords, kind, typed);
  }
  const names = level.commands.map(({ name, usage }) => ({ text: name, usage }));
  return { globalWords, complete: () => ({ candidates: startingWith(typed, names) }) };
}

function valuePlace(globalWords: readonly string[], kind: WordKind, typed: string): Place {
  if (!isLive(kind)) return { globalWords, complete: () => valueCompletion(typed, kind) };
  const isPath = kind === "key" || kind === "key directory";
  return {
    globalWords,
    live: { kind, typed },
    complete: (live) => {
      const candidates = startingWith(typed, live);
      // A directory may be meant, or what is in it.
      return { candidates, isOpen: isPath && candidates.some(({ text }) => text.endsWith("/")) };
    },
  };
}
