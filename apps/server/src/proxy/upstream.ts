/**
 * The connections of a proxy to the members: kept alive and shared by all requests, plain or
 * secure. Knows how to reach an endpoint and nothing of what is asked there.
 */
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import type { ClientRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { Endpoint } from "./endpoint.ts";

const IDLE_CONNECTIONS_MAX = 128;

export interface UpstreamOptions {
  /** What https endpoints are checked by and shown; asked for every new request. */
  readonly tls: () => Pick<
    ConnectionOptions,
    "secureContext" | "ca" | "cert" | "key" | "rejectUnauthorized"
  >;
  /** Silence of a member after which a request is given up; 0 means no limit. */
  readonly readTimeoutMs: number;
}

export interface UpstreamRequest {
  readonly method: string;
  readonly path: string;
  /** Names and values in turn, complete. */
  readonly headers: string[];
}

export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    const agent = {
      keepAlive: true,
      maxFreeSockets: IDLE_CONNECTIONS_MAX,
      scheduling: "lifo" as const,
      noDelay: true,
    };
    this.#http = new HttpAgent(agent);
    this.#https = new HttpsAgent(agent);
  }

  /** A request to be written and ended by the caller. */
  request(endpoint: Endpoint, { method, path, headers }: UpstreamRequest): ClientRequest {
    const { host, port, name } = endpoint;
    // CONNECT would open a tunnel here; members refuse it like any method no endpoint has.
    const sent = method === "CONNECT" ? "PURGE" : method;
    const target = { method: sent, path, headers, host, port };
    const request = endpoint.isSecure
      ? httpsRequest({
          ...target,
          ...this.#options.tls(),
          agent: this.#https,
          servername: isIP(name) === 0 ? name : "",
        })
      : httpRequest({ ...target, agent: this.#http });
    const { readTimeoutMs } = this.#options;
    if (readTimeoutMs > 0) {
      request.setTimeout(readTimeoutMs, () => {
        request.destroy(new Error(`silent for ${readTimeoutMs} ms`));
      });
    }
    return request;
  }

  /** Whether an endpoint answers anything at all within a time. */
  answers(endpoint: Endpoint, timeoutMs: number): Promise<boolean> {
    const headers = ["Host", endpoint.url.host, "Connection", "close"];
    const request = this.request(endpoint, { method: "GET", path: "/version", headers });
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve(false);
        request.destroy();
      }, timeoutMs);
      request.once("response", (incoming) => {
        incoming.resume();
        resolve(true);
      });
      request.on("error", () => {
        resolve(false);
      });
      request.once("close", () => {
        clearTimeout(timer);
      });
      request.end();
    });
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}
