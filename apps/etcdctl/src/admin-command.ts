/** What `member`, `user`, `role` and `auth` share: argument checks first, bare error texts, status 1. */
import type { Action } from "./client.ts";
import type { Command, CommandContext } from "./command.ts";
import { ClientError, plainFailure } from "./errors.ts";
import { exitCodes, Failure } from "./exit-codes.ts";
import { type Session, withSession } from "./session.ts";
import type { Answer } from "./transport.ts";

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

/** Sends a request of an administration command within the time of the whole command. */
export function sendAdmin(session: Session, action: Action): Promise<Answer> {
  return session.client.send(action, session.deadline());
}

/** @throws ClientError when the status is none of those expected. */
export function expectStatus({ status }: Answer, ...expected: readonly number[]): void {
  if (!expected.includes(status)) throw new ClientError(`unexpected status code ${status}`);
}
