/**
 * The ports that members and proxies alike open for clients and for whoever reads their figures:
 * plain or with TLS, with the budget of connections. Knows nothing of what is served.
 */
import type { RequestListener, Server, ServerOptions } from "node:http";
import { Server as TlsServer } from "node:tls";
import type { Logger, Meter } from "@etcd2/observability";
import { createHttpServerOptions, prepareHttpServer } from "@etcd2/api-v2";
import type { ServerConfig } from "../config/server-config.ts";
import { ClientListeners } from "./listeners.ts";
import type { ClientFigures } from "../metrics/figures.ts";
import type { TlsSide } from "../tls/tls-side.ts";
import type { SocketUrl } from "../config/urls.ts";

/** The only paths of the metrics ports. */
const metricsPaths = new Set(["/metrics", "/health", "/livez", "/readyz"]);

/** Threads that serve the ports of clients. */
export interface ClientThreads {
  /** Called when they had to close a new connection at once. */
  onShed: (() => void) | undefined;
  /** Connections of all of them at this moment. */
  readonly connections: number;
  /** Bytes of their connections, as of the last look. */
  bytes(): { readonly received: number; readonly sent: number };
  /** Listens on all URLs, which nobody else has. @throws StartError, with nothing left bound. */
  listen(connectionsMax: number): Promise<void>;
  close(graceMs: number): Promise<void>;
}

export interface ClientPortsOptions {
  readonly config: Pick<ServerConfig, "listenClientUrls" | "listenMetricsUrls">;
  readonly tls: TlsSide | undefined;
  readonly budget: { readonly connectionsMax: number; readonly metricsConnectionsMax: number };
  readonly meter: Meter;
  readonly log: Logger;
  /** Where the console is served; nowhere when left out. */
  readonly consoleUrls?: readonly SocketUrl[];
  /** Put before the lines that announce the ports of clients. */
  readonly announcePrefix?: string;
  /** Who serves the ports of clients in place of this thread. */
  readonly clientThreads?: ClientThreads | undefined;
}

const SHED_LINE_INTERVAL_MS = 10_000;

type Limits = Pick<
  ConstructorParameters<typeof ClientListeners>[0],
  "connectionsMax" | "onConnection" | "onShed" | "onSwept" | "gauge" | "isShared"
>;

/** Listeners of one kind of port, not bound yet. */
export function httpListeners(
  urls: readonly SocketUrl[],
  tls: TlsSide | undefined,
  limits: Limits,
): ClientListeners {
  return new ClientListeners({
    urls,
    // The listeners need not know the classes requests and responses are made of.
    http: createHttpServerOptions() as ServerOptions,
    tls: tls?.serverOptions(),
    onServer: (server: Server) => {
      prepareHttpServer(server);
      if (server instanceof TlsServer) tls?.attach(server);
    },
    ...limits,
  });
}

/** Open ports. Requests are held until open(). */
export class ClientPorts {
  readonly connectionsMax: number;
  readonly #clients: ClientListeners;
  readonly #metrics: ClientListeners;
  readonly #console: ClientListeners;
  readonly #threads: ClientThreads | undefined;
  #warnedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: ClientPortsOptions) {
    const { config, tls, budget, meter, log, consoleUrls = [] } = options;
    const { connectionsMax, metricsConnectionsMax } = budget;
    this.connectionsMax = connectionsMax;
    this.#threads = options.clientThreads;
    if (this.#threads !== undefined) {
      this.#threads.onShed = () => {
        this.#warnOfShedding(log);
      };
    }
    const accepted = meter.counter("etcd2_client_connections_accepted_total");
    const shed = meter.counter("etcd2_client_connections_shed_total");
    const swept = meter.counter("etcd2_client_connections_swept_total");
    this.#clients = httpListeners(config.listenClientUrls, tls, {
      connectionsMax,
      onConnection: () => {
        accepted.add(1);
      },
      onShed: () => {
        shed.add(1);
        this.#warnOfShedding(log);
      },
      onSwept: () => {
        swept.add(1);
      },
    });
    this.#metrics = httpListeners(config.listenMetricsUrls, tls, {
      connectionsMax: metricsConnectionsMax,
      onShed: () => undefined,
    });
    this.#console = httpListeners(consoleUrls, tls, {
      connectionsMax: metricsConnectionsMax,
      onShed: () => undefined,
    });
  }

  /** At most one line in a while: whoever is shed comes back at once. */
  #warnOfShedding(log: Logger): void {
    const now = performance.now();
    if (now - this.#warnedAtMs < SHED_LINE_INTERVAL_MS) return;
    this.#warnedAtMs = now;
    log.warning(
      `all ${this.connectionsMax} client connections are in use, new ones are closed at once: ` +
        "raise the limit of open files or --max-connections, or find who holds them",
    );
  }

  /** Client connections at this moment. */
  get connections(): number {
    return this.#clients.connections + (this.#threads?.connections ?? 0);
  }

  /** Bytes of client connections so far. */
  bytes(): { readonly received: number; readonly sent: number } {
    const [own, others] = [this.#clients.bytes(), this.#threads?.bytes()];
    if (others === undefined) return own;
    return { received: own.received + others.received, sent: own.sent + others.sent };
  }

  /** Binds all ports or none. @throws StartError */
  async listen(): Promise<void> {
    await this.#clients.listen();
    try {
      if (this.#threads !== undefined) await this.#handOver(this.#threads);
      await this.#metrics.listen();
      await this.#console.listen();
    } catch (error) {
      await Promise.all([this.#clients.close(0), this.#metrics.close(0), this.#threads?.close(0)]);
      throw error;
    }
  }

  /** Leaves the ports to threads, once it is sure that no other process has them. */
  async #handOver(threads: ClientThreads): Promise<void> {
    await this.#clients.close(0);
    await threads.listen(this.connectionsMax);
  }

  /** Lets requests of the console through. */
  openConsole(handler: RequestListener): void {
    this.#console.open(handler);
  }

  /** Lets requests through; `plain` serves the metrics ports, which stay out of the access log. */
  open(handler: RequestListener, plain: RequestListener): void {
    this.#metrics.open((request, response) => {
      if (metricsPaths.has((request.url ?? "").replace(/\?.*$/, ""))) plain(request, response);
      else response.writeHead(404, { "Content-Type": "text/plain" }).end("404 page not found\n");
    });
    if (this.#threads === undefined) this.#clients.open(handler);
  }

  async close(graceMs: number): Promise<void> {
    await Promise.all([
      this.#threads === undefined ? this.#clients.close(graceMs) : this.#threads.close(graceMs),
      this.#metrics.close(0),
      this.#console.close(0),
    ]);
  }
}

/** What the metrics page shows of them. */
export function clientFigures(
  ports: Pick<ClientPorts, "connections" | "connectionsMax" | "bytes">,
): ClientFigures {
  const { received, sent } = ports.bytes();
  return {
    connections: ports.connections,
    connectionsMax: ports.connectionsMax,
    receivedBytes: received,
    sentBytes: sent,
  };
}

/** Opens all ports or none, and announces them. @throws StartError */
export async function openClientPorts(options: ClientPortsOptions): Promise<ClientPorts> {
  const { config, log, announcePrefix = "" } = options;
  const ports = new ClientPorts(options);
  await ports.listen();
  for (const { text } of config.listenClientUrls) {
    log.info(`${announcePrefix}listening for client requests on ${text}`);
  }
  for (const { text } of config.listenMetricsUrls) {
    log.info(`${announcePrefix}listening for metrics on ${text}`);
  }
  for (const { text } of options.consoleUrls ?? []) log.info(`the console is on ${text}`);
  return ports;
}
