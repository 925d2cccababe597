/** What the key commands share: a session, their way to report, argument checks, printing. */
import type { Command, CommandContext } from "../../cli/command.ts";
import { ClientError, keyFailure } from "../../errors/errors.ts";
import { exitCodes, type Failure } from "../../errors/exit-codes.ts";
import type { FlagSpec } from "../../cli/flags.ts";
import { formatEvent } from "../../output/format.ts";
import { type Session, withSession } from "../../api/session.ts";
import type { KeysResponse } from "../../api/wire.ts";

export const ttlFlag: FlagSpec = {
  kind: "integer",
  name: "ttl",
  initial: 0,
  usage: "key time-to-live",
};
export const sortFlag: FlagSpec = {
  kind: "switch",
  name: "sort",
  usage: "returns result in sorted order",
};
export const quorumFlag: FlagSpec = {
  kind: "switch",
  name: "quorum",
  usage: "require quorum for get request",
};

/** An argument check of a key command that failed. */
export function badArguments(text: string): Failure {
  return keyFailure(exitCodes.badArguments, new ClientError(text));
}

/** Wraps the work of a key command: its failures are printed as key commands print them. */
export function keyCommand(
  run: (session: Session, context: CommandContext) => Promise<void>,
): NonNullable<Command["run"]> {
  return async (context) => {
    await withSession(context, { sync: true }, async (session) => {
      try {
        await run(session, context);
      } catch (error) {
        if (error instanceof ClientError) throw keyFailure(exitCodes.serverError, error);
        throw error;
      }
    });
    return exitCodes.success;
  };
}

/** The first argument. @throws Failure when there is none. */
export function requiredKey({ args }: CommandContext): string {
  const [key] = args;
  if (key === undefined) throw badArguments("key required");
  return key;
}

/** The second argument, or else all of standard input. @throws Failure when both are missing. */
export async function requiredValue(context: CommandContext): Promise<string | Uint8Array> {
  const value = context.args[1] ?? (await context.terminal.readAll());
  if (typeof value !== "string" && value.length === 0) throw badArguments("value required");
  return value;
}

/** Prints an event in the format of `--output`. */
export function printEvent({ terminal, globals }: CommandContext, response: KeysResponse): void {
  const { out, err } = formatEvent(response, globals.string("output"));
  if (out !== "") terminal.out(out);
  if (err !== "") terminal.err(err);
}

/** Prints an event unless it is about a directory, which has no value. */
export function printFileEvent(context: CommandContext, response: KeysResponse): void {
  if (!response.node.isDir) printEvent(context, response);
}
