/** What `user`, `role` and `auth` share. */
import { refuse } from "../admin-command.ts";
import type { CommandContext } from "../../cli/command.ts";
import { type Session, traceEndpoints } from "../../api/session.ts";

type Run = (session: Session, context: CommandContext) => Promise<void>;

/** The trace of these commands names the endpoints a second time. */
export function authSession(run: Run): Run {
  return (session, context) => {
    if (context.globals.isSet("debug")) traceEndpoints(context, session);
    return run(session, context);
  };
}

/** A check that there is exactly one argument. */
export function oneArgument(complaint: string): (context: CommandContext) => void {
  return ({ args }) => {
    if (args.length !== 1) throw refuse(complaint);
  };
}
