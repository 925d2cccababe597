/**
 * Help screens, generated from the declarations: names, options and usage lines in, text out. The
 * layout is that of etcdctl 2.3.8 to the byte, tabs included.
 */
import type { Command } from "./command.ts";
import type { FlagSpec } from "./flags.ts";
import { quote } from "../text/go-text.ts";

/** A program, or a group of commands shown like one. */
export interface Screen {
  /** As in the NAME section. */
  readonly name: string;
  /** The program as it was called. */
  readonly calledName: string;
  readonly usage: string;
  readonly version: string;
  readonly commands: readonly Command[];
  readonly flags: readonly FlagSpec[];
}

const tabWidth = 8;

/**
 * Pads the first column of consecutive lines with tabs to a common stop, at least one each. A line
 * without a tab stands outside the column.
 */
export function alignColumns(rows: readonly (readonly [string, string])[]): string[] {
  const widest = Math.max(0, ...rows.map(([left]) => left.length));
  const stop = Math.ceil((widest + 1) / tabWidth) * tabWidth;
  return rows.map(([left, right]) => {
    const tabs = Math.ceil((stop - left.length) / tabWidth);
    return `${left}${"\t".repeat(tabs)}${right}`;
  });
}

function spellings(flag: FlagSpec): string {
  const names = flag.alias === undefined ? [flag.name] : [flag.name, flag.alias];
  return names.map((name) => (name.length === 1 ? `-${name}` : `--${name}`)).join(", ");
}

/** An option with its default, as the left column shows it. */
export function flagLabel(flag: FlagSpec): string {
  const names = spellings(flag);
  switch (flag.kind) {
    case "switch":
      return names;
    case "string":
      return `${names} ${flag.initial === undefined ? "" : quote(flag.initial)}`;
    case "integer":
      return `${names} "${flag.initial}"`;
    case "duration":
      return `${names} "${flag.initial}"`;
    case "strings":
      return `${names} [${names} option ${names} option]`;
  }
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const indented = rows.map(([left, right]) => [`   ${left}`, right] as const);
  return `${title}:\n${alignColumns(indented).join("\n")}\n   \n`;
}

function flagSection(title: string, flags: readonly FlagSpec[]): string {
  return section(
    title,
    flags.map((flag) => [flagLabel(flag), flag.usage]),
  );
}

function commandSection(commands: readonly Command[]): string {
  return section(
    "COMMANDS",
    commands.map(({ name, alias, usage }) => [
      alias === undefined ? name : `${name}, ${alias}`,
      usage,
    ]),
  );
}

function visibleFlags(flags: readonly FlagSpec[] = []): readonly FlagSpec[] {
  return flags.filter((flag) => flag.isHidden !== true);
}

function visibleCommands(commands: readonly Command[]): readonly Command[] {
  return commands.filter((command) => command.isHidden !== true);
}

/** The screen of the whole program. */
export function programHelp(screen: Screen): string {
  return (
    `NAME:\n   ${screen.name} - ${screen.usage}\n\n` +
    `USAGE:\n   ${screen.calledName} [global options] command [command options] [arguments...]\n   \n` +
    `VERSION:\n   ${screen.version}\n   \n` +
    commandSection(visibleCommands(screen.commands)) +
    flagSection("GLOBAL OPTIONS", visibleFlags(screen.flags))
  );
}

/** The screen of a command that has subcommands, called without one. */
export function groupHelp(screen: Screen): string {
  return (
    `NAME:\n   ${screen.calledName} - ${screen.usage}\n\n` +
    `USAGE:\n   ${screen.calledName} command [command options] [arguments...]\n\n` +
    commandSection(visibleCommands(screen.commands)) +
    flagSection("OPTIONS", visibleFlags(screen.flags))
  );
}

/** The screen of one command; `parentName` is what stands before its name. */
export function commandHelp(parentName: string, command: Command): string {
  const name = `${parentName} ${command.name}`;
  // A hidden command has no screen of etcdctl 2.3.8 to keep to, so all its options are shown.
  const flags = command.isHidden === true ? (command.flags ?? []) : visibleFlags(command.flags);
  const options = flags.length > 0 ? " [command options]" : "";
  const description =
    command.description === undefined ? "" : `\nDESCRIPTION:\n   ${command.description}\n`;
  return (
    `NAME:\n   ${name} - ${command.usage}\n\n` +
    `USAGE:\n   ${name}${options} ${command.argsUsage ?? "[arguments...]"}\n` +
    description +
    (flags.length > 0 ? `\n${flagSection("OPTIONS", flags)}` : "")
  );
}

/** The answer to a word that names no command. */
export function noHelpTopic(word: string): string {
  return `No help topic for '${word}'\n`;
}
