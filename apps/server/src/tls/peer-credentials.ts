/**
 * Owns TLS of peer traffic: the same rules and the same exchange of certificates as for HTTP, in
 * the forms that the peer server and grpc-js take.
 */
import { CallCredentials, ChannelCredentials } from "@grpc/grpc-js";
import type { ChannelOptions, experimental } from "@grpc/grpc-js";
import type { Socket } from "node:net";
import { isIP } from "node:net";
import { checkServerIdentity, connect, createServer } from "node:tls";
import type { Server as TlsServer } from "node:tls";

import type { OutgoingTls } from "./outgoing-tls.ts";
import { describeTlsError, wrongHost } from "./tls-error.ts";
import type { TlsSide } from "./tls-side.ts";

type Target = Parameters<ChannelCredentials["_createSecureConnector"]>[0];

/** The host of a channel's target, `ipv4:1.2.3.4:2380` or `dns:name:2380`, already split. */
function hostOf(target: Target): string {
  const match = /^(?:\[(.*)\]|([^:]*))(?::\d+)?$/.exec(target.path.replace(/^\/+/, ""));
  return match?.[1] ?? match?.[2] ?? target.path;
}

/**
 * Makes one connection secure. Our own, because the one of grpc-js hands addresses to TLS as
 * server names, which Node refuses.
 */
class PeerConnector implements experimental.SecureConnector {
  readonly #side: OutgoingTls;
  readonly #host: string;
  readonly #callCredentials: CallCredentials;

  constructor(side: OutgoingTls, host: string, callCredentials: CallCredentials) {
    this.#side = side;
    this.#host = host;
    this.#callCredentials = callCredentials;
  }

  connect(socket: Socket): Promise<experimental.SecureConnectResult> {
    const side = this.#side;
    const host = this.#host;
    // A certificate of --peer-auto-tls can be checked by nobody: such traffic is only encrypted.
    const isBlind = side.isSelfSigned && !side.hasAuthority;
    return new Promise((resolve, reject) => {
      const secured = connect(
        {
          socket,
          secureContext: side.secureContext(),
          servername: isIP(host) === 0 ? host : "",
          ALPNProtocols: ["h2"],
          rejectUnauthorized: !isBlind,
          checkServerIdentity: (_name, certificate) => {
            const isFine = isBlind || checkServerIdentity(host, certificate) === undefined;
            return isFine ? undefined : wrongHost(host, certificate);
          },
        },
        () => {
          resolve({ socket: secured, secure: true });
        },
      );
      secured.on("error", (error) => {
        reject(new Error(`TLS with ${host}: ${describeTlsError(error)}`, { cause: error }));
      });
    });
  }

  waitForReady(): Promise<void> {
    return Promise.resolve();
  }

  getCallCredentials(): CallCredentials {
    return this.#callCredentials;
  }

  destroy(): void {
    // Nothing is held between connections.
  }
}

/** Credentials towards peers, current at every attempt to connect. */
class PeerChannelCredentials extends ChannelCredentials {
  readonly #side: OutgoingTls;

  constructor(side: OutgoingTls) {
    super();
    this.#side = side;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    target: Target,
    options: ChannelOptions,
    callCredentials?: CallCredentials,
  ): experimental.SecureConnector {
    // The name a certificate must have where the address dialled stands in for it.
    const host = options["grpc.ssl_target_name_override"] ?? hostOf(target);
    return new PeerConnector(this.#side, host, callCredentials ?? CallCredentials.createEmpty());
  }
}

/** For createPeerServer: current whenever a connection comes in, refusals in the log. */
export function createPeerTlsServer(side: TlsSide): TlsServer {
  const server = createServer({ ...side.serverOptions(), ALPNProtocols: ["h2"] });
  side.attach(server);
  return server;
}

/** For GrpcTransport: plain text for http, this side's certificates for https. */
export function createPeerCredentials(
  side: OutgoingTls,
): (scheme: "http" | "https") => ChannelCredentials {
  const plain = ChannelCredentials.createInsecure();
  const secure = new PeerChannelCredentials(side);
  return (scheme) => (scheme === "https" ? secure : plain);
}
