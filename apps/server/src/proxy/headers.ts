/**
 * Headers on their way through a proxy, as flat lists of names and values so that their spelling,
 * order and number stay: which are dropped, and what is added.
 */
import type { IncomingMessage } from "node:http";

/** Headers that concern one connection only. */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "trailers",
  "transfer-encoding",
  "upgrade",
]);

/** Headers that say where a message ends and whom it is for: no Connection header can drop these. */
const vital = new Set(["content-length", "host"]);

/** The names to drop: the fixed ones and those that Connection names. */
function droppedNames(connection: string | undefined): ReadonlySet<string> {
  if (connection === undefined || /^(?:keep-alive|close)$/i.test(connection)) return hopByHop;
  const named = connection
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => !vital.has(name));
  return new Set([...hopByHop, ...named]);
}

function kept(message: IncomingMessage, alsoDrop: (name: string) => boolean): string[] {
  const dropped = droppedNames(message.headers.connection);
  const { rawHeaders } = message;
  const flat: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    const lower = name.toLowerCase();
    if (!dropped.has(lower) && !alsoDrop(lower)) flat.push(name, rawHeaders[at + 1] ?? "");
  }
  return flat;
}

/** Whether a request has a body, of whatever length. */
export function hasBody({ headers }: IncomingMessage): boolean {
  if (headers["transfer-encoding"] !== undefined) return true;
  const length = headers["content-length"];
  return length !== undefined && length !== "0";
}

/** Headers from which the proxy has told whether a page may write, which the member need not. */
const ofPages = new Set(["origin", "sec-fetch-site"]);

/**
 * What goes to the member: addressed to it and not to the proxy, whose names it may not know. The
 * origin of a page that reads goes along, since the member may allow it to see the answer.
 */
export function requestHeaders(request: IncomingMessage, host: string): string[] {
  const { headers, method } = request;
  const reads = method === "GET" || method === "HEAD";
  // The body is asked for here, by the proxy; the member gets it without asking.
  const replaced = new Set(["host", "x-forwarded-for", "expect"]);
  const flat = kept(request, (name) => replaced.has(name) || (!reads && ofPages.has(name)));
  flat.push("Host", host);
  const before = headers["x-forwarded-for"];
  const address = (request.socket.remoteAddress ?? "").replace(/^::ffff:/, "");
  const chain = Array.isArray(before) ? before.join(", ") : before;
  const forwarded = [chain, address].filter((part) => part !== undefined && part !== "");
  if (forwarded.length > 0) flat.push("X-Forwarded-For", forwarded.join(", "));
  if (headers["transfer-encoding"] !== undefined) flat.push("Transfer-Encoding", "chunked");
  else if (headers["content-length"] === undefined && (method === "PUT" || method === "POST")) {
    flat.push("Content-Length", "0");
  }
  return flat;
}

/** What goes back to the client. With own CORS headers those of the member are left out. */
export function responseHeaders(response: IncomingMessage, hasCors: boolean): string[] {
  return kept(response, (name) => hasCors && name.startsWith("access-control-"));
}
