/** The program: declarations and surroundings put together, and the end of the process. */
import { basename } from "node:path";
import { runProgram } from "./cli.ts";
import { commands } from "./commands.ts";
import { Failure } from "./exit-codes.ts";
import { extraHelp } from "./extra-help.ts";
import { globalFlags } from "./global-flags.ts";
import { ProcessTerminal } from "./terminal.ts";

const version = "2.3.8";

/** As the program was called, if that still says what it is. */
function calledName(): string {
  const path = process.argv[1] ?? "";
  return basename(path).startsWith("etcdctl") ? path : "etcdctl";
}

async function main(): Promise<number> {
  const terminal = new ProcessTerminal();
  try {
    return await runProgram(
      {
        calledName: calledName(),
        version,
        usage: "A simple command line client for etcd.",
        commands,
        globalFlags,
        extraHelp: () => extraHelp(commands),
        env: process.env,
        terminal,
      },
      process.argv.slice(2),
    );
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    terminal.err(error.text);
    return error.exitCode;
  }
}

void main().then((exitCode) => {
  process.exitCode = exitCode;
});
