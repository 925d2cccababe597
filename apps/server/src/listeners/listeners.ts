/**
 * The client listeners: one HTTP or HTTPS server per listen URL, all serving one request handler.
 * Owns binding, the gate that holds requests until the member is ready to take them, connection
 * counting, and closing in order. Knows nothing of routes.
 */
import { createServer as createHttpServer } from "node:http";
import type { RequestListener, Server, ServerOptions } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { ServerOptions as TlsServerOptions } from "node:https";
import type { Socket } from "node:net";
import { bindHost } from "@etcd2/net-url";
import { ConnectionSweep, SWEEP_INTERVAL_MS } from "./connection-sweep.ts";
import type { SweepLimits } from "./connection-sweep.ts";
import { StartError } from "../base/start-error.ts";
import type { SocketUrl } from "../config/urls.ts";

export interface ListenersOptions {
  readonly urls: readonly SocketUrl[];
  /** Options every HTTP server gets: header size and time limits. */
  readonly http: ServerOptions;
  /** Options of HTTPS servers; needed when a URL is https. */
  readonly tls: TlsServerOptions | undefined;
  /** Called for every new server, for handlers beyond requests (malformed requests). */
  readonly onServer: (server: Server) => void;
  /** Connections at one time over all listeners; further ones are closed at once. */
  readonly connectionsMax: number;
  /** Counts them where other threads have connections too; entered() gives their number. */
  readonly gauge?: ConnectionGauge;
  /** Other threads listen on the same addresses, and the kernel shares the connections out. */
  readonly isShared?: boolean;
  /** A connection was accepted. */
  readonly onConnection?: () => void;
  readonly onShed: () => void;
  /** A connection was closed because it was idle, or its client took nothing, for too long. */
  readonly onSwept?: () => void;
  readonly sweepLimits?: SweepLimits;
  readonly sweepIntervalMs?: number;
}

/** The connections of all threads. */
export interface ConnectionGauge {
  readonly open: number;
  /** @returns How many are open now. */
  entered(): number;
  left(): void;
}

interface ByteCounts {
  received: number;
  sent: number;
}

/** Connections asked for their bytes at a time. */
const BYTES_ASKED_MAX = 500;

type Held = Parameters<RequestListener>;

export class ClientListeners {
  readonly #options: ListenersOptions;
  readonly #servers: Server[] = [];
  /** Open connections, and what of their bytes is in the totals. */
  readonly #sockets = new Map<Socket, ByteCounts>();
  #nextSockets = this.#sockets.entries();
  readonly #bytes: ByteCounts = { received: 0, sent: 0 };
  readonly #sweep: ConnectionSweep<Socket>;
  readonly #sweeper: NodeJS.Timeout;
  #handler: RequestListener | undefined;
  #held: Held[] = [];

  constructor(options: ListenersOptions) {
    this.#options = options;
    this.#sweep = new ConnectionSweep(options.sweepLimits);
    this.#sweeper = setInterval(
      this.#sweepConnections,
      options.sweepIntervalMs ?? SWEEP_INTERVAL_MS,
    );
    this.#sweeper.unref();
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /**
   * Bytes of all connections so far, with what TLS adds. Asking costs a little for each open one,
   * so each call asks a limited number of them, in turn.
   */
  bytes(): Readonly<ByteCounts> {
    for (let left = Math.min(this.#sockets.size, BYTES_ASKED_MAX); left > 0; left -= 1) {
      let next = this.#nextSockets.next();
      if (next.done === true) {
        this.#nextSockets = this.#sockets.entries();
        next = this.#nextSockets.next();
      }
      if (next.done !== true) this.#addBytes(...next.value);
    }
    return { ...this.#bytes };
  }

  /** Binds all URLs. @throws StartError, with nothing left bound. */
  async listen(): Promise<void> {
    try {
      for (const url of this.#options.urls) await this.#bind(url);
    } catch (error) {
      await this.close(0);
      throw error;
    }
  }

  /** Lets requests through, first those that came before the member was ready. */
  open(handler: RequestListener): void {
    this.#handler = handler;
    const held = this.#held;
    this.#held = [];
    for (const [request, response] of held) handler(request, response);
  }

  /** Stops accepting, gives requests under way the time, then cuts what is left. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.#sweeper);
    const closing = this.#servers.map(
      (server) =>
        new Promise<void>((resolve) =>
          server.close(() => {
            resolve();
          }),
        ),
    );
    for (const server of this.#servers) server.closeIdleConnections();
    const cut = setTimeout(() => {
      for (const socket of this.#sockets.keys()) socket.destroy();
    }, graceMs);
    await Promise.all(closing);
    clearTimeout(cut);
  }

  readonly #onRequest: RequestListener = (request, response) => {
    if (this.#handler === undefined) this.#held.push([request, response]);
    else this.#handler(request, response);
  };

  readonly #sweepConnections = (): void => {
    const open = this.#options.gauge?.open ?? this.#sockets.size;
    const isScarce = open > this.#options.connectionsMax * 0.75;
    for (const socket of this.#sweep.due(performance.now(), isScarce)) {
      this.#options.onSwept?.();
      socket.destroy();
    }
  };

  /** With TLS it is the secured connection that carries requests. */
  readonly #watchOver = (socket: Socket): void => {
    this.#sweep.add(socket, performance.now());
    socket.once("close", () => {
      this.#sweep.delete(socket);
    });
  };

  #create(url: SocketUrl): Server {
    if (url.scheme === "http") return createHttpServer(this.#options.http, this.#onRequest);
    if (this.#options.tls === undefined) {
      throw new StartError(
        `cannot listen on TLS for ${url.text}: KeyFile and CertFile are not presented`,
      );
    }
    return createHttpsServer({ ...this.#options.http, ...this.#options.tls }, this.#onRequest);
  }

  async #bind(url: SocketUrl): Promise<void> {
    const server = this.#create(url);
    this.#options.onServer(server);
    // With TLS these are the bare connections: one that never completes its handshake counts too.
    server.on("connection", (socket: Socket) => {
      this.#accept(socket, url.scheme === "http");
    });
    server.on("secureConnection", this.#watchOver);
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        reject(bindError(url, error));
      });
      const host = bindHost(url.host);
      const reusePort = this.#options.isShared === true;
      const address = { port: url.port, ...(host !== "" && { host }) };
      server.listen({ ...address, backlog: 4096, reusePort }, () => {
        server.removeAllListeners("error");
        resolve();
      });
    });
    this.#servers.push(server);
  }

  #accept(socket: Socket, isPlain: boolean): void {
    const { gauge, connectionsMax } = this.#options;
    const open = gauge?.entered() ?? this.#sockets.size + 1;
    if (open > connectionsMax) {
      gauge?.left();
      this.#options.onShed();
      socket.destroy();
      return;
    }
    this.#options.onConnection?.();
    const counted = { received: 0, sent: 0 };
    this.#sockets.set(socket, counted);
    if (isPlain) this.#watchOver(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      gauge?.left();
      this.#addBytes(socket, counted);
    });
  }

  #addBytes(socket: Socket, counted: ByteCounts): void {
    const { bytesRead, bytesWritten } = socket;
    this.#bytes.received += bytesRead - counted.received;
    this.#bytes.sent += bytesWritten - counted.sent;
    counted.received = bytesRead;
    counted.sent = bytesWritten;
  }
}

/** The words of etcd 2.3.8 for a port that cannot be had. */
function bindError(url: SocketUrl, error: NodeJS.ErrnoException): StartError {
  const address = `${bindHost(url.host)}:${url.port}`;
  const reasons: Partial<Record<string, string>> = {
    EADDRINUSE: "address already in use",
    EACCES: "permission denied",
    EADDRNOTAVAIL: "cannot assign requested address",
    ENOTFOUND: "no such host",
  };
  const reason = reasons[error.code ?? ""] ?? error.message;
  return new StartError(`listen tcp ${address}: bind: ${reason}`, { cause: error });
}
