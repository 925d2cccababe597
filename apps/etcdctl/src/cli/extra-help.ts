/** The screen of `help extra`: what is there beyond etcdctl 2.3.8, which its own screens do not list. */
import type { Command } from "./command.ts";
import { alignColumns, flagLabel } from "./help.ts";

type Row = readonly [left: string, right: string];

function commandRows(commands: readonly Command[], prefix: string, isExtra: boolean): Row[] {
  return commands.flatMap((command) => {
    const { name, usage, argsUsage = "", subcommands } = command;
    const isHidden = isExtra || command.isHidden === true;
    if (subcommands !== undefined) return commandRows(subcommands, `${prefix}${name} `, isHidden);
    return isHidden ? [[`   ${prefix}${name} ${argsUsage}`.trimEnd(), usage]] : [];
  });
}

function flagRows(commands: readonly Command[], prefix: string): Row[] {
  return commands.flatMap((command) => {
    const rows = (command.flags ?? [])
      .filter((flag) => flag.isHidden === true)
      .map((flag): Row => [`   ${prefix}${command.name} ${flagLabel(flag)}`.trimEnd(), flag.usage]);
    return [...rows, ...flagRows(command.subcommands ?? [], `${prefix}${command.name} `)];
  });
}

/** The screen, generated from the declarations. */
export function extraHelp(commands: readonly Command[]): string {
  return (
    "Commands and options beyond those of etcdctl 2.3.8; `etcdctl <command> -h` tells more.\n\n" +
    `COMMANDS:\n${alignColumns(commandRows(commands, "", false)).join("\n")}\n\n` +
    `OPTIONS:\n${alignColumns(flagRows(commands, "")).join("\n")}\n\n` +
    "Colours appear only on a terminal; NO_COLOR switches them off.\n"
  );
}
