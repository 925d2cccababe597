/** What `member`, `user`, `role` and `auth` share: argument checks first, bare error texts, status 1. */
import type { Command, CommandContext } from "../cli/command.ts";
import { ClientError, plainFailure } from "../errors/errors.ts";
import { exitCodes, Failure } from "../errors/exit-codes.ts";
import { type Session, withSession } from "../api/session.ts";

/** Ends an administration command with one line. */
export function refuse(text: string): Failure {
  return new Failure(exitCodes.badArguments, `${text}\n`);
}

/** Wraps the work of an administration command; `check` looks at the arguments before any request. */
export function adminCommand(
  check: (context: CommandContext) => void,
  run: (session: Session, context: CommandContext) => Promise<void>,
): NonNullable<Command["run"]> {
  return async (context) => {
    check(context);
    await withSession(context, { sync: true }, async (session) => {
      try {
        await run(session, context);
      } catch (error) {
        if (error instanceof ClientError) throw plainFailure(exitCodes.badArguments, error);
        throw error;
      }
    });
    return exitCodes.success;
  };
}

/** The check of commands that take no arguments. */
export function noArguments({ args }: CommandContext): void {
  if (args.length > 0) throw refuse("No arguments accepted");
}
