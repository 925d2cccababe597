/**
 * Requests whose target holds bytes above 127 as they are. The original takes them, the runtime's
 * HTTP parser does not: it reports an error and has no setting for it. Such a request is written
 * anew with these bytes percent-encoded, and the connection is led through a fresh parser that
 * serves this one request and closes. Costs nothing while no client does this.
 */
import type { Server as HttpServer } from "node:http";
import { Server as HttpsServer } from "node:https";
import { duplexPair, type Duplex } from "node:stream";

/** What the parser reports: the bytes it was given, and how far it came. */
export interface TargetError extends Error {
  readonly code?: string;
  readonly rawPacket?: Buffer;
  readonly bytesParsed?: number;
}

/** Events the HTTP server listens to on a connection. */
const SERVER_EVENTS = ["data", "end", "close", "drain", "error", "timeout", "pause", "resume"];

/** Serves a request that was refused for its target; false when that was not the reason. */
export function serveRawTarget(
  server: HttpServer | HttpsServer,
  error: TargetError,
  socket: Duplex,
): boolean {
  const { code, rawPacket, bytesParsed } = error;
  if (code !== "HPE_INVALID_URL" || rawPacket === undefined || bytesParsed === undefined) {
    return false;
  }
  // Answers to earlier requests must not be overtaken.
  if ((socket as { _httpMessage?: unknown })._httpMessage) return false;
  const request = encodeTarget(rawPacket, bytesParsed);
  if (request === undefined) return false;
  detach(socket);
  const [near, far] = duplexPair();
  server.emit(server instanceof HttpsServer ? "secureConnection" : "connection", far);
  near.write(request);
  join(socket, near);
  return true;
}

/**
 * The rest of the packet from the request line on, target encoded and the connection marked to be
 * closed; undefined when the line is not complete or has no such bytes.
 */
function encodeTarget(packet: Buffer, at: number): Buffer | undefined {
  const start = packet.lastIndexOf(0x0a, at - 1) + 1;
  const end = packet.indexOf(0x0a, at);
  if (end < 0) return undefined;
  const line = packet.toString("latin1", start, end + 1);
  const parts = /^([A-Z-]+ )(\S+)( HTTP\/1\.[01]\r?\n)$/.exec(line);
  if (parts === null) return undefined;
  const [, method = "", target = "", version = ""] = parts;
  let encoded = "";
  for (let index = 0; index < target.length; index++) {
    const byte = target.charCodeAt(index);
    encoded += byte < 0x80 ? target.charAt(index) : `%${byte.toString(16)}`;
  }
  if (encoded === target) return undefined;
  const head = Buffer.from(`${method}${encoded}${version}Connection: close\r\n`, "latin1");
  return Buffer.concat([head, packet.subarray(end + 1)]);
}

/** Takes a connection away from the parser that gave up on it, which is thereby released. */
function detach(socket: Duplex): void {
  for (const release of socket.listeners("close")) release.call(socket);
  for (const event of SERVER_EVENTS) socket.removeAllListeners(event);
}

function join(socket: Duplex, near: Duplex): void {
  socket.on("error", () => near.destroy());
  near.on("error", () => socket.destroy());
  socket.on("close", () => near.destroy());
  near.on("close", () => {
    if (!socket.writableEnded) socket.end();
  });
  socket.pipe(near);
  near.pipe(socket);
}
