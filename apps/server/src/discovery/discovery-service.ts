/**
 * The discovery service as a client sees it: an etcd v2 store below one URL. Owns the requests,
 * redirects, time limits, the HTTP proxy in between, and telling trouble that passes from answers
 * that stay. Knows nothing of how a cluster is found.
 */
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import type { IncomingMessage, RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { text } from "node:stream/consumers";
import { messageOf } from "../base/message-of.ts";

import { dialHost, hostHeader, portOf, redirectTarget, UrlError } from "@etcd2/net-url";
import type { NetUrl, RequestTarget } from "@etcd2/net-url";
import { hideCredentials } from "../config/hide-credentials.ts";

/** Time for an answer that is not a watch. */
const ANSWER_MS = 5000;
/** A watch is asked anew after this, so that a connection that died unseen is noticed. */
const WATCH_MS = 60_000;
const REDIRECTS_MAX = 10;

/** No usable answer now: no connection, no leader, a fault of the service. Worth another try. */
export class ServiceUnreachable extends Error {
  override readonly name = "ServiceUnreachable";
}

/** An answer that another try would not change; `code` is 0 when it is no v2 error. */
export class ServiceRefusal extends Error {
  override readonly name = "ServiceRefusal";
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** A node of the store, as far as discovery reads it. */
export interface ServiceNode {
  /** The last element of the key. */
  readonly key: string;
  readonly value: string;
  readonly createdIndex: number;
}

export interface ServiceListing {
  readonly nodes: readonly ServiceNode[];
  /** X-Etcd-Index of the answer. */
  readonly index: number;
}

/** What discovery asks of the service. Every call may throw the two errors above. */
export interface DiscoveryService {
  /** The value of a key below the URL. */
  read(path: string): Promise<string>;
  list(): Promise<ServiceListing>;
  /** Creates a key, which must not exist. */
  create(path: string, value: string): Promise<void>;
  /** Resolves when something below the URL changed after the index, or after a while. */
  waitForChange(afterIndex: number): Promise<void>;
}

export interface DiscoveryServiceOptions {
  readonly url: NetUrl;
  /** --discovery-proxy; "" takes the proxy of the environment, if it names one. */
  readonly proxy: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly index: number;
}

interface Ask {
  readonly method: "GET" | "PUT";
  readonly target: RequestTarget;
  readonly form?: string;
  readonly timeoutMs: number;
}

interface V2Document {
  readonly node?: V2Node;
  readonly errorCode?: number;
  readonly message?: string;
  readonly cause?: string;
  readonly index?: number;
}

interface V2Node {
  readonly key?: string;
  readonly value?: string;
  readonly createdIndex?: number;
  readonly nodes?: readonly V2Node[];
}

export const BAD_ENDPOINT = "discovery: bad discovery endpoint";

function proxyEnvironment({ proxy, env }: DiscoveryServiceOptions): NodeJS.ProcessEnv {
  if (proxy !== "") return { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
  const { NO_PROXY = env["no_proxy"] ?? "" } = env;
  const none = `${NO_PROXY}${NO_PROXY === "" ? "" : ","}localhost,127.0.0.1,::1`;
  return { ...env, NO_PROXY: none, no_proxy: none };
}

export class HttpDiscoveryService implements DiscoveryService {
  readonly #url: NetUrl;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor(options: DiscoveryServiceOptions) {
    this.#url = options.url;
    const agent = { keepAlive: true, proxyEnv: proxyEnvironment(options) };
    this.#http = new HttpAgent(agent);
    this.#https = new HttpsAgent(agent);
  }

  async read(path: string): Promise<string> {
    const answer = await this.#ask({
      method: "GET",
      target: this.#at(path, {}),
      timeoutMs: ANSWER_MS,
    });
    return documentOf(answer).node?.value ?? "";
  }

  async list(): Promise<ServiceListing> {
    const answer = await this.#ask({
      method: "GET",
      target: this.#at("", {}),
      timeoutMs: ANSWER_MS,
    });
    const nodes = (documentOf(answer).node?.nodes ?? []).map((node) => ({
      key: (node.key ?? "").slice((node.key ?? "").lastIndexOf("/") + 1),
      value: node.value ?? "",
      createdIndex: node.createdIndex ?? 0,
    }));
    return { nodes, index: answer.index };
  }

  async create(path: string, value: string): Promise<void> {
    const target = this.#at(path, { prevExist: "false" });
    const form = new URLSearchParams({ value }).toString();
    documentOf(await this.#ask({ method: "PUT", target, form, timeoutMs: ANSWER_MS }));
  }

  async waitForChange(afterIndex: number): Promise<void> {
    const waitIndex = (afterIndex + 1).toFixed(0);
    const target = this.#at("", { wait: "true", recursive: "true", waitIndex });
    try {
      documentOf(await this.#ask({ method: "GET", target, timeoutMs: WATCH_MS }));
    } catch (error) {
      // Too old an index, or nothing for long: whoever waits looks at the whole again anyway.
      const isOver = error instanceof ServiceRefusal && error.code === 401;
      if (!isOver && !(error instanceof WatchTimeout)) throw error;
    }
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #at(path: string, parameters: Readonly<Record<string, string>>): RequestTarget {
    const { scheme, hostname, rawPath, query } = this.#url;
    const added = new URLSearchParams(parameters).toString();
    const all = [query, added].filter((part) => part !== "").join("&");
    const whole = rawPath.replace(/\/+$/, "") + path;
    const sent = `${whole.startsWith("/") ? "" : "/"}${whole}${all === "" ? "" : `?${all}`}`;
    return { scheme, host: hostname, port: portOf(this.#url), path: sent };
  }

  async #ask(ask: Ask): Promise<Answer> {
    let current = ask;
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const { response, body } = await this.#exchange(current);
      const status = response.statusCode ?? 0;
      const { location } = response.headers;
      if (status < 300 || status >= 400 || location === undefined) {
        return { status, body, index: Number(response.headers["x-etcd-index"] ?? 0) };
      }
      current = { ...ask, target: this.#redirected(current.target, location) };
    }
    throw new ServiceRefusal(0, `${hideCredentials(this.#url.text)}: too many redirects`);
  }

  /** Keeps the query of the request, unless the redirect brings its own. */
  #redirected(from: RequestTarget, location: string): RequestTarget {
    try {
      const target = redirectTarget(from, location);
      const [, query] = from.path.split("?", 2);
      const hasQuery = query === undefined || target.path.includes("?");
      return hasQuery ? target : { ...target, path: `${target.path}?${query}` };
    } catch (error) {
      if (!(error instanceof UrlError)) throw error;
      throw new ServiceRefusal(0, `${hideCredentials(this.#url.text)}: redirected to no URL`);
    }
  }

  async #exchange(ask: Ask): Promise<{ response: IncomingMessage; body: string }> {
    const { scheme, host, port, path } = ask.target;
    const isSecure = scheme === "https";
    const { user } = this.#url;
    const options: RequestOptions = {
      method: ask.method,
      host: dialHost(host),
      port,
      path,
      // The password is for the service that was named, not for one that it names.
      ...(user !== undefined &&
        host === this.#url.hostname && { auth: `${user.name}:${user.password ?? ""}` }),
      agent: isSecure ? this.#https : this.#http,
      headers: {
        Host: hostHeader(`${host.includes(":") ? `[${host}]` : host}:${port}`),
        ...(ask.form !== undefined && formHeaders(ask.form)),
      },
    };
    const request = (isSecure ? httpsRequest : httpRequest)(options);
    const late = setTimeout(() => {
      request.destroy(new WatchTimeout(`no answer within ${ask.timeoutMs} ms`));
    }, ask.timeoutMs);
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        request.once("response", resolve);
        request.on("error", reject);
        request.end(ask.form);
      });
      return { response, body: await text(response) };
    } catch (cause) {
      if (cause instanceof WatchTimeout && ask.timeoutMs === WATCH_MS) throw cause;
      throw new ServiceUnreachable(reasonOf(cause), { cause });
    } finally {
      clearTimeout(late);
    }
  }
}

class WatchTimeout extends Error {}

function formHeaders(form: string): Record<string, string | number> {
  return {
    "Content-Type": "application/x-www-form-urlencoded",
    "Content-Length": Buffer.byteLength(form),
  };
}

function documentOf({ status, body }: Answer): V2Document {
  if (status >= 500) throw new ServiceUnreachable(`the service answers ${status}: ${body.trim()}`);
  let document: V2Document | undefined;
  try {
    document = JSON.parse(body) as V2Document;
  } catch {
    throw new ServiceRefusal(0, BAD_ENDPOINT);
  }
  if (status >= 200 && status < 300 && document.node !== undefined) return document;
  const { errorCode = 0, message = "", cause = "", index = 0 } = document;
  if (errorCode === 0) throw new ServiceRefusal(0, BAD_ENDPOINT);
  throw new ServiceRefusal(errorCode, `${errorCode}: ${message} (${cause}) [${index}]`);
}

function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message === "") {
    return cause.errors.map((error) => reasonOf(error)).join(", ");
  }
  return messageOf(cause);
}
