/** `completion`: prints a completion script for a shell. */
import type { Command } from "../cli/command.ts";
import type { Shell } from "../cli/completion-script.ts";
import { exitCodes, Failure } from "../errors/exit-codes.ts";
import { globalFlags } from "../cli/global-flags.ts";

const shells: readonly Shell[] = ["bash", "zsh", "fish"];

/** The command; `commands` are all of the program's, this one among them. */
export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    name: "completion",
    usage: "print a completion script for a shell",
    argsUsage: "bash|zsh|fish",
    description: "For this session of bash:\n\n   $ source <(etcdctl completion bash)",
    isHidden: true,
    run: async ({ args, terminal }) => {
      const shell = shells.find((known) => known === args[0]);
      if (shell === undefined || args.length !== 1) {
        const text = `Provide a single shell: ${shells.join(", ")}\n`;
        throw new Failure(exitCodes.badArguments, text);
      }
      const { completionScript } = await import("../cli/completion-script.ts");
      terminal.out(completionScript(shell, commands(), globalFlags));
      return exitCodes.success;
    },
  };
}
