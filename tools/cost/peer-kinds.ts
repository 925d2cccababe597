/**
 * What a stranger can send to the peer port, of about so many bytes each: frames of the streams, of
 * snapshots and of HTTP/2 itself, written byte by byte, as no member writes them.
 */
import { connect as connectHttp2, constants } from "node:http2";
import type { IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";

/** Whom to speak to, and as whom. */
export interface PeerPort {
  readonly port: number;
  readonly clusterId: string;
  /** Id of the member at the port. */
  readonly memberId: string;
}

/** One kind of input of the peer port. */
export interface PeerKind {
  readonly name: string;
  /** Sends it and waits for the end. @returns The status. */
  readonly send: (peer: PeerPort, bytes: number) => Promise<string>;
}

const SERVICE = "/raft.v1.RaftService";
const CALLER = "00000000000000aa";
const EMPTY = Buffer.alloc(0);
const PATIENCE_MS = 20_000;

const MESSAGE_APPEND = 1;
const MESSAGE_HEARTBEAT_RESPONSE = 4;
const MESSAGE_SNAPSHOT = 9;
const MESSAGE_PROPOSE = 12;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

function uint(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function nested(field: number, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
}

/** The same piece again and again, at least so many bytes of it. */
function many(bytes: number, piece: Buffer): Buffer {
  return Buffer.concat(Array.from({ length: Math.ceil(bytes / piece.length) }, () => piece));
}

/** A message as gRPC frames it. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function helloOf({ clusterId, memberId }: PeerPort, label = "2.4.0"): Buffer {
  const ids = [nested(1, clusterId), nested(2, CALLER), nested(3, memberId)];
  return Buffer.concat([...ids, nested(4, label), nested(5, "2.3.0")]);
}

function messageOf({ memberId }: PeerPort, type: number, ...fields: readonly Buffer[]): Buffer {
  return Buffer.concat([uint(1, type), nested(2, memberId), nested(3, CALLER), ...fields]);
}

/** Makes one call with these bytes as its whole request. @returns The status of gRPC, or "reset". */
function call(peer: PeerPort, method: string, body: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const session = connectHttp2(`http://127.0.0.1:${peer.port}`);
    let status = "reset";
    const timer = setTimeout(() => {
      status = "open";
      session.destroy();
    }, PATIENCE_MS);
    session.on("error", () => undefined);
    session.on("close", () => {
      clearTimeout(timer);
      resolve(status);
    });
    const stream = session.request({
      ":method": "POST",
      ":path": `${SERVICE}/${method}`,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const note = (headers: IncomingHttpHeaders): void => {
      const told = headers["grpc-status"];
      if (typeof told === "string") status = told;
    };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.on("error", () => undefined);
    stream.on("close", () => {
      session.destroy();
    });
    stream.resume();
    stream.end(body);
  });
}

/** Writes raw bytes after the preface of HTTP/2 and waits for the end of the connection. */
function raw(peer: PeerPort, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(peer.port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), PATIENCE_MS);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve("-");
    });
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    socket.write(h2(4, 0, 0));
    socket.end(bytes);
  });
}

function h2(type: number, flags: number, stream: number, payload: Buffer = EMPTY): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A literal header field without indexing, its name and value shorter than 127 bytes. */
function field(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.of(0, name.length),
    Buffer.from(name),
    Buffer.of(value.length),
    Buffer.from(value),
  ]);
}

function requestHead(path: string): Buffer {
  const pseudo = [field(":method", "POST"), field(":scheme", "http"), field(":path", path)];
  const rest = [field(":authority", "m"), field("content-type", "application/grpc")];
  return Buffer.concat([...pseudo, ...rest, field("te", "trailers")]);
}

function streamKinds(): readonly PeerKind[] {
  const greeted = (name: string, frames: (peer: PeerPort, bytes: number) => Buffer): PeerKind => ({
    name,
    send: (peer, bytes) => {
      const hello = framed(nested(1, helloOf(peer)));
      return call(peer, "Stream", Buffer.concat([hello, frames(peer, bytes)]));
    },
  });
  const batch = (...messages: readonly Buffer[]): Buffer =>
    framed(nested(2, ...messages.map((message) => nested(1, message))));
  const entry = nested(7, uint(3, 1));
  const voter = nested(1, "00000000000000ab");
  return [
    greeted("peer-frames-empty", (_, bytes) => many(bytes, framed(Buffer.alloc(0)))),
    greeted("peer-pings", (_, bytes) => many(bytes, framed(nested(3, uint(1, 1))))),
    greeted("peer-batches-empty", (_, bytes) => many(bytes, framed(nested(2)))),
    greeted("peer-propose-entries", (peer, bytes) =>
      batch(messageOf(peer, MESSAGE_PROPOSE, many(bytes, entry))),
    ),
    greeted("peer-append-entries", (peer, bytes) => {
      const entries = Array.from({ length: bytes / 10 }, (_, i) =>
        nested(7, uint(2, i + 1), uint(3, 1)),
      );
      return batch(messageOf(peer, MESSAGE_APPEND, ...entries));
    }),
    greeted("peer-messages", (peer, bytes) => {
      const one = nested(1, messageOf(peer, MESSAGE_HEARTBEAT_RESPONSE));
      return framed(nested(2, many(bytes, one)));
    }),
    greeted("peer-snapshot-message", (peer, bytes) => {
      const metadata = nested(13, nested(3, many(bytes, voter)));
      return batch(messageOf(peer, MESSAGE_SNAPSHOT, metadata));
    }),
    greeted("peer-unknown-fields", (_, bytes) => framed(many(bytes, uint(99, 1)))),
    greeted("peer-groups", (_, bytes) => framed(many(bytes, Buffer.of(0x0b)))),
    greeted("peer-nested-hellos", (peer, bytes) => framed(many(bytes, nested(1, helloOf(peer))))),
  ];
}

function firstFrameKinds(): readonly PeerKind[] {
  const first = (name: string, frame: (peer: PeerPort, bytes: number) => Buffer): PeerKind => ({
    name,
    send: (peer, bytes) => call(peer, "Stream", framed(frame(peer, bytes))),
  });
  const entry = nested(7, uint(3, 1));
  const voter = nested(1, "00000000000000ab");
  return [
    first("peer-first-batch", (peer, bytes) =>
      nested(2, nested(1, messageOf(peer, MESSAGE_PROPOSE, many(bytes, entry)))),
    ),
    first("peer-hello-label", (peer, bytes) => nested(1, helloOf(peer, "9".repeat(bytes)))),
    first("peer-hello-fields", (peer, bytes) => nested(1, helloOf(peer), many(bytes, uint(99, 1)))),
    first("peer-hellos", (peer, bytes) => many(bytes, nested(1, helloOf(peer)))),
    {
      name: "peer-snapshot-header",
      send: (peer, bytes) => {
        const metadata = nested(13, nested(3, many(bytes, voter)));
        const message = messageOf(peer, MESSAGE_SNAPSHOT, metadata);
        const header = nested(1, nested(1, helloOf(peer)), nested(2, message));
        return call(peer, "Snapshot", framed(header));
      },
    },
    {
      name: "peer-info-fields",
      send: (peer, bytes) => call(peer, "ClusterInfo", framed(many(bytes, uint(99, 1)))),
    },
  ];
}

function connectionKinds(): readonly PeerKind[] {
  const frames = (name: string, make: (bytes: number) => Buffer): PeerKind => ({
    name,
    send: (peer, bytes) => raw(peer, make(bytes)),
  });
  const path = `${SERVICE}/Stream`;
  const eight = Buffer.alloc(8);
  return [
    frames("peer-http2-pings", (bytes) => many(bytes, h2(6, 0, 0, eight))),
    frames("peer-http2-settings", (bytes) => many(bytes, h2(4, 0, 0))),
    frames("peer-http2-windows", (bytes) => many(bytes, h2(8, 0, 0, Buffer.of(0, 0, 0, 1)))),
    frames("peer-http2-headers", (bytes) => {
      const block = Buffer.concat([requestHead(path), many(bytes, field("x", "y"))]);
      const pieces: Buffer[] = [];
      for (let at = 0; at < block.length; at += 16_000) {
        const flags = at + 16_000 >= block.length ? 4 : 0;
        pieces.push(h2(at === 0 ? 1 : 9, flags, 1, block.subarray(at, at + 16_000)));
      }
      return Buffer.concat(pieces);
    }),
    frames("peer-http2-resets", (bytes) => {
      const head = requestHead(path);
      const code = Buffer.alloc(4);
      code[3] = constants.NGHTTP2_CANCEL;
      return Buffer.concat(
        Array.from({ length: bytes / 150 }, (_, i) =>
          Buffer.concat([h2(1, 4, 2 * i + 1, head), h2(3, 0, 2 * i + 1, code)]),
        ),
      );
    }),
    frames("peer-http2-streams", (bytes) => {
      const head = requestHead(path);
      return Buffer.concat(
        Array.from({ length: bytes / 150 }, (_, i) => h2(1, 4, 2 * i + 1, head)),
      );
    }),
    frames("peer-http2-calls", (bytes) => {
      // The call ends with the request: each is answered.
      const head = requestHead(`${SERVICE}/ClusterInfo`);
      return Buffer.concat(
        Array.from({ length: bytes / 150 }, (_, i) =>
          Buffer.concat([h2(1, 4, 2 * i + 1, head), h2(0, 1, 2 * i + 1, framed(Buffer.alloc(0)))]),
        ),
      );
    }),
  ];
}

/** All kinds of the peer port. */
export function peerKinds(): readonly PeerKind[] {
  return [...streamKinds(), ...firstFrameKinds(), ...connectionKinds()];
}
