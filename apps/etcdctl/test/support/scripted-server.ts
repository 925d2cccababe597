/** An HTTP server that answers from a list of routes and remembers what it was asked. */
import { readFileSync } from "node:fs";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";

export interface Route {
  readonly method: string;
  /** Decoded, without the query. */
  readonly path: string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** How often this route may be used; unlimited when absent. */
  readonly times?: number;
  /** Never answers. */
  readonly hang?: boolean;
  readonly delay_ms?: number;
}

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly body: string;
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
}

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly client_ca?: string;
}

const notFound = {
  status: 404,
  headers: { "Content-Type": "text/plain; charset=utf-8" },
  body: "404 page not found\n",
};

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

export class ScriptedServer {
  readonly url: string;
  /** What was received since the last `begin`. */
  received: Received[] = [];
  #routes: readonly Route[] = [];
  #used = new Map<Route, number>();
  readonly #server: http.Server;
  readonly #timers = new Set<NodeJS.Timeout>();

  private constructor(server: http.Server, scheme: string) {
    this.#server = server;
    this.url = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => {
      void this.#serve(request, response);
    });
  }

  /** Listens on a free port of the loopback; `filesRoot` is where the TLS files are. */
  static async listen(tls?: TlsFiles, filesRoot = ""): Promise<ScriptedServer> {
    const read = (name: string): Buffer => readFileSync(`${filesRoot}/${name}`);
    const server =
      tls === undefined
        ? http.createServer()
        : https.createServer({
            cert: read(tls.cert),
            key: read(tls.key),
            ...(tls.client_ca === undefined
              ? {}
              : { ca: read(tls.client_ca), requestCert: true, rejectUnauthorized: true }),
          });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new ScriptedServer(server, tls === undefined ? "http" : "https");
  }

  /** Starts over with these routes; the first that matches and is not used up answers. */
  begin(routes: readonly Route[]): void {
    this.#routes = routes;
    this.#used = new Map();
    this.received = [];
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [rawPath = "", query = ""] = (request.url ?? "").split("?", 2);
    const path = decodeURIComponent(rawPath);
    const body = await readBody(request);
    const { method = "" } = request;
    this.received.push({
      method,
      path,
      query,
      body,
      authorization: request.headers.authorization,
      contentType: request.headers["content-type"],
    });
    const route = this.#routes.find(
      (candidate) =>
        candidate.method === method &&
        candidate.path === path &&
        (this.#used.get(candidate) ?? 0) < (candidate.times ?? Infinity),
    );
    if (route !== undefined) this.#used.set(route, (this.#used.get(route) ?? 0) + 1);
    if (route?.hang === true) return;
    const { status = 200, headers = {}, body: answer = "" } = route ?? notFound;
    const send = (): void => {
      response.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(answer) });
      response.end(method === "HEAD" ? undefined : answer);
    };
    if (route?.delay_ms === undefined) send();
    else this.#timers.add(setTimeout(send, route.delay_ms));
  }
}
