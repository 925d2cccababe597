/**
 * One HTTP/2 connection to one endpoint, over which gRPC calls run side by side. Owns the session, its
 * keep-alive and what becomes of calls when it breaks; knows no endpoint but its own and no message.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  constants,
} from "node:http2";
import { encodeFrame, FrameDecoder } from "./grpc-frames.ts";
import { openSession, type TlsOptions } from "./session.ts";
import { statusCode, V3Error } from "./v3-error.ts";

export interface ConnectionOptions {
  /** `http://host:port` or `https://host:port`. */
  readonly endpoint: string;
  readonly tls?: TlsOptions | undefined;
  /** Time for TCP and TLS to come about. Default 2,000 ms. */
  readonly connectTimeoutMs?: number;
  /** Longest answer. Default 64 MiB, beyond what a server sends. */
  readonly messageBytesMax?: number;
}

export interface CallOptions {
  /** Token of Authenticate. */
  readonly token?: string | undefined;
  /** Time until the call fails with deadlineExceeded. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

const CONNECT_TIMEOUT_MS = 2000;
const MESSAGE_BYTES_MAX = 64 << 20;

/** An idle connection is asked for a sign of life this often. */
const PING_INTERVAL_MS = 5000;
const PING_TIMEOUT_MS = 5000;

/** Flow-control window of the connection and of each stream: large answers need few round trips. */
const WINDOW_BYTES = 8 << 20;

function headers(
  authority: string,
  path: string,
  token: string | undefined,
): Record<string, string> {
  const base = {
    ":method": "POST",
    ":authority": authority,
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
  };
  return token === undefined ? base : { ...base, token };
}

/** Why a stream ended without an answer. REFUSED_STREAM says that the server did not look at it. */
function brokenStream(stream: ClientHttp2Stream, cause: unknown): V3Error {
  const isRefused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
  const text = cause instanceof Error ? cause.message : "the connection was closed";
  return new V3Error("unavailable", text, { mayHaveHappened: !isRefused, cause });
}

/**
 * A server that has read enough closes a stream without an error: it refused a request that it did not
 * take in, which it does with one that is too long. Its status can be lost on the way.
 */
function refusedUnread(endpoint: string, bytes: number): V3Error {
  const text = `${endpoint} did not read a request of ${bytes} bytes: it is probably larger than max`;
  return new V3Error("resourceExhausted", text, { mayHaveHappened: false });
}

/** The error in the headers or trailers of an answer; undefined when they say ok or nothing. */
function statusError(fields: IncomingHttpHeaders): V3Error | undefined {
  const status = fields["grpc-status"];
  if (typeof status !== "string" || status === "0") return undefined;
  const message = fields["grpc-message"];
  return new V3Error(statusCode(Number(status)), decodeMessage(message));
}

/** gRPC percent-encodes messages; one that is not encoded properly is shown as it is. */
function decodeMessage(text: string | string[] | undefined): string {
  if (typeof text !== "string") return "no message";
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A call in both directions. */
export interface StreamCall {
  send(message: Uint8Array): void;
  /** Ends the call; `onEnd` is still called. */
  cancel(): void;
}

export interface StreamHandler {
  onMessage(message: Buffer): void;
  /** Called once; undefined when the server ended the call without an error. */
  onEnd(error: V3Error | undefined): void;
}

export class Connection {
  readonly endpoint: string;
  readonly #session: ClientHttp2Session;
  readonly #authority: string;
  readonly #messageBytesMax: number;
  readonly #hasCertificate: boolean;
  readonly #connected: Promise<void>;
  #pingTimer: NodeJS.Timeout | undefined;
  #isUsable = true;

  /**
   * Begins to connect.
   * @throws UrlError when the endpoint is no URL
   */
  constructor(options: ConnectionOptions) {
    const { endpoint, tls } = options;
    this.endpoint = endpoint;
    this.#hasCertificate = tls?.cert !== undefined;
    this.#messageBytesMax = options.messageBytesMax ?? MESSAGE_BYTES_MAX;
    const { session, authority } = openSession(endpoint, tls, {
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
    });
    this.#session = session;
    this.#authority = authority;
    this.#connected = this.#connect(options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
    // Whoever calls is told; nobody may be waiting yet.
    this.#connected.catch(() => undefined);
  }

  /** False once the connection has broken or been closed; it never becomes usable again. */
  get isUsable(): boolean {
    return this.#isUsable;
  }

  /**
   * Waits until calls can be made.
   * @throws V3Error unavailable, certainly without effect.
   */
  ready(): Promise<void> {
    return this.#connected;
  }

  /**
   * One request, one answer.
   * @returns The answer's message.
   * @throws V3Error
   */
  async unary(path: string, message: Uint8Array, options: CallOptions): Promise<Buffer> {
    await this.#connected;
    return new Promise((resolve, reject) => {
      const stream = this.#open(path, options.token);
      const decoder = new FrameDecoder(this.#messageBytesMax);
      let answer: Buffer | undefined;
      let failure: V3Error | undefined;
      const timer = setTimeout(() => {
        failure ??= new V3Error(
          "deadlineExceeded",
          `${this.endpoint} did not answer within ${options.timeoutMs} ms`,
        );
        stream.close(constants.NGHTTP2_CANCEL);
      }, options.timeoutMs);
      const abort = (): void => {
        failure ??= new V3Error("cancelled", "the call was given up");
        stream.close(constants.NGHTTP2_CANCEL);
      };
      options.signal?.addEventListener("abort", abort, { once: true });
      stream.on("response", (fields) => {
        failure ??= statusError(fields);
      });
      stream.on("trailers", (fields: IncomingHttpHeaders) => {
        failure ??= statusError(fields);
      });
      stream.on("data", (chunk: Buffer) => {
        try {
          answer = decoder.push(chunk)[0] ?? answer;
        } catch (error) {
          failure ??= asV3Error(error);
          stream.close(constants.NGHTTP2_CANCEL);
        }
      });
      let isSent = false;
      stream.on("finish", () => {
        isSent = true;
      });
      stream.on("error", (error) => {
        failure ??= brokenStream(stream, error);
      });
      stream.on("close", () => {
        clearTimeout(timer);
        options.signal?.removeEventListener("abort", abort);
        if (failure !== undefined) reject(failure);
        else if (answer !== undefined) resolve(answer);
        else if (!isSent && stream.rstCode === constants.NGHTTP2_NO_ERROR && this.#isUsable) {
          reject(refusedUnread(this.endpoint, message.length));
        } else reject(brokenStream(stream, undefined));
      });
      if (options.signal?.aborted === true) abort();
      stream.end(encodeFrame(message));
    });
  }

  /**
   * Opens a call in both directions.
   * @throws V3Error unavailable.
   */
  async stream(
    path: string,
    token: string | undefined,
    handler: StreamHandler,
  ): Promise<StreamCall> {
    await this.#connected;
    const stream = this.#open(path, token);
    const decoder = new FrameDecoder(this.#messageBytesMax);
    let failure: V3Error | undefined;
    stream.on("response", (fields) => {
      failure ??= statusError(fields);
    });
    stream.on("trailers", (fields: IncomingHttpHeaders) => {
      failure ??= statusError(fields);
    });
    stream.on("data", (chunk: Buffer) => {
      try {
        for (const message of decoder.push(chunk)) handler.onMessage(message);
      } catch (error) {
        failure ??= asV3Error(error);
        stream.close(constants.NGHTTP2_CANCEL);
      }
    });
    stream.on("error", (error) => {
      failure ??= brokenStream(stream, error);
    });
    stream.on("close", () => {
      handler.onEnd(failure);
    });
    return {
      send: (message) => {
        if (!stream.destroyed) stream.write(encodeFrame(message));
      },
      cancel: () => {
        stream.close(constants.NGHTTP2_CANCEL);
      },
    };
  }

  /** Takes no further call; the connection closes once those under way have ended. */
  retire(): void {
    this.#lose();
    this.#session.close();
  }

  /** Breaks off all calls. Idempotent. */
  close(): void {
    this.#lose();
    this.#session.destroy();
  }

  #open(path: string, token: string | undefined): ClientHttp2Stream {
    if (!this.#isUsable) throw this.#lost(undefined);
    try {
      return this.#session.request(headers(this.#authority, path, token));
    } catch (cause) {
      throw this.#lost(cause);
    }
  }

  #lost(cause: unknown): V3Error {
    return new V3Error("unavailable", `the connection to ${this.endpoint} was lost`, {
      mayHaveHappened: false,
      cause,
    });
  }

  #connect(timeoutMs: number): Promise<void> {
    const session = this.#session;
    return new Promise((resolve, reject) => {
      const fail = (text: string, cause: unknown): void => {
        clearTimeout(timer);
        this.#lose();
        const message = `cannot connect to ${this.endpoint}: ${text}`;
        reject(new V3Error("unavailable", message, { mayHaveHappened: false, cause }));
        session.destroy();
      };
      let isConnected = false;
      const timer = setTimeout(() => {
        fail(this.#silence(timeoutMs, isConnected), undefined);
      }, timeoutMs);
      session.on("error", (error) => {
        fail(plainMessage(error), error);
      });
      session.on("close", () => {
        fail("the connection was closed", undefined);
      });
      session.on("goaway", () => {
        this.#lose();
      });
      session.on("connect", () => {
        isConnected = true;
        session.setLocalWindowSize(WINDOW_BYTES);
      });
      // A server that is no HTTP/2 server never sends its settings.
      session.once("remoteSettings", () => {
        clearTimeout(timer);
        this.#keepAlive();
        resolve();
      });
    });
  }

  /** Why nothing came in time. A refused client certificate shows as silence after the handshake. */
  #silence(timeoutMs: number, isConnected: boolean): string {
    if (!isConnected) return `no connection within ${timeoutMs} ms`;
    const certificate =
      this.endpoint.startsWith("https:") && !this.#hasCertificate
        ? "it may demand a client certificate, or be no etcd v3 server"
        : "it may be no etcd v3 server";
    return `it took the connection and said nothing for ${timeoutMs} ms: ${certificate}`;
  }

  #keepAlive(): void {
    const session = this.#session;
    this.#pingTimer = setInterval(() => {
      const timer = setTimeout(() => {
        session.destroy(new Error(`${this.endpoint} does not answer pings`));
      }, PING_TIMEOUT_MS);
      const isSent = session.ping(() => {
        clearTimeout(timer);
      });
      if (!isSent) clearTimeout(timer);
    }, PING_INTERVAL_MS);
    this.#pingTimer.unref();
  }

  #lose(): void {
    this.#isUsable = false;
    clearInterval(this.#pingTimer);
  }
}

/** The reason alone: the runtime adds advice about its own command line to some. */
export function plainMessage(error: Error): string {
  return error.message.replace(/; if the root CA is installed locally, .*$/, "");
}

function asV3Error(error: unknown): V3Error {
  return error instanceof V3Error
    ? error
    : new V3Error("internal", error instanceof Error ? error.message : String(error));
}
