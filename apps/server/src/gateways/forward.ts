/**
 * Requests that another thread of the process serves: each goes there over a connection of its own,
 * with its request line apart, which the parser on the way need not understand, and its answer
 * comes back as it is. Knows no endpoint.
 */
import { request as httpRequest } from "node:http";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** Carries method and target; whoever sent one is not heard. */
const LINE_HEADER = "etcd2-request-line";

/** What is about one connection alone. */
const OF_CONNECTION = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
  "expect",
]);

function headersOf(request: IncomingMessage): string[] {
  const headers = [LINE_HEADER, encodeURIComponent(`${request.method ?? ""} ${request.url ?? ""}`)];
  const { rawHeaders } = request;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = [rawHeaders[at], rawHeaders[at + 1]];
    const lower = name.toLowerCase();
    if (OF_CONNECTION.has(lower) || lower === LINE_HEADER) continue;
    headers.push(name, value);
  }
  if ("transfer-encoding" in request.headers) headers.push("Transfer-Encoding", "chunked");
  return headers;
}

function answerHeaders({ rawHeaders }: IncomingMessage): string[] {
  const headers: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = [rawHeaders[at], rawHeaders[at + 1]];
    if (!OF_CONNECTION.has(name.toLowerCase())) headers.push(name, value);
  }
  return headers;
}

/** Makes the handler that sends requests on. @param connect opens a connection to the other thread. */
export function createForward(connect: (request: IncomingMessage) => Duplex): RequestListener {
  return (request: IncomingMessage, response: ServerResponse) => {
    const isHead = request.method === "HEAD";
    const there = httpRequest({
      method: isHead ? "HEAD" : "POST",
      path: "/",
      headers: headersOf(request),
      setHost: false,
      createConnection: () => connect(request),
    });
    const fail = (): void => {
      if (!response.headersSent) response.writeHead(503, { Connection: "close" });
      response.end();
    };
    there.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.statusMessage, answerHeaders(answer));
      answer.pipe(response);
      answer.on("error", () => response.destroy());
      answer.on("aborted", () => response.destroy());
    });
    there.on("error", fail);
    response.on("close", () => {
      if (!response.writableFinished) there.destroy();
    });
    request.pipe(there);
  };
}

/** The handler for requests that came this way. */
export function unforwarded(handler: RequestListener): RequestListener {
  return (request, response) => {
    const line = decodeURIComponent(String(request.headers[LINE_HEADER] ?? ""));
    const at = line.indexOf(" ");
    request.method = line.slice(0, at);
    request.url = line.slice(at + 1);
    Reflect.deleteProperty(request.headers, LINE_HEADER);
    handler(request, response);
  };
}
