/**
 * A cluster behind several endpoints: tries them in order, stays with the one that worked, follows
 * redirects, learns the members' own addresses. It knows requests and statuses, not what commands
 * make of them.
 */
import { STATUS_CODES, type IncomingMessage } from "node:http";
import { curlLine } from "./debug.ts";
import { type Endpoint, emptyEndpoint, parseEndpoint, shuffled } from "../net/endpoints.ts";
import {
  ClientError,
  ClusterError,
  DeadlineError,
  HeaderTimeoutError,
  NoEndpointsError,
  ServerFaultError,
} from "../errors/errors.ts";
import { redirectTarget, UrlError } from "@etcd2/net-url";
import { encodePath } from "../text/go-text.ts";
import { dialTimeout } from "../net/socket-errors.ts";
import type { Answer, Request, Target, Transport } from "../net/transport.ts";
import { decodeMembers } from "./wire.ts";

/** A request that any endpoint may serve. */
export interface Action {
  readonly method: string;
  /** The path below an endpoint whose own path is `basePath`; not yet encoded. */
  readonly path: (basePath: string) => string;
  /** Encoded, without the question mark; undefined for none. */
  readonly query?: string;
  /** Present whenever the request may carry a body, be it empty. */
  readonly body?: string;
  readonly contentType?: string;
  /** A long poll: no time limit applies. */
  readonly isWait?: boolean;
  /** Takes its time on the server: only the time of the whole command bounds it. */
  readonly isSlow?: boolean;
}

export interface ClusterClientOptions {
  readonly endpoints: readonly Endpoint[];
  readonly transport: Transport;
  readonly headerTimeoutMs: number;
  /** `name:password`, undefined without authentication. */
  readonly credentials: string | undefined;
  /** Receives the lines of `--debug`; undefined without it. */
  readonly trace: ((text: string) => void) | undefined;
}

const redirectsMax = 10;

/** A path directly under the endpoint. */
export function underBase(path: string): (basePath: string) => string {
  return (basePath) => basePath + path;
}

export class ClusterClient {
  readonly #options: ClusterClientOptions;
  #endpoints: readonly Endpoint[];
  #pinned = 0;

  constructor(options: ClusterClientOptions) {
    this.#options = options;
    this.#endpoints = shuffled(options.endpoints);
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** Endpoint texts in the order they are tried. */
  get endpointTexts(): readonly string[] {
    return this.#endpoints.map(({ text }) => text);
  }

  /**
   * Sends the action to the first endpoint that answers with anything but a 5xx status.
   * @throws ClusterError when none does, DeadlineError, NoEndpointsError.
   */
  async send(action: Action, deadline: number | undefined): Promise<Answer> {
    return this.#tryEndpoints((endpoint) => this.sendTo(endpoint, action, deadline));
  }

  /** Like `send`, but resolves at the header; the body is the caller's to read. */
  async open(action: Action, deadline: number | undefined): Promise<IncomingMessage> {
    const { transport } = this.#options;
    return this.#tryEndpoints(async (endpoint) => {
      const target = this.#target(endpoint, action);
      const message = await transport.open(
        target,
        this.#request(endpoint, action, target, deadline),
      );
      if ((message.statusCode ?? 0) < 500) return message;
      const chunks: Buffer[] = [];
      for await (const chunk of message) chunks.push(chunk as Buffer);
      throw serverFault(endpoint, message.statusCode ?? 0, Buffer.concat(chunks));
    });
  }

  /** One endpoint, redirects followed. @throws ClientError of any kind, ServerFaultError for 5xx. */
  async sendTo(endpoint: Endpoint, action: Action, deadline: number | undefined): Promise<Answer> {
    const { transport } = this.#options;
    let target = this.#target(endpoint, action);
    for (let redirects = 0; redirects <= redirectsMax; redirects++) {
      const request = this.#request(endpoint, action, target, deadline);
      const answer = await transport.exchange(target, request);
      if (answer.status >= 500) throw serverFault(endpoint, answer.status, answer.body);
      if (answer.status < 300 || answer.status > 399) return answer;
      target = redirected(target, answer.headers.location);
    }
    throw new ClientError("client: too many redirects");
  }

  /** Replaces the endpoints, in random order. */
  setEndpoints(endpoints: readonly Endpoint[]): void {
    this.#endpoints = shuffled(endpoints);
    this.#pinned = 0;
  }

  /**
   * Learns the client addresses of all members and uses them from now on.
   * @throws NoEndpointsError when no member has published one, ClientError for other failures.
   */
  async sync(deadline: number | undefined): Promise<void> {
    const answer = await this.send({ method: "GET", path: underBase("/v2/members") }, deadline);
    if (answer.status !== 200) throw new ClientError(`unexpected status code ${answer.status}`);
    const urls = decodeMembers(answer.body).flatMap(({ clientURLs }) => clientURLs);
    const known = this.endpointTexts.toSorted();
    if (urls.length === known.length && urls.toSorted().every((url, i) => url === known[i])) return;
    if (urls.length === 0) throw new NoEndpointsError();
    this.setEndpoints(urls.map(parseEndpoint));
  }

  /**
   * The way of 0.4: every endpoint is asked for its list; the last answer counts. An answer that is
   * no list leaves one empty endpoint. @throws ClientError when the last endpoint failed.
   */
  async syncOldWay(deadline: number): Promise<void> {
    let list = "";
    let fault: Error | undefined;
    for (const endpoint of this.#endpoints) {
      const target = { ...this.#target(endpoint, { method: "GET", path: underBase("") }) };
      const request: Request = {
        method: "GET",
        headers: {},
        body: undefined,
        headerTimeoutMs: this.#options.headerTimeoutMs,
        deadline,
      };
      try {
        const path = `${encodePath(endpoint.basePath)}/v2/peers`;
        const answer = await this.#options.transport.exchange({ ...target, path }, request);
        if (answer.status === 200) list = answer.body.toString("utf8");
        fault = undefined;
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        fault = isUnconnected(error) ? dialTimeout(endpoint.host, endpoint.port) : error;
      }
    }
    if (fault !== undefined) throw fault;
    this.setEndpoints(
      list.split(", ").map((text) => (text === "" ? emptyEndpoint : parseEndpoint(text))),
    );
  }

  async #tryEndpoints<T>(attempt: (endpoint: Endpoint) => Promise<T>): Promise<T> {
    const endpoints = this.#endpoints;
    const first = this.#pinned;
    const causes: Error[] = [];
    for (let i = 0; i < endpoints.length; i++) {
      const at = (first + i) % endpoints.length;
      const endpoint = endpoints[at];
      if (endpoint === undefined) continue;
      try {
        const result = await attempt(endpoint);
        this.#pinned = at;
        return result;
      } catch (error) {
        if (error instanceof DeadlineError || !(error instanceof ClientError)) throw error;
        causes.push(error);
      }
    }
    throw causes.length === 0 ? new NoEndpointsError() : new ClusterError(causes);
  }

  #target(endpoint: Endpoint, action: Action): Target {
    const query = action.query === undefined || action.query === "" ? "" : `?${action.query}`;
    return {
      scheme: endpoint.scheme,
      host: endpoint.host,
      port: endpoint.port,
      path: encodePath(action.path(endpoint.basePath)) + query,
      endpointText: endpoint.text,
    };
  }

  /** Builds the request for one attempt and traces it. */
  #request(
    endpoint: Endpoint,
    action: Action,
    target: Target,
    deadline: number | undefined,
  ): Request {
    const { trace, headerTimeoutMs, credentials = endpoint.userInfo } = this.#options;
    trace?.(curlLine(action.method, shownUrl(endpoint, target), action.body));
    const headers: Record<string, string> = {};
    if (action.contentType !== undefined) headers["Content-Type"] = action.contentType;
    if (credentials !== undefined) {
      headers["Authorization"] = `Basic ${Buffer.from(credentials).toString("base64")}`;
    }
    return {
      method: action.method,
      headers,
      body: action.body,
      headerTimeoutMs:
        action.isWait === true || action.isSlow === true ? undefined : headerTimeoutMs,
      deadline: action.isWait === true ? undefined : deadline,
    };
  }
}

/** The address of a request as `--debug` shows it: scheme and host as the user wrote them. */
function shownUrl(endpoint: Endpoint, target: Target): string {
  if (endpoint.host === "" && target.host === "") {
    // Text behind a scheme without slashes stands for all of the path.
    const isOpaque = endpoint.scheme !== "" && !endpoint.text.includes("://");
    const isEmpty = endpoint.text === "" || endpoint.text === "http:";
    if (isOpaque && !isEmpty) return endpoint.text + target.path.replace(/^[^?]*/, "");
    const scheme = endpoint.scheme === "" ? "" : `${endpoint.scheme}://`;
    return (/^[a-z]+:\/\/[^/]*/.exec(endpoint.text)?.[0] ?? scheme) + target.path;
  }
  return origin(endpoint, target) + target.path;
}

/** Scheme and address as the user wrote them, without the path. */
function origin(endpoint: Endpoint, target: Target): string {
  const text = /^[a-z]+:\/\/[^/]*/.exec(endpoint.text)?.[0];
  if (text !== undefined && target.host === endpoint.host && target.port === endpoint.port)
    return text;
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  return `${target.scheme}://${host}:${target.port}`;
}

function serverFault(endpoint: Endpoint, status: number, body: Buffer): ServerFaultError {
  const complaint =
    status === 500 || status === 503
      ? "has no leader"
      : `returns server error [${STATUS_CODES[status] ?? ""}]`;
  return new ServerFaultError(`client: etcd member ${endpoint.text} ${complaint}`, status, body);
}

function redirected(from: Target, location: string | undefined): Target {
  if (location === undefined || location === "") throw new ClientError("Location header not set");
  try {
    const target = redirectTarget(from, location);
    return { ...target, endpointText: from.endpointText };
  } catch (error) {
    if (!(error instanceof UrlError)) throw error;
    throw new ClientError(`Location header not valid URL: ${location}`, { cause: error });
  }
}

function isUnconnected(error: unknown): boolean {
  return error instanceof HeaderTimeoutError && !error.wasConnected;
}
