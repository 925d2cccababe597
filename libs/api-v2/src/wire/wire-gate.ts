/**
 * Stands between a connection and the runtime's HTTP parser. Gives the parser one request at a
 * time, and the next one only when the answer is out, so that every request gets its own answer,
 * in order, and a complaint about what follows comes behind them. Heads in the usual form pass as
 * they are; others are written anew (rewrite-head.ts) or refused, so that the parser never sees
 * what it would read otherwise than this does. Says when an announced body does not come whole.
 */
import type { EventEmitter } from "node:events";
import type { IncomingMessage, Server as HttpServer, ServerResponse } from "node:http";
import type { Server as HttpsServer } from "node:https";
import type { Duplex } from "node:stream";
import { reportBrokenBody } from "../http/http-messages.ts";
import {
  HEADER_BYTES_MAX,
  HEADER_LINES_MAX,
  LINGER_MS,
  PIPELINED_BYTES_MAX,
} from "../ports/limits.ts";
import { ByteQueue } from "./byte-queue.ts";
import { CR, endOfRun, IN_TOKEN, LF } from "./bytes.ts";
import { ChunkDecoder } from "./chunk-decoder.ts";
import { endOfPlainHead, plainBodyBytes } from "./plain-head.ts";
import { readShared } from "./shared-reads.ts";
import { readRequestLine, rewriteHead, type ShownLine } from "./rewrite-head.ts";

type Feed = (bytes: Buffer) => void;

/** What the runtime keeps at a connection. */
interface Served {
  /** The answer under way. */
  readonly _httpMessage?: ServerResponse | null;
  /** Set while the client takes nothing of the answers; the parser must not be given anything. */
  readonly _paused?: boolean;
}

const STATUS_TEXTS = {
  400: "Bad Request",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  505: "HTTP Version Not Supported",
} as const;

/** Events of the server that begin a request; the parser emits one of them for every head. */
const REQUEST_EVENTS = ["request", "checkContinue", "checkExpectation"];

const gates = new WeakMap<Duplex, WireGate>();

/** Gates every connection of a server; call it before listening. */
export function gateConnections(server: HttpServer | HttpsServer, event: string): void {
  server.on(event, (socket: Duplex) => {
    if (!socket.destroyed) gates.set(socket, new WireGate(server, socket));
  });
}

/** Answers a connection whose parser gave up: 400 and the end. */
export function refuseConnection(socket: Duplex): void {
  gates.get(socket)?.refuse(400, "");
}

/** The listener that the runtime added for an event, taken away from the connection. */
function takeListener(socket: Duplex, event: "data" | "end"): (...args: unknown[]) => void {
  const listener = socket.listeners(event).at(-1);
  if (listener === undefined) throw new Error(`the HTTP server does not listen to "${event}"`);
  socket.removeListener(event, listener as () => void);
  return listener as (...args: unknown[]) => void;
}

class WireGate {
  readonly #server: HttpServer | HttpsServer;
  readonly #socket: Duplex & Served;
  readonly #feed: Feed;
  readonly #parserEnded: () => void;
  readonly #queue = new ByteQueue();
  /** What comes next: a head, so many bytes of a body, or chunks of one. */
  #state: "head" | "length" | "chunked" | "over" = "head";
  #left = 0;
  #chunks: ChunkDecoder | undefined;
  /** How much of the queue is known to hold no end of a head. */
  #searched = 0;
  #isLineChecked = false;
  #headTimer: NodeJS.Timeout | undefined;
  #isWaiting = false;
  #isPaused = false;
  #isEnded = false;

  constructor(server: HttpServer | HttpsServer, socket: Duplex) {
    this.#server = server;
    this.#socket = socket;
    // Connections with TLS would end by themselves when the client has sent all it will send.
    socket.allowHalfOpen = true;
    // Adding a listener makes the runtime leave the reading to the stream.
    const feed = takeListener(socket, "data");
    socket.on("data", this.#receive);
    this.#feed = feed.bind(socket);
    readShared(socket, this.#receiveLent);
    this.#parserEnded = takeListener(socket, "end").bind(socket);
    socket.on("end", this.#end);
    socket.on("close", this.#close);
  }

  readonly #receive = (packet: Buffer): void => {
    this.#take(packet, false);
  };

  readonly #receiveLent = (packet: Buffer): void => {
    this.#take(packet, true);
  };

  #take(packet: Buffer, isLent: boolean): void {
    if (this.#state === "head" && this.#queue.size === 0 && !this.#socket._httpMessage) {
      const end = endOfPlainHead(packet, 0);
      if (end > 0 && end + plainBodyBytes === packet.length) {
        this.#feed(packet);
        return;
      }
    }
    this.#queue.append(packet, isLent);
    this.#advance();
  }

  readonly #end = (): void => {
    this.#isEnded = true;
    this.#advance();
  };

  readonly #close = (): void => {
    this.#state = "over";
    this.#queue.clear();
    clearTimeout(this.#headTimer);
  };

  /** Uses as much as can be used now. */
  #advance(): void {
    while (this.#step());
    if (this.#isPaused && this.#queue.size < PIPELINED_BYTES_MAX) {
      this.#isPaused = false;
      this.#socket.resume();
    }
    if (this.#isEnded) this.#finish();
  }

  /** One head, or one part of a body; false when more must come or happen first. */
  #step(): boolean {
    if (this.#state === "over") {
      this.#queue.clear();
      return false;
    }
    if (this.#queue.size === 0) return false;
    if (this.#socket._paused === true) {
      this.#socket.once("drain", () =>
        setImmediate(() => {
          this.#advance();
        }),
      );
      return false;
    }
    if (this.#state === "length") this.#passBody();
    else if (this.#state === "chunked") this.#passChunks();
    else if (this.#socket._httpMessage) {
      this.#awaitAnswer(this.#socket._httpMessage);
      return false;
    } else return this.#passHead();
    return true;
  }

  /** Goes on when the answer is out; a client that is too far ahead is not read from until then. */
  #awaitAnswer(answer: ServerResponse): void {
    if (this.#queue.size >= PIPELINED_BYTES_MAX) {
      this.#isPaused = true;
      this.#socket.pause();
    }
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    answer.once("close", () => {
      this.#isWaiting = false;
      // After an answer with "Connection: close" nothing is served.
      if (this.#socket.writableEnded || this.#socket.destroyed) this.#state = "over";
      this.#advance();
    });
  }

  #passHead(): boolean {
    const bytes = this.#queue.bytes;
    const blank = blankLines(bytes);
    if (blank > 0) {
      this.#queue.drop(blank);
      this.#searched = 0;
      return true;
    }
    const end = headEnd(bytes, this.#searched);
    if (end < 0) {
      this.#searched = bytes.length;
      this.#awaitHead(bytes);
      return false;
    }
    clearTimeout(this.#headTimer);
    this.#headTimer = undefined;
    this.#searched = 0;
    this.#isLineChecked = false;
    if (end > HEADER_BYTES_MAX || hasTooManyLines(bytes, end)) this.refuse(431, "");
    else if (endOfPlainHead(bytes, 0) === end)
      this.#open(bytes.subarray(0, end), end, plainBodyBytes);
    else {
      const head = rewriteHead(bytes.toString("latin1", 0, end));
      if (head.kind === "refused") {
        this.refuse(head.status, head.reason);
      } else {
        this.#openAs(head.shown, Buffer.from(head.text, "latin1"), end, head.body);
      }
    }
    return true;
  }

  /** What is no request is refused when that shows, and a sender that takes too long is cut off. */
  #awaitHead(bytes: Buffer): void {
    if (bytes.length > HEADER_BYTES_MAX) {
      this.refuse(431, "");
      return;
    }
    if (!this.#isLineChecked) {
      const lineEnd = bytes.indexOf(LF);
      this.#isLineChecked = lineEnd >= 0;
      const line = bytes.toString("latin1", 0, Math.max(0, lineEnd)).replace(/\r$/, "");
      const read = lineEnd < 0 ? undefined : readRequestLine(line);
      if (read?.kind === "refused") {
        this.refuse(read.status, read.reason);
        return;
      }
      // No method begins so; it may be a TLS handshake, which has no lines.
      if (
        bytes.length > 0 &&
        endOfRun(bytes.subarray(0, 1), 0, IN_TOKEN) === 0 &&
        bytes[0] !== CR
      ) {
        this.refuse(400, "");
        return;
      }
    }
    const { headersTimeout } = this.#server;
    if (headersTimeout > 0) {
      this.#headTimer ??= setTimeout(() => this.#socket.destroy(), headersTimeout).unref();
    }
  }

  #open(head: Buffer, used: number, body: number | "chunked"): void {
    if (body === "chunked") {
      this.#state = "chunked";
      this.#chunks = new ChunkDecoder();
    } else if (body > 0) {
      this.#state = "length";
      this.#left = body;
    }
    // Before the parser runs: it may hand over the rest, or end the connection.
    this.#queue.drop(used);
    this.#feed(head);
  }

  /** The request shows another line than the parser is given. */
  #openAs(line: ShownLine | undefined, head: Buffer, used: number, body: number | "chunked"): void {
    if (line === undefined) {
      this.#open(head, used, body);
      return;
    }
    const show = (request: IncomingMessage): void => {
      request.url = line.target;
      if (line.method !== undefined) request.method = line.method;
    };
    const server: EventEmitter = this.#server;
    for (const event of REQUEST_EVENTS) server.prependListener(event, show);
    try {
      this.#open(head, used, body);
    } finally {
      for (const event of REQUEST_EVENTS) server.removeListener(event, show);
    }
  }

  #passBody(): void {
    const bytes = this.#queue.bytes;
    const part = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#left -= part.length;
    if (this.#left === 0) this.#state = "head";
    this.#queue.drop(part.length);
    this.#feed(part);
  }

  /** The parser gets one chunk for whatever came together. */
  #passChunks(): void {
    const chunks = this.#chunks;
    if (chunks === undefined) return;
    const { used, body } = chunks.decode(this.#queue.bytes);
    this.#queue.drop(used);
    if (chunks.problem !== undefined) {
      this.#breakBody(chunks.problem);
      return;
    }
    if (chunks.isDone) {
      this.#state = "head";
      this.#chunks = undefined;
    }
    if (body.length > 0) {
      const size = `${body.length.toString(16)}\r\n`;
      this.#feed(Buffer.concat([Buffer.from(size), body, Buffer.from("\r\n")]));
    }
    if (chunks.isDone) this.#feed(Buffer.from("0\r\n\r\n"));
  }

  /** The client has sent all it will send. */
  #finish(): void {
    if (this.#state === "over") return;
    if (this.#state !== "head") {
      this.#breakBody("unexpected EOF");
    } else if (this.#queue.size === 0) {
      this.#state = "over";
      this.#parserEnded();
    } else if (!this.#isWaiting && this.#socket._paused !== true) {
      this.refuse(400, "");
    }
  }

  /** The rest of a body will not come: its request is refused, unless it was answered already. */
  #breakBody(reason: string): void {
    this.#state = "over";
    this.#queue.clear();
    const answer = this.#socket._httpMessage;
    if (!answer) {
      this.#socket.end();
      this.#linger();
      return;
    }
    answer.shouldKeepAlive = false;
    answer.once("close", () => {
      if (!this.#socket.writableEnded) this.#socket.end();
      this.#linger();
    });
    if (!answer.headersSent && !reportBrokenBody(answer.req, reason)) this.refuse(400, "");
  }

  /** Answers in place of whoever would, and ends the connection. */
  refuse(status: keyof typeof STATUS_TEXTS, reason: string): void {
    this.#close();
    const socket = this.#socket;
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    const name = `${status} ${STATUS_TEXTS[status]}${reason === "" ? "" : `: ${reason}`}`;
    const body = status === 501 ? "Unsupported transfer encoding" : name;
    const type = "Content-Type: text/plain; charset=utf-8";
    socket.end(`HTTP/1.1 ${name}\r\n${type}\r\nConnection: close\r\n\r\n${body}`, "latin1");
    this.#linger();
  }

  /** What is still coming is thrown away for a while, so that the answer is not lost on its way. */
  #linger(): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once("close", () => {
      clearTimeout(timer);
    });
  }
}

/** Bytes of empty lines that precede a request. */
function blankLines(bytes: Buffer): number {
  let at = 0;
  for (;;) {
    if (bytes[at] === LF) at += 1;
    else if (bytes[at] === CR && bytes[at + 1] === LF) at += 2;
    else return at;
  }
}

/** Where the head ends that the bytes begin with, -1 when it is not complete. */
function headEnd(bytes: Buffer, searched: number): number {
  let at = bytes.indexOf(LF, Math.max(0, searched - 2));
  while (at >= 0) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
    at = bytes.indexOf(LF, at + 1);
  }
  return -1;
}

/** Whether a head has more lines than are taken; short ones cannot have, and are not looked at. */
function hasTooManyLines(bytes: Buffer, end: number): boolean {
  if (end <= HEADER_LINES_MAX) return false;
  let at = 0;
  for (let lines = 0; lines <= HEADER_LINES_MAX; lines++) {
    at = bytes.indexOf(LF, at) + 1;
    if (at === 0 || at >= end) return false;
  }
  return true;
}
