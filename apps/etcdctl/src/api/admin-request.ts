/** One request about members, users, roles or authentication, and the statuses it may have. */
import { ClientError } from "../errors/errors.ts";
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
