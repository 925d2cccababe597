/**
 * A cluster behind several endpoints: asks them in turn, stays with the one that answered, follows
 * redirects, keeps to time limits and to one cluster. Knows requests and statuses, not what they mean.
 */
import { basicAuthorization } from "./encoding.ts";
import { type Endpoint, isSameServer, parseEndpoint } from "./endpoint.ts";
import {
  ClusterError,
  ClusterIdError,
  ConnectionError,
  type EtcdClientError,
  EtcdError,
  NoEndpointsError,
  ProtocolError,
  ServerFaultError,
  TimeoutError,
} from "./errors.ts";
import { numberOf, parseObject, textOf } from "./json.ts";
import { deadlineSignal } from "./signals.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";

export interface CallOptions {
  /** Ends the call, which then rejects with the reason of the signal. */
  readonly signal?: AbortSignal;
  /** Milliseconds for each endpoint that is asked. Default: that of the client; 0 is no limit. */
  readonly timeoutMs?: number;
  /** Milliseconds of these until the header of its answer is there. Default: that of the client. */
  readonly headerTimeoutMs?: number;
}

export interface ClusterOptions {
  readonly endpoints: readonly string[];
  readonly transport: Transport;
  /** `name:password`; undefined takes that of each endpoint, if it has one. */
  readonly credentials: string | undefined;
  readonly timeoutMs: number;
  /** 0 is no limit. */
  readonly headerTimeoutMs: number;
  readonly order: "random" | "given";
  readonly retryWrites: "whenSafe" | "always";
  readonly clusterId: string;
  readonly onRequest: ((request: TransportRequest) => void) | undefined;
}

/** A request that any endpoint may serve. */
export interface Action {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Encoded; stands below the path of the endpoint. */
  readonly path: string;
  /** Encoded, without the question mark; "" or undefined for none. */
  readonly query?: string;
  readonly body?: string;
  readonly contentType?: string;
  /** A long poll: the limit holds for the header of the answer alone. */
  readonly isWait?: boolean;
}

export interface Answer {
  readonly endpoint: Endpoint;
  readonly status: number;
  readonly body: string;
  readonly header: (name: string) => string | undefined;
}

const REDIRECTS_MAX = 10;

/** Statuses with which a member says that it did not take the request. */
const NOT_TAKEN = 503;

function mayHaveTaken(error: EtcdClientError): boolean {
  if (error instanceof ConnectionError) return error.maySent;
  if (error instanceof ServerFaultError) return error.status !== NOT_TAKEN;
  return error instanceof TimeoutError;
}

/** The v2 error of a body; undefined when it holds none. */
export function errorIn(status: number, body: string): EtcdError | undefined {
  try {
    const record = parseObject(body);
    if (typeof record["errorCode"] !== "number") return undefined;
    return new EtcdError({
      code: numberOf(record, "errorCode"),
      message: textOf(record, "message"),
      cause: textOf(record, "cause"),
      index: numberOf(record, "index"),
      status,
    });
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

export class Cluster {
  readonly #options: ClusterOptions;
  #endpoints: readonly Endpoint[];
  #pinned = 0;
  #clusterId: string;

  /** @throws EndpointError, NoEndpointsError. */
  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#endpoints = this.#ordered(options.endpoints);
    this.#clusterId = options.clusterId === "pin" ? "" : options.clusterId;
  }

  /** In the order they are asked. */
  get endpoints(): readonly string[] {
    return this.#endpoints.map(({ text }) => text);
  }

  /** The cluster this client keeps to; "" before the first answer and where ids are ignored. */
  get clusterId(): string {
    return this.#clusterId === "ignore" ? "" : this.#clusterId;
  }

  /** Replaces the endpoints. @throws EndpointError, NoEndpointsError. */
  setEndpoints(texts: readonly string[]): void {
    this.#endpoints = this.#ordered(texts);
    this.#pinned = 0;
  }

  /** The next call begins with the endpoint after the one in use. */
  moveOn(): void {
    this.#pinned = (this.#pinned + 1) % this.#endpoints.length;
  }

  /**
   * Asks endpoints until one answers with a status below 500. A write goes on to the next endpoint
   * only while no server can have taken it, unless retryWrites is "always".
   * `onHeader` is told of the header of an answer before its body is there.
   * @throws ClusterError when none answered, the reason of the signal when that was aborted.
   */
  async send(
    action: Action,
    options: CallOptions = {},
    onHeader?: (response: TransportResponse) => void,
  ): Promise<Answer> {
    const causes: EtcdClientError[] = [];
    let isOutcomeUnknown = false;
    const endpoints = this.#endpoints;
    const first = this.#pinned;
    for (let i = 0; i < endpoints.length; i++) {
      const at = (first + i) % endpoints.length;
      const endpoint = endpoints[at];
      if (endpoint === undefined) continue;
      try {
        const answer = await this.#attempt(endpoint, action, options, onHeader);
        if (this.#endpoints === endpoints) this.#pinned = at;
        return answer;
      } catch (error) {
        if (!isPassing(error)) throw error;
        causes.push(error);
        if (action.method === "GET" || !mayHaveTaken(error)) continue;
        isOutcomeUnknown = true;
        if (this.#options.retryWrites === "whenSafe") break;
      }
    }
    throw new ClusterError(causes, isOutcomeUnknown);
  }

  /** Asks one endpoint, which need not be one of the cluster's. */
  async sendTo(endpoint: string, action: Action, options: CallOptions = {}): Promise<Answer> {
    return this.#attempt(parseEndpoint(endpoint), action, options, undefined);
  }

  #ordered(texts: readonly string[]): readonly Endpoint[] {
    if (texts.length === 0) throw new NoEndpointsError();
    const endpoints = texts.map(parseEndpoint);
    return this.#options.order === "random" ? shuffled(endpoints) : endpoints;
  }

  /** One endpoint within its time. */
  async #attempt(
    endpoint: Endpoint,
    action: Action,
    options: CallOptions,
    onHeader: ((response: TransportResponse) => void) | undefined,
  ): Promise<Answer> {
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs;
    const headerTimeoutMs = options.headerTimeoutMs ?? this.#options.headerTimeoutMs;
    const limit = deadlineSignal(options.signal, timeoutMs, () => {
      return new TimeoutError(endpoint.text, "answer", timeoutMs);
    });
    const header = deadlineSignal(limit.signal, headerTimeoutMs, () => {
      return new TimeoutError(endpoint.text, "header", headerTimeoutMs);
    });
    try {
      const response = await this.#follow(endpoint, action, header.signal);
      header.lift();
      if (response.status < 400) this.#checkCluster(endpoint, response);
      if (action.isWait === true && response.status < 300) limit.lift();
      onHeader?.(response);
      const body = await response.text();
      if (response.status >= 500) throw faultOf(endpoint, response, body);
      const { status } = response;
      return { endpoint, status, body, header: (name) => response.header(name) };
    } finally {
      header.release();
      limit.release();
    }
  }

  /** The first answer that is no redirect. */
  async #follow(
    endpoint: Endpoint,
    action: Action,
    signal: AbortSignal,
  ): Promise<TransportResponse> {
    let target = endpoint;
    const query = action.query === undefined || action.query === "" ? "" : `?${action.query}`;
    let path = endpoint.basePath + action.path + query;
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const response = await this.#exchange(target, path, action, signal);
      if (response.status < 300 || response.status > 399) return response;
      response.discard();
      ({ target, path } = redirected(target, path, response.header("location")));
    }
    throw new ProtocolError("client: too many redirects");
  }

  async #exchange(
    endpoint: Endpoint,
    path: string,
    action: Action,
    signal: AbortSignal,
  ): Promise<TransportResponse> {
    const headers: Record<string, string> = {};
    if (action.contentType !== undefined) headers["Content-Type"] = action.contentType;
    const userInfo = this.#credentialsFor(endpoint);
    if (userInfo !== undefined) headers["Authorization"] = basicAuthorization(userInfo);
    const { method, body } = action;
    const request: TransportRequest = { method, endpoint, path, headers, body, signal };
    this.#options.onRequest?.(request);
    return this.#options.transport.request(request);
  }

  /** A redirect to a stranger gets no password. */
  #credentialsFor(endpoint: Endpoint): string | undefined {
    if (!this.#endpoints.some((known) => isSameServer(known, endpoint))) return undefined;
    return this.#options.credentials ?? endpoint.userInfo;
  }

  #checkCluster(endpoint: Endpoint, response: TransportResponse): void {
    const actual = response.header("x-etcd-cluster-id");
    if (actual === undefined || this.#clusterId === "ignore") return;
    if (this.#clusterId === "") this.#clusterId = actual;
    if (actual === this.#clusterId) return;
    response.discard();
    throw new ClusterIdError(endpoint.text, this.#clusterId, actual);
  }
}

/** Whether another endpoint may do better. */
function isPassing(error: unknown): error is EtcdClientError {
  return (
    error instanceof ConnectionError ||
    error instanceof TimeoutError ||
    error instanceof ServerFaultError ||
    error instanceof ClusterIdError
  );
}

function faultOf(
  endpoint: Endpoint,
  { status, statusText }: TransportResponse,
  body: string,
): Error {
  return new ServerFaultError(endpoint.text, status, statusText, errorIn(status, body));
}

function redirected(
  from: Endpoint,
  path: string,
  location: string | undefined,
): { target: Endpoint; path: string } {
  if (location === undefined || location === "") throw new ProtocolError("Location header not set");
  if (location.startsWith("/") && !location.startsWith("//"))
    return { target: from, path: location };
  const [, origin = "", rest = ""] = /^(https?:\/\/[^/?#]*)([^#]*)/i.exec(location) ?? [];
  if (origin === "") throw new ProtocolError(`Location header not valid URL: ${location}`);
  const query = path.includes("?") ? path.slice(path.indexOf("?")) : "";
  return { target: parseEndpoint(origin), path: rest.includes("?") ? rest : (rest || "/") + query };
}
