/**
 * A small HTTP/1.1 client over a plain socket that sends exactly the bytes it is given and hands
 * out responses while they arrive. For tests: real clients clean up targets and headers. Texts
 * are byte strings.
 */
import { connect } from "node:net";
import type { Duplex } from "node:stream";

/** Where requests go: a base URL, or a function that connects to a server in this process. */
export type RawTarget = string | (() => Duplex);

/** A response as far as it has arrived. */
export interface RawResponse {
  readonly status: number;
  /** Names in lower case; repeated headers are joined with a comma. */
  readonly headers: ReadonlyMap<string, string>;
  body: string;
  complete: boolean;
}

/** What a request consists of; sent as it stands. */
export interface RawRequest {
  readonly method: string;
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
}

type Framing = "none" | "length" | "chunked" | "close";

/** One connection. Requests are answered in order; the latest response is kept. */
export class RawConnection {
  readonly #socket: Duplex;
  readonly #host: string;
  #buffer = "";
  #isEnded = false;
  #wake: (() => void) | undefined;
  #framing: Framing = "none";
  #left = 0;
  #method = "GET";
  #response: RawResponse | undefined;

  private constructor(socket: Duplex, host: string) {
    this.#socket = socket;
    this.#host = host;
    socket.on("data", (chunk: Buffer) => {
      this.#buffer += chunk.toString("latin1");
      this.#wake?.();
    });
    const end = (): void => {
      this.#isEnded = true;
      this.#wake?.();
    };
    socket.on("end", end).on("close", end).on("error", end);
  }

  static open(target: RawTarget): Promise<RawConnection> {
    if (typeof target === "function") {
      return Promise.resolve(new RawConnection(target(), "in-process"));
    }
    const { hostname, port, host } = new URL(target);
    return new Promise((resolve, reject) => {
      const socket = connect({ port: Number(port), host: hostname, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        resolve(new RawConnection(socket, host));
      });
    });
  }

  /** Whether the other side has closed, or a response ends with the connection. */
  get isOver(): boolean {
    return this.#isEnded || this.#framing === "close";
  }

  /** Sends bytes as they are. */
  write(bytes: string): void {
    this.#socket.write(bytes, "latin1");
  }

  /** Ends the sending side only. */
  half(): void {
    this.#socket.end();
  }

  /** Stops reading, as a client that has got stuck. */
  pause(): void {
    this.#socket.pause();
  }

  /** Reads again after pause(). */
  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }

  send({ method, target, headers = {}, body }: RawRequest): void {
    const names = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
    let head = `${method} ${target} HTTP/1.1\r\n`;
    if (!names.has("host")) head += `Host: ${this.#host}\r\n`;
    for (const [name, value] of Object.entries(headers)) head += `${name}: ${value}\r\n`;
    const framed = names.has("content-length") || names.has("transfer-encoding");
    if (body !== undefined && !framed) head += `Content-Length: ${body.length}\r\n`;
    this.#method = method;
    this.write(`${head}\r\n${body ?? ""}`);
  }

  /** Waits for the headers of the next response. @throws Error when they do not come. */
  async head(timeoutMs: number, method = this.#method): Promise<RawResponse> {
    const deadline = Date.now() + timeoutMs;
    let end: number;
    while ((end = this.#buffer.indexOf("\r\n\r\n")) < 0) {
      if (this.#isEnded) throw new Error("the connection was closed without a response");
      if (!(await this.#more(deadline))) throw new Error("no response headers in time");
    }
    const lines = this.#buffer.slice(0, end).split("\r\n");
    this.#buffer = this.#buffer.slice(end + 4);
    const status = Number(lines[0]?.split(" ")[1]);
    if (status === 100) return this.head(deadline - Date.now(), method);
    const headers = new Map<string, string>();
    for (const line of lines.slice(1)) {
      const colon = line.indexOf(":");
      const name = line.slice(0, colon).toLowerCase();
      const value = line.slice(colon + 1).trim();
      const earlier = headers.get(name);
      headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
    }
    const response: RawResponse = { status, headers, body: "", complete: false };
    this.#frame(response, method);
    this.#response = response;
    this.#decode();
    return response;
  }

  /** Waits until the response is complete or `isEnough`; false when time is up. */
  async receive(timeoutMs: number, isEnough?: (r: RawResponse) => boolean): Promise<boolean> {
    const response = this.#response;
    if (response === undefined) throw new Error("there is no response to receive");
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      this.#decode();
      if (response.complete || isEnough?.(response) === true) return true;
      if (this.#isEnded) throw new Error("the connection was closed inside a response");
      if (!(await this.#more(deadline))) return false;
    }
  }

  /** Waits until the other side closes; false when time is up. */
  async closed(timeoutMs: number): Promise<boolean> {
    const deadline = Date.now() + timeoutMs;
    while (!this.#isEnded) {
      if (!(await this.#more(deadline))) return false;
    }
    return true;
  }

  /** A whole exchange. */
  async exchange(request: RawRequest, timeoutMs = 15_000): Promise<RawResponse> {
    this.send(request);
    const response = await this.head(timeoutMs);
    if (!(await this.receive(timeoutMs))) throw new Error("the response is not complete in time");
    return response;
  }

  #frame(response: RawResponse, method: string): void {
    const length = response.headers.get("content-length");
    const { status } = response;
    if (method === "HEAD" || status === 204 || status === 304) this.#framing = "none";
    else if (response.headers.get("transfer-encoding") === "chunked") this.#framing = "chunked";
    else if (length !== undefined) this.#framing = "length";
    else this.#framing = "close";
    this.#left = this.#framing === "length" ? Number(length) : 0;
  }

  /** Moves what has arrived into the response. */
  #decode(): void {
    const response = this.#response;
    if (response === undefined || response.complete) return;
    if (this.#framing === "chunked") this.#decodeChunks(response);
    else if (this.#framing === "length") {
      response.body += this.#take(this.#left);
      response.complete = this.#left === 0;
    } else if (this.#framing === "close") {
      response.body += this.#take(this.#buffer.length);
      response.complete = this.#isEnded;
    } else response.complete = true;
  }

  #take(count: number): string {
    const taken = this.#buffer.slice(0, count);
    this.#buffer = this.#buffer.slice(taken.length);
    this.#left -= taken.length;
    return taken;
  }

  /** `#left` counts the bytes of the current chunk with its line end. */
  #decodeChunks(response: RawResponse): void {
    for (;;) {
      if (this.#left > 2)
        response.body += this.#take(Math.min(this.#left - 2, this.#buffer.length));
      if (this.#left > 2) return;
      if (this.#left > 0) {
        if (this.#buffer.length < this.#left) return;
        this.#take(this.#left);
      }
      const line = this.#buffer.indexOf("\r\n");
      if (line < 0) return;
      const size = parseInt(this.#buffer.slice(0, line), 16);
      if (size === 0) {
        if (this.#buffer.length < line + 4) return;
        this.#buffer = this.#buffer.slice(line + 4);
        response.complete = true;
        return;
      }
      this.#buffer = this.#buffer.slice(line + 2);
      this.#left = size + 2;
    }
  }

  /** Waits for more bytes or the end; false when the deadline passes first. */
  #more(deadline: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => {
          this.#wake = undefined;
          resolve(false);
        },
        Math.max(0, deadline - Date.now()),
      );
      this.#wake = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve(true);
      };
    });
  }
}
