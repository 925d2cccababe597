/**
 * Request lines that the original takes and the runtime's HTTP parser does not: bytes above 127 in
 * the target, and methods it does not know. It reports an error and has no setting for it. Such a
 * request is written anew, bytes percent-encoded and the method one that no endpoint has either,
 * and the connection is led through a fresh parser that serves this one request and closes. CONNECT
 * is known to it, but kept from the routes. Costs nothing while no client does this.
 */
import { METHODS, type IncomingMessage, type Server as HttpServer } from "node:http";
import { Server as HttpsServer } from "node:https";
import { Socket } from "node:net";
import { duplexPair, type Duplex } from "node:stream";
import { GatewayRequest, GatewayResponse } from "./http-messages.ts";

/** What the parser reports: the bytes it was given, and how far it came. */
export interface LineError extends Error {
  readonly code?: string;
  readonly rawPacket?: Buffer;
  readonly bytesParsed?: number;
}

/** Events the HTTP server listens to on a connection. */
const SERVER_EVENTS = ["data", "end", "close", "drain", "error", "timeout", "pause", "resume"];

/** Errors of the parser that the request line may be the reason of. */
const LINE_ERRORS = new Set(["HPE_INVALID_URL", "HPE_INVALID_METHOD", "HPE_INVALID_CONSTANT"]);

/** Stands for methods the parser does not know: it knows this one, and no endpoint has it. */
const UNSUPPORTED_METHOD = "PURGE";

/** Connections behind the streams that stand for them. */
const behind = new WeakMap<Duplex, Duplex>();

/** The client's connection: the one a request came on, or that behind its stand-in. */
export function connectionOf(socket: Duplex): Duplex {
  return behind.get(socket) ?? socket;
}

/** Serves a request that was refused for its first line; false when that was not the reason. */
export function serveOddRequestLine(
  server: HttpServer | HttpsServer,
  error: LineError,
  socket: Duplex,
): boolean {
  const { code, rawPacket, bytesParsed } = error;
  if (code === undefined || !LINE_ERRORS.has(code)) return false;
  if (rawPacket === undefined || bytesParsed === undefined) return false;
  // Answers to earlier requests must not be overtaken.
  if ((socket as { _httpMessage?: unknown })._httpMessage) return false;
  const request = rewriteLine(rawPacket, bytesParsed);
  if (request === undefined) return false;
  detach(socket);
  const [near, far] = duplexPair();
  behind.set(far, socket);
  server.emit(server instanceof HttpsServer ? "secureConnection" : "connection", far);
  near.write(request);
  join(socket, near);
  return true;
}

/**
 * Serves CONNECT like any other method: for the runtime it is the start of a tunnel, whose
 * connection ends without an answer when nobody digs it.
 */
export function serveConnect(server: HttpServer | HttpsServer): void {
  server.on("connect", (req: IncomingMessage, socket: Duplex) => {
    socket.on("error", () => socket.destroy());
    if (!(req instanceof GatewayRequest && socket instanceof Socket)) {
      socket.destroy();
      return;
    }
    // The name of a host, to which no way leads from here: like the root, it is not found.
    if (req.url !== "*" && req.url?.startsWith("/") !== true) req.url = "/";
    const res = new GatewayResponse(req);
    res.shouldKeepAlive = false;
    res.assignSocket(socket);
    res.once("finish", () => socket.end());
    server.emit("request", req, res);
  });
}

/**
 * The rest of the packet from the request line on, with a line the parser takes and the connection
 * marked to be closed; undefined when the line is not complete or not at fault.
 */
function rewriteLine(packet: Buffer, at: number): Buffer | undefined {
  const start = at === 0 ? 0 : packet.lastIndexOf(0x0a, at - 1) + 1;
  const end = packet.indexOf(0x0a, at);
  if (end < 0) return undefined;
  const line = packet.toString("latin1", start, end + 1);
  const parts = /^([!#$%&'*+.^_`|~\w-]+) (\S+)( HTTP\/1\.[01]\r?\n)$/.exec(line);
  if (parts === null) return undefined;
  const [, method = "", target = "", version = ""] = parts;
  const known = METHODS.includes(method) ? method : UNSUPPORTED_METHOD;
  let encoded = "";
  for (let index = 0; index < target.length; index++) {
    const byte = target.charCodeAt(index);
    encoded += byte < 0x80 ? target.charAt(index) : `%${byte.toString(16)}`;
  }
  if (encoded === target && known === method) return undefined;
  const head = Buffer.from(`${known} ${encoded}${version}Connection: close\r\n`, "latin1");
  return Buffer.concat([head, packet.subarray(end + 1)]);
}

/** Takes a connection away from the parser that gave up on it, which is thereby released. */
function detach(socket: Duplex): void {
  for (const release of socket.listeners("close")) release.call(socket);
  for (const event of SERVER_EVENTS) socket.removeAllListeners(event);
}

function join(socket: Duplex, near: Duplex): void {
  // Whoever looks for idle connections sees that this one is being answered.
  (socket as { _httpMessage?: unknown })._httpMessage = near;
  socket.on("error", () => near.destroy());
  near.on("error", () => socket.destroy());
  socket.on("close", () => near.destroy());
  near.on("close", () => {
    if (!socket.writableEnded) socket.end();
  });
  socket.pipe(near);
  near.pipe(socket);
}
