/** `completion`: prints a completion script for a shell. */
import { completionScript, shellNamed, shells } from "@etcd2/completion";
import type { Command } from "../cli/command.ts";
import { exitCodes, Failure } from "../errors/exit-codes.ts";

export const completion: Command = {
  name: "completion",
  usage: "print a completion script for a shell",
  argsUsage: shells.join("|"),
  takes: [shells],
  description: "For this session of bash:\n\n   $ source <(etcdctl completion bash)",
  isHidden: true,
  run: ({ args, terminal }) => {
    const shell = shellNamed(args[0]);
    if (shell === undefined || args.length !== 1) {
      const text = `Provide a single shell: ${shells.join(", ")}\n`;
      throw new Failure(exitCodes.badArguments, text);
    }
    terminal.out(completionScript(shell, "etcdctl"));
    return Promise.resolve(exitCodes.success);
  },
};
