/**
 * Requests of simulated clients: a connection without a socket to the real handlers of a member, its
 * answer read from the bytes that they write. What a member writes after its end is never seen.
 */
import { Duplex } from "node:stream";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { createHttpServerOptions } from "@etcd2/api-v2";
import { world } from "./runtime.ts";
import type { Owner } from "./runtime.ts";
import type { SimMember } from "./sim-member.ts";

export interface SimRequest {
  readonly method: string;
  readonly path: string;
  readonly form?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly user?: string;
}

export interface SimAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Told what comes back, in turns of the client. */
export interface SimExchange {
  onHead?(status: number, headers: Readonly<Record<string, string>>): void;
  onChunk?(text: string): void;
  onEnd(answer: SimAnswer): void;
  /** Nothing more will come. */
  onBroken(): void;
}

class Wire extends Duplex {
  readonly remoteAddress = "10.0.0.1";
  readonly #take: (bytes: Buffer) => void;
  constructor(take: (bytes: Buffer) => void) {
    super();
    this.#take = take;
  }
  setTimeout(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  override _read(): void {
    // Requests are handed over whole.
  }
  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#take(bytes);
    done();
  }
}

/** Reads one answer as its bytes come. */
class AnswerReader {
  #rest = Buffer.alloc(0);
  #status = 0;
  #headers: Record<string, string> = {};
  #body = "";
  #isHeadRead = false;
  isOver = false;
  readonly #exchange: SimExchange;

  constructor(exchange: SimExchange) {
    this.#exchange = exchange;
  }

  take(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    if (!this.#isHeadRead && !this.#readHead()) return;
    if (this.#headers["transfer-encoding"] === "chunked") this.#readChunks();
    else {
      const length = Number(this.#headers["content-length"] ?? 0);
      if (this.#rest.length >= length) {
        this.#body = this.#rest.subarray(0, length).toString("latin1");
        this.#end();
      }
    }
  }

  #readHead(): boolean {
    const end = this.#rest.indexOf("\r\n\r\n");
    if (end < 0) return false;
    const [first = "", ...lines] = this.#rest.subarray(0, end).toString("latin1").split("\r\n");
    this.#status = Number(first.split(" ")[1]);
    for (const line of lines) {
      const colon = line.indexOf(":");
      this.#headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    this.#rest = this.#rest.subarray(end + 4);
    this.#isHeadRead = true;
    this.#exchange.onHead?.(this.#status, this.#headers);
    return true;
  }

  #readChunks(): void {
    for (;;) {
      const lineEnd = this.#rest.indexOf("\r\n");
      if (lineEnd < 0) return;
      const length = parseInt(this.#rest.subarray(0, lineEnd).toString("latin1"), 16);
      if (this.#rest.length < lineEnd + 2 + length + 2) return;
      const text = this.#rest.subarray(lineEnd + 2, lineEnd + 2 + length).toString("latin1");
      this.#rest = this.#rest.subarray(lineEnd + 2 + length + 2);
      if (length === 0) {
        this.#end();
        return;
      }
      this.#body += text;
      this.#exchange.onChunk?.(text);
    }
  }

  #end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#exchange.onEnd({ status: this.#status, headers: this.#headers, body: this.#body });
  }
}

type Incoming = new (socket: Socket) => IncomingMessage;
type Outgoing = new (request: IncomingMessage) => ServerResponse;
const { IncomingMessage: Request, ServerResponse: Response } = createHttpServerOptions();

/**
 * Sends a request from `client` to a member.
 * @returns Hangs up.
 */
export function exchange(
  client: Owner,
  member: SimMember,
  request: SimRequest,
  told: SimExchange,
  latencyMs: () => number,
): () => void {
  const at = world();
  let isOver = false;
  let arrivesAt = at.now;
  const reader = new AnswerReader({
    onHead: (status, headers) => told.onHead?.(status, headers),
    onChunk: (text) => told.onChunk?.(text),
    onEnd: (answer) => {
      isOver = true;
      told.onEnd(answer);
    },
    onBroken: () => undefined,
  });
  const back = (run: () => void): void => {
    arrivesAt = Math.max(arrivesAt, at.now + latencyMs());
    at.after(arrivesAt - at.now, client, () => {
      if (!isOver) run();
    });
  };
  const broken = (): void => {
    back(() => {
      isOver = true;
      told.onBroken();
    });
  };
  const { owner } = member;
  if (owner.isDead) {
    broken();
    return () => undefined;
  }
  let wire: Wire | undefined;
  at.after(latencyMs(), owner, () => {
    const { handler } = member;
    if (handler === undefined) {
      broken();
      return;
    }
    wire = new Wire((bytes) => {
      if (owner.isDead) return;
      const copy = Buffer.from(bytes);
      back(() => {
        reader.take(copy);
      });
    });
    wire.on("close", broken);
    wire.on("error", () => undefined);
    serve(handler, wire, request);
  });
  return () => {
    if (isOver) return;
    isOver = true;
    at.after(latencyMs(), owner, () => {
      wire?.destroy();
    });
  };
}

function serve(handler: NonNullable<SimMember["handler"]>, wire: Wire, sent: SimRequest): void {
  const socket = wire as unknown as Socket;
  const request = new (Request as unknown as Incoming)(socket);
  const { text, type } = bodyOf(sent);
  const headers: Record<string, string> = { host: "member.sim:2379" };
  if (text !== "") {
    headers["content-type"] = type;
    headers["content-length"] = String(Buffer.byteLength(text));
  }
  if (sent.user !== undefined) {
    headers["authorization"] = `Basic ${Buffer.from(sent.user).toString("base64")}`;
  }
  Object.assign(request, { method: sent.method, url: sent.path, headers });
  Object.assign(request, { httpVersion: "1.1", httpVersionMajor: 1, httpVersionMinor: 1 });
  Object.assign(request, { rawHeaders: Object.entries(headers).flat(), complete: true });
  const response = new (Response as unknown as Outgoing)(request);
  response.assignSocket(socket);
  if (text !== "") request.push(Buffer.from(text));
  request.push(null);
  handler(request, response);
}

function bodyOf({ form, json }: SimRequest): { text: string; type: string } {
  if (form !== undefined) {
    const text = new URLSearchParams(form).toString();
    return { text, type: "application/x-www-form-urlencoded" };
  }
  if (json === undefined) return { text: "", type: "" };
  return { text: JSON.stringify(json), type: "application/json" };
}
