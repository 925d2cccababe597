/** `exec-watch`: runs a program for every change. */
import type { Command, CommandContext } from "../../cli/command.ts";
import { exitCodes, Failure } from "../../errors/exit-codes.ts";
import { badArguments, keyCommand } from "./key-command.ts";
import { watchKey } from "../../api/keys-api.ts";
import type { KeysResponse } from "../../api/wire.ts";

/** The key to watch and the program to run. Without `--` the key is the last word. */
function splitArguments(args: readonly string[]): { key: string; words: readonly string[] } {
  if (args.length < 2) throw badArguments("key and command to exec required");
  const hasSeparator = args.indexOf("--", 1) > 0;
  // etcdctl 2.3.8 fails at the first event.
  if (hasSeparator && args.length < 3) throw badArguments("key and command to exec required");
  return hasSeparator
    ? { key: args[0] ?? "", words: args.slice(2) }
    : { key: args.at(-1) ?? "", words: args.slice(0, -1) };
}

function startFault(program: string, error: NodeJS.ErrnoException): Failure {
  const reason = error.code === "EACCES" ? "permission denied" : "no such file or directory";
  const text = program.includes("/")
    ? `fork/exec ${program}: ${reason}`
    : `exec: "${program}": executable file not found in $PATH`;
  return new Failure(exitCodes.badArguments, text, { cause: error });
}

/** Runs the program to its end; how it ends does not matter. @throws Failure when it cannot start. */
async function runOnce(
  words: readonly string[],
  { env }: CommandContext,
  { action, node }: KeysResponse,
): Promise<void> {
  const { spawn } = await import("node:child_process");
  const [program = "", ...rest] = words;
  const child = spawn(program, rest, {
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      ...env,
      ETCD_WATCH_ACTION: action,
      ETCD_WATCH_KEY: node.key,
      ETCD_WATCH_VALUE: node.value,
      ETCD_WATCH_MODIFIED_INDEX: String(node.modifiedIndex),
    },
  });
  await new Promise<void>((resolve, reject) => {
    child.on("error", (error) => {
      reject(startFault(program, error));
    });
    child.on("close", () => {
      resolve();
    });
  });
}

export const execWatch: Command = {
  name: "exec-watch",
  usage: "watch a key for changes and exec an executable",
  argsUsage: "<key> <command> [args...]",
  takes: ["key", "files", "files"],
  flags: [
    { kind: "integer", name: "after-index", initial: 0, usage: "watch after the given index" },
    { kind: "switch", name: "recursive", usage: "watch all values for key and child keys" },
  ],
  run: keyCommand(async (session, context) => {
    const { args, flags, terminal } = context;
    const { key, words } = splitArguments(args);
    terminal.endOnInterrupt();
    const events = watchKey(session, key, {
      afterIndex: flags.integer("after-index"),
      recursive: flags.isSet("recursive"),
    });
    for await (const response of events) {
      if (response.node.isDir) terminal.err(`Ignored dir ${response.node.key} change`);
      else await runOnce(words, context, response);
    }
  }),
};
