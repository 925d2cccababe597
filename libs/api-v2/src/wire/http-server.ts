/**
 * How the client port speaks HTTP: limits and time-outs of connections, and what is said to
 * clients that do not speak it. Works for plain and TLS servers alike.
 */
import type {
  IncomingMessage,
  Server as HttpServer,
  ServerOptions,
  ServerResponse,
} from "node:http";
import { Server as HttpsServer } from "node:https";
import type { Duplex } from "node:stream";
import { answer } from "../http/answer.ts";
import { hasBody } from "../http/body-limit.ts";
import { GatewayRequest, GatewayResponse } from "../http/http-messages.ts";
import {
  HEADER_BYTES_REWRITTEN_MAX,
  HEADERS_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  TCP_KEEPALIVE_DELAY_MS,
  TIMEOUT_CHECK_INTERVAL_MS,
} from "../ports/limits.ts";
import { gateConnections, refuseConnection } from "./wire-gate.ts";

/**
 * Options for http.createServer and https.createServer. Receiving a request has a time limit,
 * answering it and waiting for the next one has none.
 */
export function createHttpServerOptions(): ServerOptions<
  typeof GatewayRequest,
  typeof GatewayResponse
> {
  return {
    maxHeaderSize: HEADER_BYTES_REWRITTEN_MAX,
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
  gateConnections(server, server instanceof HttpsServer ? "secureConnection" : "connection");
  server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
    if (hasBody(request)) response.writeContinue();
    server.emit("request", request, response);
  });
  server.on("checkExpectation", (_request: IncomingMessage, response: ServerResponse) => {
    response.shouldKeepAlive = false;
    answer(response, 417, [], "");
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    // A connection that is broken, or too slow, has nobody to tell.
    const isLost = error.code === "ECONNRESET" || error.code === "ERR_HTTP_REQUEST_TIMEOUT";
    if (isLost || !socket.writable) socket.destroy();
    else refuseConnection(socket);
  });
}
