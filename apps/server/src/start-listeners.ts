/**
 * Opens every port of a member: for peers, for clients and for whoever reads its figures, each
 * plain or with TLS. Owns the certificates of both sides and the budget of connections; knows
 * nothing of what is served.
 */
import type { RequestListener, Server, ServerOptions } from "node:http";
import { Server as TlsServer } from "node:tls";
import { createHttpServerOptions, prepareHttpServer } from "@etcd2/api-v2";
import { createPeerServer } from "@etcd2/raft";
import type { PeerCredentials, PeerServer } from "@etcd2/raft";
import type { ServerConfig } from "./config.ts";
import type { DataDirLayout } from "./data-dir.ts";
import { connectionBudget, fdLimit } from "./fd-limit.ts";
import type { ConnectionBudget } from "./fd-limit.ts";
import { ClientListeners } from "./listeners.ts";
import type { Logging } from "./logger.ts";
import type { CertificateFigures } from "./metrics/sources.ts";
import { StartError } from "./start-error.ts";
import { createPeerCredentials, createPeerServerCredentials } from "./tls/peer-credentials.ts";
import { tlsWarnings } from "./tls/tls-warnings.ts";
import type { TlsSide } from "./tls/tls-side.ts";
import type { SocketUrl } from "./urls.ts";
import { urlTexts } from "./urls.ts";

/** The only paths of the metrics ports. */
const metricsPaths = new Set(["/metrics", "/health", "/livez", "/readyz"]);

export interface OpenListenersOptions {
  readonly config: ServerConfig;
  readonly layout: DataDirLayout;
  readonly logging: Logging;
  readonly onConnection: () => void;
  readonly onShed: () => void;
  readonly onSwept: () => void;
}

interface TlsSides {
  readonly client: TlsSide | undefined;
  readonly peer: TlsSide | undefined;
}

interface Ports {
  readonly peers: PeerServer;
  readonly clients: ClientListeners;
  readonly metrics: ClientListeners;
}

/** The open ports. Clients are held until open(). */
export class Listeners {
  readonly #ports: Ports;
  readonly #sides: TlsSides;
  readonly connectionsMax: number;
  /** How to reach peers. */
  readonly peerCredentials: PeerCredentials;

  constructor(
    ports: Ports,
    sides: TlsSides,
    more: { connectionsMax: number; peerCredentials: PeerCredentials },
  ) {
    this.#ports = ports;
    this.#sides = sides;
    this.connectionsMax = more.connectionsMax;
    this.peerCredentials = more.peerCredentials;
  }

  get grpc(): PeerServer["grpc"] {
    return this.#ports.peers.grpc;
  }

  /** The certificates in use, of those sides that have one. */
  get certificates(): readonly CertificateFigures[] {
    return (["client", "peer"] as const).flatMap((side) => {
      const notAfter = this.#sides[side]?.notAfter;
      return notAfter === undefined
        ? []
        : [{ side, notAfterSeconds: Math.floor(notAfter.getTime() / 1000) }];
    });
  }

  /** Bytes of client connections so far. */
  bytes(): { readonly received: number; readonly sent: number } {
    return this.#ports.clients.bytes();
  }

  /** Client connections at this moment. */
  get connections(): number {
    return this.#ports.clients.connections;
  }

  /** Lets requests through; `plain` serves the metrics ports, which stay out of the access log. */
  open(handler: RequestListener, plain: RequestListener): void {
    this.#ports.metrics.open((request, response) => {
      if (metricsPaths.has((request.url ?? "").replace(/\?.*$/, ""))) plain(request, response);
      else response.writeHead(404, { "Content-Type": "text/plain" }).end("404 page not found\n");
    });
    this.#ports.clients.open(handler);
  }

  /** Clients first, peers last: other members may wait for this one's answers. */
  async close(graceMs: number): Promise<void> {
    const { peers, clients, metrics } = this.#ports;
    await Promise.all([clients.close(graceMs), metrics.close(0)]);
    await peers.close();
    this.#sides.client?.close();
    this.#sides.peer?.close();
  }
}

function asStartError(error: unknown): StartError {
  if (error instanceof StartError) return error;
  return new StartError(error instanceof Error ? error.message : String(error), { cause: error });
}

/** TLS code is loaded by those who use TLS. */
async function createSides(options: OpenListenersOptions): Promise<TlsSides> {
  const { config, layout, logging } = options;
  const log = logging.logger("etcdmain");
  const wanted = [config.clientTls, config.peerTls].some(
    (tls) => tls.certFile !== "" || tls.autoTls,
  );
  if (!wanted) return { client: undefined, peer: undefined };
  const { announceTls, createTlsSide } = await import("./tls/tls-side.ts");
  const side = async (name: "client" | "peer"): Promise<TlsSide | undefined> => {
    const tls = name === "client" ? config.clientTls : config.peerTls;
    const urls =
      name === "client"
        ? [...config.listenClientUrls, ...config.advertiseClientUrls]
        : [...config.listenPeerUrls, ...config.advertisePeerUrls];
    if (tls.certFile !== "") log.info(announceTls(name, tls));
    if (urls.every(({ scheme }) => scheme === "http")) return undefined;
    return createTlsSide({
      name,
      config: tls,
      log,
      hosts: urls.map(({ host }) => host),
      autoTlsDirectory: `${layout.dataDir}/tls/${name}`,
    });
  };
  const peer = await side("peer");
  try {
    return { peer, client: await side("client") };
  } catch (error) {
    peer?.close();
    throw error;
  }
}

function httpListeners(
  urls: readonly SocketUrl[],
  tls: TlsSide | undefined,
  limits: Pick<OpenListenersOptions, "onConnection" | "onShed" | "onSwept"> & {
    connectionsMax: number;
  },
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

async function openPeers(
  config: ServerConfig,
  side: TlsSide | undefined,
  connectionsMax: number,
): Promise<PeerServer> {
  const addresses = urlTexts(config.listenPeerUrls);
  const secure = config.listenPeerUrls.find(({ scheme }) => scheme === "https");
  if (side === undefined) {
    if (secure !== undefined) {
      throw new StartError(
        `cannot listen on TLS for ${secure.text}: KeyFile and CertFile are not presented`,
      );
    }
    return createPeerServer({ addresses, connectionsMax });
  }
  const credentials = createPeerServerCredentials(side);
  return createPeerServer({ addresses, connectionsMax, credentials });
}

async function openPorts(
  options: OpenListenersOptions,
  sides: TlsSides,
  budget: ConnectionBudget & { ok: true },
): Promise<Ports> {
  const { config, logging } = options;
  const log = logging.logger("etcdmain");
  const peers = await openPeers(config, sides.peer, budget.peerConnectionsMax);
  for (const url of config.listenPeerUrls) log.info(`listening for peers on ${url.text}`);
  const { onConnection, onShed, onSwept } = options;
  const clients = httpListeners(config.listenClientUrls, sides.client, {
    connectionsMax: budget.connectionsMax,
    onConnection,
    onShed,
    onSwept,
  });
  const metrics = httpListeners(config.listenMetricsUrls, sides.client, {
    connectionsMax: budget.metricsConnectionsMax,
    onConnection: () => undefined,
    onShed: () => undefined,
    onSwept: () => undefined,
  });
  try {
    await clients.listen();
    await metrics.listen();
  } catch (error) {
    await clients.close(0);
    await peers.close();
    for (const url of config.listenPeerUrls)
      log.info(`stopping listening for peers on ${url.text}`);
    throw error;
  }
  for (const url of config.listenClientUrls) {
    log.info(`listening for client requests on ${url.text}`);
  }
  for (const url of config.listenMetricsUrls) log.info(`listening for metrics on ${url.text}`);
  return { peers, clients, metrics };
}

/** Opens all ports or none. @throws StartError */
export async function openListeners(options: OpenListenersOptions): Promise<Listeners> {
  const { config, logging } = options;
  const budget = connectionBudget(fdLimit(), config.connectionsMax);
  if (!budget.ok) throw new StartError(budget.error);
  const { connectionsMax } = budget;
  let sides: TlsSides = { client: undefined, peer: undefined };
  try {
    sides = await createSides(options);
    for (const warning of tlsWarnings(config)) logging.logger("etcdmain").warning(warning);
    // Peers by https can be dialled without certificates of our own, checked by the system's.
    const peerCredentials = createPeerCredentials(sides.peer);
    const ports = await openPorts(options, sides, budget);
    return new Listeners(ports, sides, { connectionsMax, peerCredentials });
  } catch (error) {
    sides.client?.close();
    sides.peer?.close();
    throw asStartError(error);
  }
}
