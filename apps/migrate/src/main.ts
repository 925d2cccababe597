/** The program: command line in, exit status out. What the commands do is in commands/. */
import { Command, CommanderError } from "commander";
import { EXIT, reportFailure } from "./cli/exit.ts";
import { MigrateError } from "./errors.ts";
import { normalizeFlags } from "./cli/go-flags.ts";
import { addCompletionCommand, answerCompletion } from "./commands/completion.ts";
import { addExportCommand } from "./commands/export.ts";
import { addImportCommand } from "./commands/import.ts";
import { addMirrorCommand } from "./commands/mirror.ts";
import { addRepairCommand } from "./commands/repair.ts";
import { addToV3Command } from "./commands/to-v3.ts";
import { addVerifyCommand } from "./commands/verify.ts";

const VERSION = "2.3.8";

/** @throws MigrateError "usage" for a first word that is neither a flag nor a command. */
function checkFirstWord(program: Command, [word = "-"]: readonly string[]): void {
  const names = program.commands.map((command) => command.name());
  if (word.startsWith("-") || word === "help" || names.includes(word)) return;
  throw new MigrateError("usage", `unknown command "${word}": use ${names.join(", ")} or --help`);
}

async function main(): Promise<void> {
  const program = new Command("etcd-migrate")
    .description("imports the data of older etcd servers into this version, and exports it again")
    .version(VERSION, "--version")
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => {
        write(`etcd-migrate: ${text}`);
      },
    });
  addImportCommand(program);
  addVerifyCommand(program);
  addRepairCommand(program);
  addExportCommand(program);
  addMirrorCommand(program);
  addToV3Command(program);
  addCompletionCommand(program);
  // A reader that has seen enough, such as head, is no fault; the status is that of SIGPIPE.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      process.exit(error.code === "EPIPE" ? EXIT.brokenPipe : EXIT.failed);
    });
  }
  const words = process.argv.slice(2);
  if (answerCompletion(program, words)) return;
  try {
    checkFirstWord(program, words);
    await program.parseAsync(normalizeFlags(words), { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
      return;
    }
    process.exitCode = reportFailure(error);
  }
}

void main();
