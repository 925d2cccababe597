/**
 * One HTTP exchange with one endpoint: connecting, time limits, TLS, reading the body. It knows
 * nothing of retries, redirects or of what the bytes mean.
 */
import http, {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import type * as https from "node:https";
import type { LookupFunction } from "node:net";
import { dialHost, hostHeader } from "@etcd2/net-url";
import { portMax } from "./endpoints.ts";
import {
  ClientError,
  ConnectionError,
  DeadlineError,
  HeaderTimeoutError,
} from "../errors/errors.ts";
import { describeFault, dialTimeout } from "./socket-errors.ts";
import { ownCertificateText, type TlsSettings } from "./tls-files.ts";

/** Where a request goes; a redirect may lead outside the endpoint it was meant for. */
export interface Target {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  /** Encoded, with the query. */
  readonly path: string;
  /** The endpoint's text, for messages. */
  readonly endpointText: string;
}

export interface Request {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** Time until the header of the answer has arrived; undefined is unlimited. */
  readonly headerTimeoutMs: number | undefined;
  /** On the clock of `performance.now()`; undefined is never. */
  readonly deadline: number | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** `localhost` is the IPv4 loopback; the IPv6 one is tried only when that refuses. */
const lookUpLocalhost: LookupFunction = (_name, options, done) => {
  if (options.all === true) {
    const addresses = [
      { address: "127.0.0.1", family: 4 },
      { address: "::1", family: 6 },
    ];
    done(null, addresses);
  } else done(null, "127.0.0.1", 4);
};

export interface TransportOptions {
  readonly connectTimeoutMs: number;
  readonly tls: TlsSettings;
}

/** The longest a timer can be set for; a longer one would end at once. */
const timerMsMax = 2 ** 31 - 1;

/** TLS, once it is loaded. */
interface Secure {
  readonly module: typeof https;
  readonly agent: https.Agent;
  /** What servers are shown, in words. */
  readonly ownCertificate: string;
}

/** Connections to endpoints, kept open between the requests of one invocation. */
export class Transport {
  readonly #options: TransportOptions;
  readonly #agent = new http.Agent({ keepAlive: true });
  #secure: Secure | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** Sends a request and reads the whole answer. @throws ClientError of any kind. */
  async exchange(target: Target, request: Request): Promise<Answer> {
    const message = await this.open(target, request);
    const body = await readBody(message, request.deadline, target);
    return { status: message.statusCode ?? 0, headers: message.headers, body };
  }

  /** Sends a request and resolves once the header of the answer is there; the body is the caller's. */
  async open(target: Target, request: Request): Promise<IncomingMessage> {
    if (target.scheme !== "http" && target.scheme !== "https") {
      throw new ClientError(`unsupported protocol scheme "${target.scheme}"`);
    }
    if (target.host === "") throw new ClientError("http: no Host in request URL");
    if (target.port > portMax) {
      throw new ConnectionError(`dial tcp: address ${target.port}: invalid port`);
    }
    if (request.deadline !== undefined && request.deadline <= performance.now()) {
      throw new DeadlineError();
    }
    const secure = target.scheme === "https" ? await this.#openSecure() : undefined;
    const isLocalhost = /^localhost\.?$/i.test(target.host);
    const options: RequestOptions & { autoSelectFamilyAttemptTimeout?: number } = {
      method: request.method,
      host: isLocalhost ? target.host : dialHost(target.host),
      port: target.port,
      path: target.path,
      headers: request.headers,
      agent: secure?.agent ?? this.#agent,
    };
    if (isLocalhost) {
      options.lookup = lookUpLocalhost;
      options.autoSelectFamilyAttemptTimeout = this.#options.connectTimeoutMs;
    }
    if (target.host.includes("%")) {
      options.headers = { ...request.headers, Host: hostHeader(`[${target.host}]:${target.port}`) };
    }
    return this.#send(secure?.module.request ?? http.request, options, target, request);
  }

  /** Drops all connections. */
  close(): void {
    this.#agent.destroy();
    this.#secure?.agent.destroy();
  }

  async #openSecure(): Promise<Secure> {
    if (this.#secure === undefined) {
      const [module, { secureOptions }] = await Promise.all([
        import("node:https"),
        import("./tls-options.ts"),
      ]);
      const agent = new module.Agent({ keepAlive: true, ...secureOptions(this.#options.tls) });
      const ownCertificate = await ownCertificateText(this.#options.tls);
      this.#secure = { module, agent, ownCertificate };
    }
    return this.#secure;
  }

  #send(
    start: typeof http.request,
    options: RequestOptions,
    target: Target,
    request: Request,
  ): Promise<IncomingMessage> {
    const { connectTimeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      let isConnected = false;
      let isReused = false;
      let hasFailed = false;
      const timers: NodeJS.Timeout[] = [];
      const message = start(options);
      const settle = (): void => {
        for (const timer of timers) clearTimeout(timer);
      };
      const fail = (error: unknown): void => {
        hasFailed = true;
        settle();
        message.destroy();
        const own = target.scheme === "https" ? this.#secure?.ownCertificate : undefined;
        reject(describeFault(error, target.host, target.port, own));
      };
      const failAfter = (ms: number, makeError: () => Error): void => {
        const giveUp = (): void => {
          fail(makeError());
        };
        timers.push(setTimeout(giveUp, Math.min(ms, timerMsMax)));
      };
      if (request.headerTimeoutMs !== undefined && request.headerTimeoutMs > 0) {
        const makeError = (): Error => new HeaderTimeoutError(target.endpointText, isConnected);
        failAfter(request.headerTimeoutMs, makeError);
      }
      if (request.deadline !== undefined) {
        failAfter(request.deadline - performance.now(), () => new DeadlineError());
      }
      message.on("socket", (socket) => {
        isReused = message.reusedSocket;
        if (!socket.connecting) {
          isConnected = true;
          return;
        }
        const timer = setTimeout(() => {
          fail(dialTimeout(target.host, target.port));
        }, connectTimeoutMs);
        timers.push(timer);
        socket.once("connect", () => {
          isConnected = true;
          clearTimeout(timer);
        });
      });
      message.on("response", (answer) => {
        settle();
        // Errors of the body reach its reader; the request has nothing left to report.
        resolve(answer);
      });
      message.on("error", (error) => {
        // Giving up closes the connection, which is reported here as well.
        if (hasFailed) return;
        // A kept connection that the server had closed meanwhile says nothing about the server.
        const isStale = isReused && request.method === "GET" && isClosedError(error);
        if (!isStale) {
          fail(error);
          return;
        }
        settle();
        resolve(this.#send(start, options, target, request));
      });
      message.end(request.body);
    });
  }
}

function isClosedError(error: unknown): boolean {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code === "ECONNRESET" || code === "EPIPE";
}

/** Collects a body until its end or the deadline. */
function readBody(
  message: IncomingMessage,
  deadline: number | undefined,
  target: Target,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let timer: NodeJS.Timeout | undefined;
    const fail = (error: unknown): void => {
      clearTimeout(timer);
      message.destroy();
      reject(describeFault(error, target.host, target.port));
    };
    if (deadline !== undefined) {
      const ms = Math.min(deadline - performance.now(), timerMsMax);
      timer = setTimeout(() => {
        fail(new DeadlineError());
      }, ms);
    }
    message.on("data", (chunk: Buffer) => chunks.push(chunk));
    message.on("error", () => {
      fail(new ClientError("unexpected EOF"));
    });
    message.on("end", () => {
      clearTimeout(timer);
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
    });
  });
}
