/** Requests whose errors are `{"message": ...}`: members, authentication, statistics, version. */
import type { Action, Answer, CallOptions, Cluster } from "./cluster.ts";
import { ProtocolError, RefusedError } from "./errors.ts";
import { type JsonObject, parseObject, textOf } from "./json.ts";

/** The server's own words of a refusal; tells the status where it has none. */
export function refusalOf({ status, body }: Pick<Answer, "status" | "body">): RefusedError {
  let message = "";
  try {
    message = textOf(parseObject(body), "message");
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  return new RefusedError(status, message === "" ? `unexpected status code ${status}` : message);
}

/** Sends a request with a JSON body, if any. @throws RefusedError for a status of 300 and more. */
export async function sendAdmin(
  cluster: Cluster,
  method: Action["method"],
  path: string,
  body: JsonObject | undefined,
  options: CallOptions,
): Promise<Answer> {
  const action =
    body === undefined
      ? { method, path }
      : { method, path, body: JSON.stringify(body), contentType: "application/json" };
  const answer = await cluster.send(action, options);
  if (answer.status >= 300) throw refusalOf(answer);
  return answer;
}
