/**
 * Owns the access log: one JSON line per request on a sink of its own. It wraps the request
 * handler, so a server without it pays nothing. Of a request it writes the path, never the query
 * as a whole, a body, a value or a password.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";

import type { AccessSink } from "./access-sink.ts";
import { pathOf } from "./request-path.ts";
import { watchIndex } from "./response-index.ts";

/** Query parameters that may be shown: switches and numbers, nothing a user writes freely. */
const shownParameters = new Set([
  "dir",
  "prevExist",
  "prevIndex",
  "quorum",
  "recursive",
  "refresh",
  "sorted",
  "stream",
  "ttl",
  "wait",
  "waitIndex",
]);

/** Numbers and switches: a value that lost its way is not among them. */
const harmless = /^(?:-?\d{1,20}|[TtFf]|[Tt]rue|[Ff]alse|TRUE|FALSE)?$/;

const keysPrefix = "/v2/keys";
const pathLengthMax = 4096;

/**
 * The user name in an Authorization header, without the password beside it. Without the colon
 * between the two nobody knows which of them it is.
 */
function userOf(authorization: string | undefined): string | undefined {
  const match = /^Basic\s+([A-Za-z0-9+/=_-]+)\s*$/i.exec(authorization ?? "");
  if (match?.[1] === undefined) return undefined;
  const pair = Buffer.from(match[1], "base64").toString("utf8");
  const at = pair.indexOf(":");
  return at < 0 ? undefined : pair.slice(0, at);
}

/** Who is at the other end of a connection: asked once, because a closed socket forgets. */
interface Caller {
  readonly client: string;
  /** Common name of a verified client certificate. */
  readonly certificate: string | undefined;
}

const callers = new WeakMap<Duplex, Caller>();

function callerOf(socket: Duplex): Caller {
  let caller = callers.get(socket);
  if (caller === undefined) {
    const { remoteAddress = "", remotePort = 0 } = socket instanceof Socket ? socket : {};
    caller = { client: `${remoteAddress}:${remotePort}`, certificate: certificateOf(socket) };
    callers.set(socket, caller);
  }
  return caller;
}

function certificateOf(socket: Duplex): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const subject = socket.getPeerCertificate().subject as { CN?: string | string[] } | undefined;
  const name = subject?.CN;
  return Array.isArray(name) ? name.join(",") : name;
}

function parametersOf(query: string): Readonly<Record<string, string>> | undefined {
  const shown: Record<string, string> = {};
  for (const part of query.split("&")) {
    const at = part.indexOf("=");
    const name = at < 0 ? part : part.slice(0, at);
    const value = at < 0 ? "" : part.slice(at + 1);
    if (shownParameters.has(name) && harmless.test(value)) shown[name] = value;
  }
  return Object.keys(shown).length === 0 ? undefined : shown;
}

function isKeysPath(path: string): boolean {
  return path === keysPrefix || path.startsWith(`${keysPrefix}/`);
}

/** What was noted before the response ended. */
interface Noted {
  readonly caller: Caller;
  /** As it was sent: routing changes the request's own. */
  readonly target: string;
  readonly startMs: number;
  index: string | undefined;
}

function lineOf(
  request: IncomingMessage,
  response: ServerResponse,
  { caller, target, startMs, index }: Noted,
): string {
  const at = target.indexOf("?");
  const path = pathOf(target).slice(0, pathLengthMax);
  const isKeys = isKeysPath(path);
  return `${JSON.stringify({
    time: new Date().toISOString(),
    client: caller.client,
    user: userOf(request.headers.authorization),
    certificate: caller.certificate,
    method: request.method,
    key: isKeys ? path.slice(keysPrefix.length) || "/" : undefined,
    path: isKeys ? undefined : path,
    query: at < 0 ? undefined : parametersOf(target.slice(at + 1)),
    status: response.statusCode,
    index: index === undefined ? undefined : Number(index),
    ms: Math.round((performance.now() - startMs) * 1000) / 1000,
    // A watch that its client left, or an answer cut off.
    aborted: response.writableFinished ? undefined : true,
  })}\n`;
}

/** The handler with a line for every request, written when its response has ended. */
export function withAccessLog(handler: RequestListener, sink: AccessSink): RequestListener {
  return (request, response) => {
    const noted: Noted = {
      caller: callerOf(request.socket),
      target: request.url ?? "",
      startMs: performance.now(),
      index: undefined,
    };
    watchIndex(response, (index) => {
      noted.index = index;
    });
    response.once("close", () => {
      sink.write(lineOf(request, response, noted));
    });
    handler(request, response);
  };
}
