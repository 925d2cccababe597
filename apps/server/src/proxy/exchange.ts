/**
 * One request on its way through the proxy: to one endpoint after another until one answers, then
 * the answer back, byte for byte as it comes. Bodies stream in both directions and are never held.
 * Owns the rule of what may be sent twice: nothing that a member may have carried out. A read that
 * an endpoint is silent on is asked of the next one as well, and the first answer counts.
 */
import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { onBodyBroken } from "@etcd2/api-v2";
import { hostHeader } from "@etcd2/net-url";
import type { Logger } from "@etcd2/observability";
import type { ProxyCounts } from "./proxy-counts.ts";
import type { Director } from "./director.ts";
import type { Endpoint } from "./endpoint.ts";
import { hasBody, requestHeaders, responseHeaders } from "./headers.ts";
import type { Upstream } from "./upstream.ts";

export interface ExchangeContext {
  readonly director: Director;
  readonly upstream: Upstream;
  readonly counts: ProxyCounts;
  readonly log: Logger;
  /** 0 means no limit. */
  readonly dialTimeoutMs: number;
  readonly writeTimeoutMs: number;
  /** Silence after which an endpoint is suspected to hang, and a read is asked elsewhere too. */
  readonly silenceMs: number;
  /** Silence after which a request that is no watch is given up; members give up sooner. */
  readonly answerTimeoutMs: number;
}

/** The request as sent to one endpoint. */
interface Attempt {
  readonly endpoint: Endpoint;
  readonly outgoing: ClientRequest;
  /** Whether the member may have seen it. */
  isSent: boolean;
}

export class Exchange {
  readonly #context: ExchangeContext;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #path: string;
  readonly #method: string;
  readonly #startMs = performance.now();
  readonly #hasBody: boolean;
  readonly #endpoints: readonly Endpoint[];
  /** Whether it may be sent to several members. */
  readonly #isSafe: boolean;
  readonly #isWatch: boolean;
  readonly #open = new Set<Attempt>();
  #tried = 0;
  #winner: Attempt | undefined;
  #isClientGone = false;

  constructor(
    context: ExchangeContext,
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
  ) {
    this.#context = context;
    this.#request = request;
    this.#response = response;
    this.#path = path;
    this.#method = request.method ?? "GET";
    this.#hasBody = hasBody(request);
    this.#isSafe = (this.#method === "GET" || this.#method === "HEAD") && !this.#hasBody;
    this.#isWatch = /[?&]wait=/.test(path);
    this.#endpoints = context.director.available();
  }

  run(): void {
    this.#context.counts.requests.add(1, this.#method);
    if (this.#endpoints.length === 0) {
      this.#drop("zero_endpoints", 503, "zero endpoints currently available");
      return;
    }
    this.#response.once("close", () => {
      this.#isClientGone = true;
      // A client that has its answer leaves the connection to the member for others.
      if (!this.#response.writableFinished) this.#abandon();
    });
    if (this.#isWatch) this.#watchForEnd();
    if (this.#hasBody) {
      onBodyBroken(this.#request, () => {
        this.#refuseBroken();
      });
    }
    this.#tryNext();
  }

  /**
   * A client that ends its side of the connection still gets the answer to what it asked, except
   * to a watch, which would go on for ever: there it has gone away.
   */
  #watchForEnd(): void {
    const { socket } = this.#request;
    const leave = (): void => {
      this.#isClientGone = true;
      this.#abandon();
      if (this.#response.headersSent) this.#response.end();
      else this.#response.destroy();
    };
    socket.once("end", leave);
    this.#response.once("close", () => {
      socket.removeListener("end", leave);
    });
  }

  /** Ends what is under way, except the attempt that is kept. */
  #abandon(kept?: Attempt): void {
    for (const attempt of this.#open) {
      if (attempt === kept) continue;
      this.#open.delete(attempt);
      attempt.outgoing.destroy();
    }
  }

  /** The member sees that the body is cut, and does nothing. */
  #refuseBroken(): void {
    this.#isClientGone = true;
    this.#abandon();
    if (this.#response.headersSent) {
      this.#response.destroy();
      return;
    }
    const body = "400 Bad Request";
    const type = ["Content-Type", "text/plain; charset=utf-8"];
    this.#response.writeHead(400, [...type, "Content-Length", String(body.length)]);
    this.#response.end(body);
  }

  #tryNext(): void {
    const endpoint = this.#endpoints[this.#tried];
    if (endpoint === undefined) {
      if (this.#open.size === 0) this.#giveUp();
      return;
    }
    this.#tried++;
    const outgoing = this.#begin(endpoint);
    if (outgoing === undefined) return;
    const attempt: Attempt = { endpoint, outgoing, isSent: false };
    this.#open.add(attempt);
    outgoing.once("socket", (socket) => {
      this.#whenConnected(socket, outgoing, () => {
        attempt.isSent = true;
        if (this.#hasBody)
          this.#sendBody(outgoing, () => {
            this.#awaitAnswer(attempt);
          });
        else this.#awaitAnswer(attempt);
      });
    });
    outgoing.once("response", (incoming) => {
      // Another endpoint was faster.
      if (!this.#open.has(attempt)) {
        incoming.destroy();
        return;
      }
      this.#winner = attempt;
      this.#abandon(attempt);
      this.#answer(incoming, attempt);
    });
    outgoing.on("error", (error) => {
      if (!this.#open.delete(attempt) || this.#isClientGone) return;
      if (this.#response.headersSent) this.#response.destroy();
      else this.#failed(attempt, error);
    });
    if (!this.#hasBody) outgoing.end();
  }

  /** The member has the whole request: members say something soon, to a watch as well. */
  #awaitAnswer(attempt: Attempt): void {
    const { director, silenceMs, answerTimeoutMs, log } = this.#context;
    const { endpoint, outgoing } = attempt;
    const silent = setTimeout(() => {
      log.debug(`endpoint ${endpoint.text} is silent on ${this.#method} ${this.#path}`);
      director.suspect(endpoint);
      if (this.#isSafe && this.#winner === undefined) this.#tryNext();
    }, silenceMs);
    const late = this.#isWatch
      ? undefined
      : setTimeout(() => {
          outgoing.destroy(new Error(`no answer within ${answerTimeoutMs} ms`));
        }, answerTimeoutMs);
    const stop = (): void => {
      clearTimeout(silent);
      clearTimeout(late);
    };
    outgoing.once("response", stop);
    outgoing.once("close", stop);
  }

  /** Begins a request; answers 400 to one that the parser took but that cannot be written. */
  #begin(endpoint: Endpoint): ClientRequest | undefined {
    try {
      return this.#context.upstream.request(endpoint, {
        method: this.#method,
        path: this.#path,
        headers: requestHeaders(this.#request, hostHeader(endpoint.url.host)),
      });
    } catch (error) {
      this.#context.log.info(`cannot pass a request on: ${String(error)}`);
      this.#response.writeHead(400, ["Content-Length", "0", "Connection", "close"]);
      this.#response.end();
      return undefined;
    }
  }

  #whenConnected(socket: Socket, outgoing: ClientRequest, go: () => void): void {
    if (!socket.connecting) {
      go();
      return;
    }
    const { dialTimeoutMs } = this.#context;
    const late =
      dialTimeoutMs === 0
        ? undefined
        : setTimeout(() => {
            outgoing.destroy(new Error(`no connection within ${dialTimeoutMs} ms`));
          }, dialTimeoutMs);
    const isSecure = "encrypted" in socket;
    socket.once(isSecure ? "secureConnect" : "connect", () => {
      clearTimeout(late);
      go();
    });
    socket.once("close", () => {
      clearTimeout(late);
    });
  }

  /** Passes the body on as fast as the member takes it, and no faster. */
  #sendBody(outgoing: ClientRequest, whenSent: () => void): void {
    const { writeTimeoutMs } = this.#context;
    let late: NodeJS.Timeout | undefined;
    this.#request.on("data", (chunk: Buffer) => {
      if (outgoing.destroyed || outgoing.write(chunk)) return;
      this.#request.pause();
      if (writeTimeoutMs === 0) return;
      late = setTimeout(() => {
        outgoing.destroy(new Error(`took nothing for ${writeTimeoutMs} ms`));
      }, writeTimeoutMs);
    });
    outgoing.on("drain", () => {
      clearTimeout(late);
      this.#request.resume();
    });
    outgoing.once("close", () => {
      clearTimeout(late);
      this.#request.resume();
    });
    this.#request.once("end", () => {
      outgoing.end(whenSent);
    });
  }

  #failed({ endpoint, isSent }: Attempt, error: Error): void {
    const { counts, director, log } = this.#context;
    counts.dropped.add(1, this.#method, "failed_sending_request");
    log.info(`failed to direct request to ${endpoint.text}: ${error.message}`);
    director.failed(endpoint);
    if (isSent && !this.#isSafe) this.#giveUp();
    else this.#tryNext();
  }

  #giveUp(): void {
    this.#drop(
      "failed_getting_response",
      502,
      `unable to get response from ${this.#tried} endpoint(s)`,
    );
  }

  #drop(kind: string, status: number, message: string): void {
    const { counts, log } = this.#context;
    counts.dropped.add(1, this.#method, kind);
    log.info(message);
    const body = JSON.stringify({ message: `proxy: ${message}` });
    this.#response.writeHead(status, [
      "Content-Type",
      "application/json",
      "Content-Length",
      String(Buffer.byteLength(body)),
    ]);
    this.#response.end(this.#method === "HEAD" ? undefined : body);
  }

  #answer(incoming: IncomingMessage, { endpoint, outgoing }: Attempt): void {
    const { counts, director } = this.#context;
    const response = this.#response;
    const status = incoming.statusCode ?? 502;
    counts.handled.add(1, this.#method, String(status));
    counts.seconds.observe((performance.now() - this.#startMs) / 1000, this.#method);
    const hasCors = response.hasHeader("access-control-allow-origin");
    const headers = responseHeaders(incoming, hasCors);
    try {
      response.writeHead(status, incoming.statusMessage ?? "", headers);
    } catch (error) {
      this.#context.log.info(`cannot pass an answer on: ${String(error)}`);
      response.destroy();
      return;
    }
    // Without a length it is a watch or a long listing: what there is goes out at once.
    if (incoming.headers["content-length"] === undefined) response.flushHeaders();
    // A stream that goes on while its member hangs would be silent for ever.
    const forget = director.onHang(endpoint, () => {
      outgoing.destroy();
    });
    incoming.once("close", () => {
      forget();
      // A cut answer must not look like a whole one.
      if (!incoming.complete && !response.writableEnded) response.destroy();
    });
    incoming.on("error", () => {
      if (!response.writableEnded) response.destroy();
    });
    incoming.pipe(response);
  }
}
