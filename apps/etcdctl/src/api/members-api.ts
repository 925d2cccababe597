/** The members requests and what their answers mean. */
import { expectStatus, sendAdmin, sendChange } from "./admin-request.ts";
import { type Action, underBase } from "./client.ts";
import { type Endpoint, parseEndpoint } from "../net/endpoints.ts";
import { ClientError, ClusterError, DeadlineError, ServerFaultError } from "../errors/errors.ts";
import type { Session } from "./session.ts";
import type { Answer } from "../net/transport.ts";
import { decodeMember, decodeMembers, decodeObject, type Member, textOf } from "./wire.ts";

/** Shows what became of a change of the members. */
const listCommand = "etcdctl member list";

const jsonType = "application/json";

function membersPath(rest = ""): Action["path"] {
  return underBase(`/v2/members${rest}`);
}

/** The server's own words in a refusal; "" when it has none. */
export function answeredMessage(body: Buffer): string {
  try {
    return textOf(decodeObject(body), "message");
  } catch (error) {
    if (error instanceof ClientError) return "";
    throw error;
  }
}

/** All members in the server's order. @throws ClientError. */
export async function listMembers(session: Session): Promise<readonly Member[]> {
  const answer = await sendAdmin(session, { method: "GET", path: membersPath() });
  expectStatus(answer, 200);
  return decodeMembers(answer.body);
}

/** The leader as one member sees it. @throws ClientError. */
export async function getLeader(session: Session): Promise<Member> {
  const answer = await sendAdmin(session, { method: "GET", path: membersPath("/leader") });
  expectStatus(answer, 200);
  return decodeMember(decodeObject(answer.body));
}

/** Adds a member. @throws ClientError with the server's words for a conflict. */
export async function addMember(
  session: Session,
  peerUrl: string,
  options: { readonly learner: boolean },
): Promise<Member> {
  const fields = options.learner
    ? { peerURLs: [peerUrl], isLearner: true }
    : { peerURLs: [peerUrl] };
  const action: Action = {
    method: "POST",
    path: membersPath(),
    body: JSON.stringify(fields),
    contentType: jsonType,
  };
  const answer = await sendChange(session, action, listCommand);
  expectStatus(answer, 201, 409);
  if (answer.status === 409) throw new ClientError(answeredMessage(answer.body));
  return decodeMember(decodeObject(answer.body));
}

/** Removes a member; one that is gone already counts as removed. @throws ClientError. */
export async function removeMember(session: Session, id: string): Promise<void> {
  const action: Action = { method: "DELETE", path: membersPath(`/${id}`) };
  const answer = await sendChange(session, action, listCommand);
  expectStatus(answer, 204, 410);
}

/** Replaces the peer URLs of a member. @throws ClientError with the server's words. */
export async function updateMember(
  session: Session,
  id: string,
  peerUrls: readonly string[],
): Promise<void> {
  const action: Action = {
    method: "PUT",
    path: membersPath(`/${id}`),
    body: JSON.stringify({ peerURLs: peerUrls }),
    contentType: jsonType,
  };
  const answer = await sendChange(session, action, listCommand);
  expectStatus(answer, 204, 404, 409);
  if (answer.status !== 204) throw new ClientError(answeredMessage(answer.body));
}

/** How a server answered a member action. */
export interface MemberActionResult {
  readonly isDone: boolean;
  readonly status: number;
  /** The server's words; "" when it gave none. */
  readonly message: string;
}

function resultOf({ status, body }: Pick<Answer, "status" | "body">): MemberActionResult {
  return { isDone: status >= 200 && status < 300, status, message: answeredMessage(body) };
}

/** Where the leader can be asked, as it has published it; empty when nobody knows. */
async function leaderEndpoints(session: Session): Promise<readonly Endpoint[]> {
  try {
    return (await getLeader(session)).clientURLs.map(parseEndpoint);
  } catch (error) {
    if (error instanceof ClientError) return [];
    throw error;
  }
}

/** What a refusal with a 5xx status says, undefined when it says nothing. */
export function explainedFault(error: unknown): MemberActionResult | undefined {
  const faults = error instanceof ClusterError ? error.causes : [error];
  for (const fault of faults) {
    if (!(fault instanceof ServerFaultError)) continue;
    const said = resultOf(fault);
    if (said.message !== "") return said;
  }
  return undefined;
}

/** An action that was requested and not answered has perhaps been carried out. */
function unanswered(error: DeadlineError): ClientError {
  const text =
    "no answer within the time of --total-timeout; the request may still be carried out: " +
    "look with 'etcdctl endpoint status' before repeating it";
  return new ClientError(text, { cause: error });
}

/**
 * Requests a promotion or a transfer of leadership. Only the leader can do either, so it is asked
 * first, and any endpoint when it cannot be reached. @throws ClientError when no server answered.
 */
export async function requestMemberAction(
  session: Session,
  id: string,
  action: "promote" | "move-leader",
): Promise<MemberActionResult> {
  const request: Action = {
    method: "POST",
    path: membersPath(`/${id}/${action}`),
    body: "",
    isSlow: true,
  };
  for (const endpoint of await leaderEndpoints(session)) {
    try {
      return resultOf(await session.client.sendTo(endpoint, request, session.deadline()));
    } catch (error) {
      const said = explainedFault(error);
      if (said !== undefined) return said;
      if (error instanceof DeadlineError) throw unanswered(error);
      if (!(error instanceof ClientError)) throw error;
    }
  }
  try {
    return resultOf(await sendAdmin(session, request));
  } catch (error) {
    const said = explainedFault(error);
    if (said !== undefined) return said;
    throw error instanceof DeadlineError ? unanswered(error) : error;
  }
}
