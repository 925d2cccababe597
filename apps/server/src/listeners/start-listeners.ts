/**
 * Opens every port of a member: for peers, for clients and for whoever reads its figures, each
 * plain or with TLS. Owns the certificates of both sides and the budget of connections; knows
 * nothing of what is served.
 */
import type { Meter } from "@etcd2/observability";
import type { RequestListener } from "node:http";
import type { DataDirLayout } from "@etcd2/member-dir";
import { createPeerServer } from "@etcd2/raft";
import type { PeerCredentials, PeerServer } from "@etcd2/raft";
import type { ClientPorts, ClientThreads } from "./client-ports.ts";
import { openClientPorts } from "./client-ports.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { connectionBudget, fdLimit } from "../system/fd-limit.ts";
import type { ConnectionBudget } from "../system/fd-limit.ts";
import type { Logging } from "../logging/logger.ts";
import type { CertificateFigures } from "../metrics/figures.ts";
import { StartError, asStartError } from "../base/start-error.ts";
import { outgoingTls } from "../tls/outgoing-tls.ts";
import { createPeerCredentials, createPeerTlsServer } from "../tls/peer-credentials.ts";
import type { TlsSide } from "../tls/tls-side.ts";
import type { TlsSides } from "../tls/tls-sides.ts";
import { certificateFigures, clientSideUrls, createTlsSides } from "../tls/tls-sides.ts";
import { urlTexts } from "../config/urls.ts";

export interface OpenListenersOptions {
  readonly config: ServerConfig;
  readonly layout: DataDirLayout;
  readonly logging: Logging;
  readonly meter: Meter;
  /** Who serves the ports of clients in place of this thread. */
  readonly clientThreads?: ClientThreads | undefined;
}

interface Ports {
  readonly peers: PeerServer;
  readonly clients: ClientPorts;
}

/** The open ports. Clients are held until open(). */
export class Listeners {
  readonly #ports: Ports;
  readonly #sides: TlsSides;
  /** How to reach peers. */
  readonly peerCredentials: PeerCredentials;

  constructor(ports: Ports, sides: TlsSides, peerCredentials: PeerCredentials) {
    this.#ports = ports;
    this.#sides = sides;
    this.peerCredentials = peerCredentials;
  }

  get connectionsMax(): number {
    return this.#ports.clients.connectionsMax;
  }

  get grpc(): PeerServer["grpc"] {
    return this.#ports.peers.grpc;
  }

  /** The certificates in use, of those sides that have one. */
  get certificates(): readonly CertificateFigures[] {
    return certificateFigures(this.#sides);
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
    this.#ports.clients.open(handler, plain);
  }

  /** Lets requests of the console through. */
  openConsole(handler: RequestListener): void {
    this.#ports.clients.openConsole(handler);
  }

  /** Clients first, peers last: other members may wait for this one's answers. */
  async close(graceMs: number): Promise<void> {
    const { peers, clients } = this.#ports;
    await clients.close(graceMs);
    await peers.close();
    this.#sides.client?.close();
    this.#sides.peer?.close();
  }
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
  return createPeerServer({ addresses, connectionsMax, tls: createPeerTlsServer(side) });
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
  try {
    const { meter, clientThreads } = options;
    const clients = await openClientPorts({
      config,
      tls: sides.client,
      budget,
      meter,
      log,
      consoleUrls: config.listenConsoleUrls,
      clientThreads,
    });
    return { peers, clients };
  } catch (error) {
    await peers.close();
    for (const url of config.listenPeerUrls) {
      log.info(`stopping listening for peers on ${url.text}`);
    }
    throw error;
  }
}

/** Opens all ports or none. @throws StartError */
export async function openListeners(options: OpenListenersOptions): Promise<Listeners> {
  const { config } = options;
  const budget = connectionBudget(fdLimit(), config.connectionsMax);
  if (!budget.ok) throw new StartError(budget.error);
  let sides: TlsSides = { client: undefined, peer: undefined };
  try {
    const urls = {
      client: clientSideUrls(config),
      peer: [...config.listenPeerUrls, ...config.advertisePeerUrls],
    };
    sides = await createTlsSides({ ...options, urls });
    const peerCredentials = createPeerCredentials(outgoingTls(config.peerTls, sides.peer));
    const ports = await openPorts(options, sides, budget);
    return new Listeners(ports, sides, peerCredentials);
  } catch (error) {
    sides.client?.close();
    sides.peer?.close();
    throw asStartError(error);
  }
}
