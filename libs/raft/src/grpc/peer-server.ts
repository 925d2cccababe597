/**
 * The listener of the peer port. Owns the sockets itself and hands connections to gRPC, so that
 * bind errors are errno codes instead of text, and a forced close waits for nobody. Knows no
 * service: addRaftService registers one on `grpc`.
 */
import { Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";
import type { ConnectionInjector } from "@grpc/grpc-js";
import { createServer } from "node:net";
import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import type { Server as TlsServer } from "node:tls";
import { widenFlowWindows } from "../transport/flow-window.ts";
import { bindHost, portOf } from "@etcd2/net-url";
import { isSecure as needsTls, parsePeerUrl } from "../transport/peer-client.ts";
import { DEFAULT_TRANSPORT_LIMITS } from "../transport/options.ts";

/** Settings of the server on the peer port. */
export interface PeerServerOptions {
  /** URLs to listen on: http://host:port or https://host:port. Port 0 takes a free one. */
  readonly addresses: readonly string[];
  /** Needed for https addresses: shakes hands for them, and never listens itself. */
  readonly tls?: TlsServer;
  /** Largest message accepted. */
  readonly frameBytesMax?: number;
  /** Connections at one time on each address; more are closed at once. */
  readonly connectionsMax?: number;
  /** A connection without a call for so long is closed; members' links have one all the time. */
  readonly idleMs?: number;
}

/** Streams at once on one connection; a peer needs four. Each may hold a whole frame in memory. */
const CONCURRENT_STREAMS_MAX = 16;
const CONNECTIONS_MAX = 1024;
/** A connection that does not answer an HTTP/2 ping within the second of these is dropped. */
const KEEPALIVE_MS = 15_000;
/** Who holds connections without saying anything must not keep members out. */
const IDLE_MS = 60_000;

/** One address that is listened on. */
export interface PeerListener {
  /** As asked for, with the real port in place of 0. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
}

/** The server on the peer port: gRPC, with or without TLS, on as many addresses as are opened. */
export class PeerServer {
  readonly grpc: GrpcServer;
  readonly #servers: NetServer[] = [];
  readonly #listeners: PeerListener[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #connectionsMax: number;
  readonly #leaveWindows: () => void;
  readonly #injector: ConnectionInjector;
  readonly #tls: TlsServer | undefined;
  #closed = false;

  constructor({
    frameBytesMax,
    connectionsMax,
    idleMs,
    tls,
  }: Omit<PeerServerOptions, "addresses">) {
    this.#connectionsMax = connectionsMax ?? CONNECTIONS_MAX;
    this.grpc = new GrpcServer({
      "grpc.max_receive_message_length": frameBytesMax ?? DEFAULT_TRANSPORT_LIMITS.frameBytesMax,
      "grpc.max_send_message_length": -1,
      "grpc.max_concurrent_streams": CONCURRENT_STREAMS_MAX,
      "grpc.keepalive_time_ms": KEEPALIVE_MS,
      "grpc.keepalive_timeout_ms": KEEPALIVE_MS,
      "grpc.max_connection_idle_ms": idleMs ?? IDLE_MS,
      "grpc.enable_channelz": 0,
    });
    // The handshake is done when gRPC sees a connection, so refusals can be told by whoever made `tls`.
    this.#injector = this.grpc.createConnectionInjector(ServerCredentials.createInsecure());
    this.#tls = tls?.on("secureConnection", (socket) => {
      socket.on("error", () => undefined);
      if (socket.alpnProtocol === "h2") this.#injector.injectConnection(socket);
      else socket.destroy();
    });
    this.#leaveWindows = widenFlowWindows((port) =>
      this.#listeners.some((listener) => listener.port === port),
    );
  }

  get listeners(): readonly PeerListener[] {
    return this.#listeners;
  }

  /** Opens one address. @throws Error with the reason in the words of etcd 2.3.8. */
  async listen(address: string): Promise<void> {
    const url = parsePeerUrl(address);
    const isSecure = needsTls(url);
    const tls = this.#tls;
    if (isSecure && tls === undefined) throw new Error(`${url.text} needs a certificate and a key`);
    const server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      // A reset; what matters of it reaches the streams.
      socket.on("error", () => undefined);
      if (isSecure) tls?.emit("connection", socket);
      else this.#injector.injectConnection(socket);
    });
    server.maxConnections = this.#connectionsMax;
    await bind(server, bindHost(url.hostname), portOf(url));
    this.#servers.push(server);
    const bound = server.address() as AddressInfo;
    this.#listeners.push({
      url: url.text.replace(/:\d*$/, `:${bound.port}`),
      host: bound.address,
      port: bound.port,
    });
  }

  /**
   * Stops listening, gives calls `graceMs` to end, then cuts every connection. Peers that do not
   * take part are not waited for.
   */
  async close(graceMs = 0): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const ended = this.#servers.map((server) => {
      return new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
    });
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, graceMs);
    this.grpc.tryShutdown(() => undefined);
    await Promise.all(ended);
    clearTimeout(timer);
    this.#leaveWindows();
    this.grpc.forceShutdown();
  }
}

/**
 * Listens on all addresses or on none.
 * @throws Error `listen tcp <host>:<port>: bind: address already in use` and the like.
 */
export async function createPeerServer(options: PeerServerOptions): Promise<PeerServer> {
  const server = new PeerServer(options);
  try {
    for (const address of options.addresses) await server.listen(address);
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

async function bind(server: NetServer, host: string, port: number): Promise<void> {
  const shown = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port, ...(host !== "" && { host }) }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (cause) {
    throw new Error(`listen tcp ${shown}: ${bindReason(cause)}`, { cause });
  }
  // Errors of accepting (too many open files) must not end the process.
  server.on("error", () => undefined);
}

function bindReason(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return "bind: address already in use";
    case "EADDRNOTAVAIL":
      return "bind: cannot assign requested address";
    case "EACCES":
      return "bind: permission denied";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "no such host";
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
