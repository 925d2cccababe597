/** One request about members, users, roles or authentication, and the statuses it may have. */
import { ClientError, mayHaveHappened, OutcomeUnknownError } from "../errors/errors.ts";
import type { Answer } from "../net/transport.ts";
import type { Action } from "./client.ts";
import type { Session } from "./session.ts";

/** Sends a request of an administration command within the time of the whole command. */
export function sendAdmin(session: Session, action: Action): Promise<Answer> {
  return session.client.send(action, session.deadline());
}

/** @throws ClientError when the status is none of those expected. */
export function expectStatus({ status }: Answer, ...expected: readonly number[]): void {
  if (!expected.includes(status)) throw new ClientError(`unexpected status code ${status}`);
}

/**
 * Sends a request that changes something.
 * @param look The command that shows whether it did.
 * @throws OutcomeUnknownError When it may have arrived and was not answered.
 */
export async function sendChange(session: Session, action: Action, look: string): Promise<Answer> {
  try {
    return await sendAdmin(session, action);
  } catch (error) {
    if (!(error instanceof ClientError) || !mayHaveHappened(error)) throw error;
    throw new OutcomeUnknownError(error, look);
  }
}
