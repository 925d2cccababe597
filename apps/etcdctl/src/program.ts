/** The program: its declarations put together, and what a failure means for its end. */
import { COMPLETE_WORD } from "@etcd2/completion";
import { runProgram } from "./cli/cli.ts";
import { commands } from "./commands.ts";
import { exitCodes, Failure } from "./errors/exit-codes.ts";
import { extraHelp } from "./cli/extra-help.ts";
import { globalFlags } from "./cli/global-flags.ts";
import type { Terminal } from "./cli/terminal.ts";

const version = "2.3.8";

// The bundler replaces these two expressions; a run from source keeps the fallbacks.
const productVersion = process.env["ETCD2_VERSION"] ?? "0.0.0-source";
const gitSha = process.env["ETCD2_GIT_SHA"] ?? "not recorded";

function versionJson(): string {
  const { node } = process.versions;
  return JSON.stringify({ etcdctl: version, etcd2: productVersion, gitSha, node });
}

/** Runs etcdctl with the words after its name; resolves to the exit status. */
export async function runEtcdctl(
  calledName: string,
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  terminal: Terminal,
): Promise<number> {
  if (words[0] === COMPLETE_WORD) {
    const { printCompletion } = await import("./commands/complete.ts");
    await printCompletion({ commands, globalFlags }, words, env, terminal);
    return exitCodes.success;
  }
  try {
    return await runProgram(
      {
        calledName,
        version,
        usage: "A simple command line client for etcd.",
        commands,
        globalFlags,
        versionJson,
        extraHelp: () => extraHelp(commands),
        env,
        terminal,
      },
      words,
    );
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    terminal.err(error.text);
    return error.exitCode;
  }
}
