/**
 * The shape of a command: what its help screen and the parser need to know, and what it does. The
 * declarations live in `commands/`, one file each; nothing here knows any of them.
 */
import type { FlagSpec, FlagValues, WordKind } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

/** What a running command is given. */
export interface CommandContext {
  readonly args: readonly string[];
  readonly flags: FlagValues;
  readonly globals: FlagValues;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly terminal: Terminal;
}

export interface Command {
  readonly name: string;
  readonly alias?: string;
  readonly usage: string;
  /** Replaces `[arguments...]` in the USAGE line. */
  readonly argsUsage?: string;
  readonly description?: string;
  readonly flags?: readonly FlagSpec[];
  readonly subcommands?: readonly Command[];
  /** What each argument is, in order, for completion; `"anything"` where absent. */
  readonly takes?: readonly WordKind[];
  /** Absent from the screens of etcdctl 2.3.8; listed by `help extra`. */
  readonly isHidden?: boolean;
  /** Resolves to the exit status; throws `Failure` for any other end. Absent for groups. */
  readonly run?: (context: CommandContext) => Promise<number>;
}

/** Finds a command by its name or alias, hidden ones too. */
export function findCommand(commands: readonly Command[], word: string): Command | undefined {
  return commands.find((command) => command.name === word || command.alias === word);
}
