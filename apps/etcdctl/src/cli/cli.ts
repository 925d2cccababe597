/**
 * From the words of the command line to the command that runs: global options, command, its options
 * in any place, help screens, usage errors. All of these end with status 0 and go to standard output,
 * as in etcdctl 2.3.8; only suggestions for mistyped words go to standard error.
 */
import { type Command, findCommand } from "./command.ts";
import { exitCodes, Failure } from "../errors/exit-codes.ts";
import { type FlagSpec, type FlagValues, parseFlags, reorderWords } from "./flags.ts";
import { commandHelp, groupHelp, noHelpTopic, programHelp, type Screen } from "./help.ts";
import { advice } from "./suggestion.ts";
import type { Terminal } from "./terminal.ts";

/** The program: its declarations and its surroundings. */
export interface Program {
  readonly calledName: string;
  readonly version: string;
  readonly usage: string;
  readonly commands: readonly Command[];
  readonly globalFlags: readonly FlagSpec[];
  /** What `--version --output json` prints, without a line end. */
  readonly versionJson: () => string;
  /** What `help extra` prints. */
  readonly extraHelp: () => string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly terminal: Terminal;
}

/** The name used in screens of subcommands, however the program was called. */
const fixedName = "etcdctl";

const helpFlag: FlagSpec = { kind: "switch", name: "help", alias: "h", usage: "show help" };
const versionFlag: FlagSpec = {
  kind: "switch",
  name: "version",
  alias: "v",
  usage: "print the version",
};
const helpCommand: Command = {
  name: "help",
  alias: "h",
  usage: "Shows a list of commands or help for one command",
  argsUsage: "[command]",
};

const usageError = "Incorrect Usage.\n\n";

/** Runs the program with the words after its name; resolves to the exit status. */
export async function runProgram(program: Program, words: readonly string[]): Promise<number> {
  const { terminal } = program;
  const flags = [...program.globalFlags, helpFlag, versionFlag];
  const screen: Screen = {
    name: fixedName,
    calledName: program.calledName,
    usage: program.usage,
    version: program.version,
    commands: [...program.commands, helpCommand],
    flags,
  };
  const parsed = parseFlags(flags, words);
  if (parsed.conflict !== undefined) {
    terminal.out(`${parsed.conflict}\n${programHelp(screen)}`);
    return exitCodes.success;
  }
  if (parsed.isMalformed) {
    terminal.out(usageError + programHelp(screen));
    return exitCodes.success;
  }
  if (parsed.values.isSet("help")) {
    terminal.out(programHelp(screen));
    mentionExtras(program);
    return exitCodes.success;
  }
  if (parsed.values.isSet("version")) {
    const isJson = parsed.values.string("output") === "json";
    terminal.out(
      isJson ? `${program.versionJson()}\n` : `${fixedName} version ${program.version}\n`,
    );
    return exitCodes.success;
  }
  const [word, ...rest] = parsed.rest;
  if (word === undefined) {
    terminal.out(programHelp(screen));
    mentionExtras(program);
    return exitCodes.success;
  }
  const command = findCommand(screen.commands, word);
  if (command === undefined) return unknownWord(program, screen.commands, word);
  if (command === helpCommand) return runHelp(program, screen, programHelp, rest);
  if (command.subcommands !== undefined) {
    return runGroup(program, parsed.values, command, command.subcommands, rest);
  }
  return runCommand(program, parsed.values, program.calledName, command, rest);
}

/** To a person alone: the screens of etcdctl 2.3.8 are read by programs too. */
function mentionExtras({ terminal }: Program): void {
  if (!terminal.outIsTerminal) return;
  terminal.err("`etcdctl help extra` lists what is there beyond etcdctl 2.3.8.\n");
}

function unknownWord(program: Program, commands: readonly Command[], word: string): number {
  program.terminal.out(noHelpTopic(word));
  const hint = advice(word, commands);
  if (hint !== undefined) program.terminal.err(`${hint}\n`);
  return exitCodes.success;
}

/** `help` and `help <command>`, of the program or of a group. */
function runHelp(
  program: Program,
  screen: Screen,
  overview: (screen: Screen) => string,
  words: readonly string[],
): number {
  const parsed = parseFlags([helpFlag], reorderWords(words));
  if (parsed.isMalformed || parsed.values.isSet("help")) {
    const prefix = parsed.isMalformed ? usageError : "";
    program.terminal.out(prefix + commandHelp(screen.calledName, helpCommand));
    return exitCodes.success;
  }
  const [word] = parsed.rest;
  if (word === undefined) {
    program.terminal.out(overview(screen));
    mentionExtras(program);
    return exitCodes.success;
  }
  if (word === "extra" && screen.name === fixedName) {
    program.terminal.out(program.extraHelp());
    return exitCodes.success;
  }
  const command = findCommand(screen.commands, word);
  if (command === undefined) return unknownWord(program, screen.commands, word);
  program.terminal.out(commandHelp(screen.calledName, command));
  return exitCodes.success;
}

async function runGroup(
  program: Program,
  globals: FlagValues,
  group: Command,
  subcommands: readonly Command[],
  words: readonly string[],
): Promise<number> {
  const { terminal } = program;
  const name = `${fixedName} ${group.name}`;
  const flags = [...(group.flags ?? []), helpFlag];
  const screen: Screen = {
    name,
    calledName: name,
    usage: group.usage,
    version: program.version,
    commands: [...subcommands, helpCommand],
    flags,
  };
  const parsed = parseFlags(flags, words);
  if (parsed.conflict !== undefined || parsed.isMalformed) {
    const complaint = parsed.conflict === undefined ? usageError : `${parsed.conflict}\n\n`;
    terminal.out(complaint + groupHelp(screen));
    return exitCodes.success;
  }
  const [word, ...rest] = parsed.rest;
  if (word === undefined || parsed.values.isSet("help")) {
    terminal.out(groupHelp(screen));
    return exitCodes.success;
  }
  const command = findCommand(screen.commands, word);
  if (command === undefined) return unknownWord(program, screen.commands, word);
  if (command === helpCommand) return runHelp(program, screen, programHelp, rest);
  return runCommand(program, globals, name, command, rest);
}

async function runCommand(
  program: Program,
  globals: FlagValues,
  parentName: string,
  command: Command,
  words: readonly string[],
): Promise<number> {
  const { terminal } = program;
  const parsed = parseFlags([...(command.flags ?? []), helpFlag], reorderWords(words));
  if (parsed.isMalformed || parsed.conflict !== undefined) {
    const complaint = parsed.isMalformed ? usageError : `${parsed.conflict ?? ""}\n\n`;
    terminal.out(complaint + commandHelp(parentName, command));
    return exitCodes.success;
  }
  if (parsed.values.isSet("help")) {
    terminal.out(commandHelp(parentName, command));
    return exitCodes.success;
  }
  if (command.run === undefined) {
    throw new Failure(exitCodes.badArguments, `${command.name} is not part of this build\n`);
  }
  return command.run({
    args: parsed.rest,
    flags: parsed.values,
    globals,
    env: program.env,
    terminal,
  });
}
