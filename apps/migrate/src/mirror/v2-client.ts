/**
 * An HTTP client for any v2 server: one request at a time or a response as a stream,
 * trying the endpoints in turn. Keys and values are byte strings. Does not interpret bodies.
 */
import * as http from "node:http";
import * as https from "node:https";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import type { PeerCertificate } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { certificateName, dialHost, hostHeader, portOf } from "@etcd2/net-url";
import { MigrateError, messageOf } from "../errors.ts";
import type { Endpoints } from "./endpoints.ts";

const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTIONS_MAX = 64;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 3000;

export type Parameters = Readonly<Record<string, string>>;

export interface V2Response {
  readonly status: number;
  /** X-Etcd-Index, 0 where absent. */
  readonly etcdIndex: number;
  readonly clusterId: string;
  readonly body: Buffer;
}

export interface V2Stream {
  readonly status: number;
  readonly etcdIndex: number;
  readonly clusterId: string;
  readonly chunks: AsyncIterable<Buffer>;
  close(): void;
}

interface Call {
  readonly method: "GET" | "PUT" | "DELETE";
  readonly key: string;
  readonly query: Parameters;
  readonly form?: Parameters;
  /** Another part of the API than the keys. */
  readonly api?: "/v2/auth";
}

export class V2Client {
  readonly #endpoints: Endpoints;
  readonly #agents: { readonly http: http.Agent; readonly https: https.Agent };
  /** Told once when a server cannot be reached, and once when it can again. */
  readonly #onReachable: (reachable: boolean, reason: string) => void;
  #isReachable = true;
  #current = 0;

  constructor(
    endpoints: Endpoints,
    onReachable: (reachable: boolean, reason: string) => void = () => undefined,
  ) {
    this.#endpoints = endpoints;
    this.#onReachable = onReachable;
    const options = { keepAlive: true, maxSockets: CONNECTIONS_MAX };
    this.#agents = {
      http: new http.Agent(options),
      https: new https.Agent({ ...options, ...endpoints.tls }),
    };
  }

  /** Where it talks to, for messages. */
  get name(): string {
    return this.#endpoints.urls.map((url) => url.host).join(",");
  }

  close(): void {
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  /** Sends a request until a server gives a definite answer: below 500, or 5xx for ever. */
  async request(call: Call, signal: AbortSignal): Promise<V2Response> {
    for (let wait = RETRY_MIN_MS; ; wait = Math.min(wait * 2, RETRY_MAX_MS)) {
      try {
        const response = await this.once(call, signal);
        if (response.status < 500) {
          this.#reached(true, "");
          return response;
        }
        this.#reached(false, `answers ${response.status}`);
      } catch (error) {
        if (signal.aborted) throw interrupted();
        this.#reached(false, messageOf(error));
      }
      this.#current++;
      await sleep(wait, undefined, { signal }).catch(() => {
        throw interrupted();
      });
    }
  }

  /** Sends a request once. @throws whatever the socket reports. */
  async once(call: Call, signal: AbortSignal): Promise<V2Response> {
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
    const message = await this.#send(call, timeout);
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    return { ...facts(message), body: Buffer.concat(chunks) };
  }

  /** Opens a response to be read as it comes. */
  async stream(call: Call, signal: AbortSignal): Promise<V2Stream> {
    const message = await this.#send(call, signal);
    return {
      ...facts(message),
      chunks: message as AsyncIterable<Buffer>,
      close: () => {
        message.destroy();
      },
    };
  }

  /** Goes to the next endpoint for what follows. */
  nextEndpoint(reason: string): void {
    this.#current++;
    this.#reached(false, reason);
  }

  /** Notes that an endpoint answered. */
  reached(): void {
    this.#reached(true, "");
  }

  #reached(reachable: boolean, reason: string): void {
    if (reachable === this.#isReachable) return;
    this.#isReachable = reachable;
    this.#onReachable(reachable, reason);
  }

  #send(call: Call, signal: AbortSignal): Promise<IncomingMessage> {
    const base = this.#endpoints.urls[this.#current % this.#endpoints.urls.length];
    if (base === undefined) throw new MigrateError("usage", "no endpoint given");
    const query = encodeForm(call.query);
    const path = `${call.api ?? "/v2/keys"}${encodeKey(call.key)}${query === "" ? "" : `?${query}`}`;
    const body = call.form === undefined ? undefined : encodeForm(call.form);
    const { authorization } = this.#endpoints;
    const name = certificateName(base.hostname);
    const headers = {
      host: hostHeader(base.host),
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined
        ? {}
        : {
            "content-type": "application/x-www-form-urlencoded",
            "content-length": String(body.length),
          }),
    };
    return new Promise((resolve, reject) => {
      const isTls = base.scheme === "https";
      const request = (isTls ? https : http).request(
        {
          protocol: `${base.scheme}:`,
          host: dialHost(base.hostname),
          port: portOf(base),
          ...(isTls && {
            servername: isIP(name) === 0 ? name : "",
            checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
              checkServerIdentity(name, certificate),
          }),
          method: call.method,
          path,
          headers,
          agent: this.#agents[isTls ? "https" : "http"],
          signal,
        },
        resolve,
      );
      request.on("error", reject);
      request.end(body);
    });
  }
}

function facts(message: IncomingMessage): Omit<V2Response, "body"> {
  const header = (headers: IncomingHttpHeaders, name: string): string => {
    const value = headers[name];
    return typeof value === "string" ? value : "";
  };
  return {
    status: message.statusCode ?? 0,
    etcdIndex: Number(header(message.headers, "x-etcd-index")) || 0,
    clusterId: header(message.headers, "x-etcd-cluster-id"),
  };
}

function interrupted(): MigrateError {
  return new MigrateError("interrupted", "interrupted");
}

/** Percent-encodes each byte that is not plain in a path. */
function encodeKey(key: string): string {
  return key.replace(/[^A-Za-z0-9._~/-]/g, percent);
}

function encodeForm(parameters: Parameters): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${value.replace(/[^A-Za-z0-9._~-]/g, percent)}`)
    .join("&");
}

function percent(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}
