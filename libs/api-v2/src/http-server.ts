/**
 * How the client port speaks HTTP: limits and time-outs of connections, and what is said to
 * clients that do not speak it. Works for plain and TLS servers alike.
 */
import type { Server as HttpServer, ServerOptions } from "node:http";
import type { Server as HttpsServer } from "node:https";
import type { Duplex } from "node:stream";
import { GatewayRequest, GatewayResponse } from "./http-messages.ts";
import {
  HEADER_BYTES_MAX,
  HEADERS_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  TCP_KEEPALIVE_DELAY_MS,
  TIMEOUT_CHECK_INTERVAL_MS,
} from "./limits.ts";
import { serveConnect, serveOddRequestLine, type LineError } from "./odd-request-line.ts";

/**
 * Options for http.createServer and https.createServer. Receiving a request has a time limit,
 * answering it and waiting for the next one has none.
 */
export function createHttpServerOptions(): ServerOptions<
  typeof GatewayRequest,
  typeof GatewayResponse
> {
  return {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_INTERVAL_MS,
    keepAliveTimeout: 0,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEPALIVE_DELAY_MS,
    IncomingMessage: GatewayRequest,
    ServerResponse: GatewayResponse,
  };
}

/** Completes a server made with these options; call it before listening. */
export function prepareHttpServer(server: HttpServer | HttpsServer): void {
  server.timeout = 0;
  // Every header is kept; their total size is bounded.
  server.maxHeadersCount = 0;
  // A client that shuts its sending side still gets the answers to what it has sent.
  (server as unknown as { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
  serveConnect(server);
  server.on("clientError", (error: LineError, socket: Duplex) => {
    if (!serveOddRequestLine(server, error, socket)) answerClientError(error, socket);
  });
}

function answerClientError(error: LineError, socket: Duplex): void {
  // A connection that is broken, or too slow, has nobody to tell.
  const isLost = error.code === "ECONNRESET" || error.code === "ERR_HTTP_REQUEST_TIMEOUT";
  if (isLost || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === "HPE_HEADER_OVERFLOW"
      ? "431 Request Header Fields Too Large"
      : "400 Bad Request";
  const type = "Content-Type: text/plain; charset=utf-8";
  socket.end(`HTTP/1.1 ${status}\r\n${type}\r\nConnection: close\r\n\r\n${status}`, "latin1");
}
