/** The completion command, and the answer to the scripts that it prints. */
import {
  COMPLETE_WORD,
  completionScript,
  completionText,
  shellNamed,
  shells,
} from "@etcd2/completion";
import type { Command } from "commander";
import { completeWords } from "../cli/complete.ts";
import { MigrateError } from "../errors.ts";

export function addCompletionCommand(program: Command): void {
  program
    .command("completion")
    .argument("<shell>", shells.join(", "))
    .description("print a completion script for a shell")
    .action((name: string) => {
      const shell = shellNamed(name);
      if (shell === undefined) {
        throw new MigrateError("usage", `name one shell: ${shells.join(", ")}`);
      }
      process.stdout.write(completionScript(shell, "etcd-migrate"));
    });
}

/** Answers `__complete WORD...`; false when the words ask for something else. */
export function answerCompletion(program: Command, words: readonly string[]): boolean {
  if (words[0] !== COMPLETE_WORD) return false;
  process.stdout.write(completionText(completeWords(program, words.slice(1))));
  return true;
}
