/** The transport of Node: kept connections, TLS with files of one's own, and precise failures. */
import http, { type IncomingMessage, type RequestOptions } from "node:http";
import https from "node:https";
import type { LookupFunction } from "node:net";
import { text as readText } from "node:stream/consumers";
import { ConnectionError } from "../errors.ts";
import type { Transport, TransportRequest, TransportResponse } from "../transport.ts";

/** PEM texts. */
export interface TlsOptions {
  /** Who signs the servers' certificates. Default: the authorities of the runtime. */
  readonly ca?: string | Uint8Array;
  /** Our own certificate, for servers that ask for one. */
  readonly cert?: string | Uint8Array;
  /** The key of the certificate. */
  readonly key?: string | Uint8Array;
  /** The name servers must prove to have. Default: the host of the endpoint. */
  readonly serverName?: string;
}

export interface NodeTransportOptions {
  readonly tls?: TlsOptions;
  /** Milliseconds for a connection to come about. Default 3,000. */
  readonly connectTimeoutMs?: number;
  /** Milliseconds after which a quiet connection is probed. Default 30,000. */
  readonly keepAliveMs?: number;
}

const CONNECT_TIMEOUT_MS = 3000;
const KEEP_ALIVE_MS = 30_000;

/** `localhost` is the IPv4 loopback; the IPv6 one is tried only when that refuses. */
const lookUpLocalhost: LookupFunction = (_name, options, done) => {
  const loopback = { address: "127.0.0.1", family: 4 };
  if (options.all === true) done(null, [loopback, { address: "::1", family: 6 }]);
  else done(null, loopback.address, loopback.family);
};

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}

class NodeResponse implements TransportResponse {
  readonly #message: IncomingMessage;
  readonly #request: TransportRequest;

  constructor(message: IncomingMessage, request: TransportRequest) {
    this.#message = message;
    this.#request = request;
  }

  get status(): number {
    return this.#message.statusCode ?? 0;
  }

  get statusText(): string {
    return this.#message.statusMessage ?? "";
  }

  header(name: string): string | undefined {
    const value = this.#message.headers[name];
    return typeof value === "string" ? value : undefined;
  }

  async text(): Promise<string> {
    const { signal, endpoint } = this.#request;
    try {
      return await readText(this.#message);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const message = `client: ${endpoint.text}: unexpected EOF`;
      throw new ConnectionError(endpoint.text, true, message, { cause: error });
    }
  }

  discard(): void {
    this.#message.destroy();
  }
}

class NodeTransport implements Transport {
  readonly #connectTimeoutMs: number;
  readonly #http: http.Agent;
  readonly #https: https.Agent;

  constructor({ tls = {}, connectTimeoutMs, keepAliveMs }: NodeTransportOptions) {
    this.#connectTimeoutMs = connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    const delay = keepAliveMs ?? KEEP_ALIVE_MS;
    // The first is for connections that wait for the next request, the other for those of a long poll.
    const keep = { keepAlive: true, keepAliveMsecs: delay, keepAliveInitialDelay: delay };
    const { serverName, ...pem } = tls;
    const files = Object.fromEntries(
      Object.entries(pem).map(([name, value]) => [
        name,
        typeof value === "string" ? value : Buffer.from(value),
      ]),
    );
    this.#http = new http.Agent(keep);
    this.#https = new https.Agent({
      ...keep,
      ...files,
      ...(serverName === undefined ? {} : { servername: serverName }),
    });
  }

  request(request: TransportRequest): Promise<TransportResponse> {
    return this.#send(request);
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #send(request: TransportRequest): Promise<TransportResponse> {
    const { endpoint, signal } = request;
    const isSecure = endpoint.scheme === "https";
    const options: RequestOptions = {
      method: request.method,
      host: endpoint.host,
      port: endpoint.port,
      path: request.path,
      headers: request.headers,
      agent: isSecure ? this.#https : this.#http,
      ...(endpoint.host === "localhost" ? { lookup: lookUpLocalhost } : {}),
    };
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const message = (isSecure ? https : http).request(options);
      let isConnected = false;
      let timer: NodeJS.Timeout | undefined;
      const stop = (): void => {
        message.destroy(signal.reason as Error);
      };
      signal.addEventListener("abort", stop, { once: true });
      const settle = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", stop);
      };
      message.on("socket", (socket) => {
        isConnected = !socket.connecting;
        if (isConnected) return;
        timer = setTimeout(() => {
          message.destroy(new Error(`no connection within ${this.#connectTimeoutMs} ms`));
        }, this.#connectTimeoutMs);
        socket.once(isSecure ? "secureConnect" : "connect", () => {
          isConnected = true;
          clearTimeout(timer);
        });
      });
      message.on("response", (answer) => {
        settle();
        follow(answer, signal);
        resolve(new NodeResponse(answer, request));
      });
      message.on("error", (error) => {
        settle();
        if (signal.aborted) reject(signal.reason as Error);
        // A kept connection that the server had closed meanwhile says nothing about the server.
        else if (message.reusedSocket && request.method === "GET" && isReset(error)) {
          resolve(this.#send(request));
        } else {
          const text = `client: ${endpoint.text}: ${messageOf(error)}`;
          reject(new ConnectionError(endpoint.text, isConnected, text, { cause: error }));
        }
      });
      message.end(request.body);
    });
  }
}

/** The signal also ends the body. */
function follow(answer: IncomingMessage, signal: AbortSignal): void {
  const stop = (): void => {
    answer.destroy(signal.reason as Error);
  };
  signal.addEventListener("abort", stop, { once: true });
  answer.once("close", () => {
    signal.removeEventListener("abort", stop);
  });
}

function isReset(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ECONNRESET" || code === "EPIPE";
}

/** A transport on Node's own HTTP client. Close it to let the process end at once. */
export function nodeTransport(options: NodeTransportOptions = {}): Transport {
  return new NodeTransport(options);
}
