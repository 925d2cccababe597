/**
 * Opens the HTTP/2 session to an endpoint as people name it. Owns how its host is read and dialled, what
 * requests call it, and the name its certificate must be for; knows no gRPC.
 */
import { type ClientHttp2Session, type ClientSessionOptions, connect } from "node:http2";
import { connect as connectTcp, isIP } from "node:net";
import { checkServerIdentity, connect as connectTls, type SecureContextOptions } from "node:tls";
import { certificateName, dialHost, hostHeader, parseUrl, portOf } from "@etcd2/net-url";

/** TLS material of the connections; the system's authorities are trusted without `ca`. */
export type TlsOptions = Pick<SecureContextOptions, "ca" | "cert" | "key"> & {
  /** Name to expect in the server's certificate in place of the endpoint's host. */
  readonly servername?: string;
  /** False accepts any certificate. Default true. */
  readonly rejectUnauthorized?: boolean;
};

export interface Opened {
  readonly session: ClientHttp2Session;
  /** The value of `:authority`. */
  readonly authority: string;
}

/**
 * Begins to connect to `http://host:port` or `https://host:port`.
 * @throws UrlError when the endpoint is no URL
 */
export function openSession(
  endpoint: string,
  tls: TlsOptions | undefined,
  options: Pick<ClientSessionOptions, "settings">,
): Opened {
  const url = parseUrl(endpoint);
  const host = dialHost(url.hostname);
  const port = portOf(url);
  const name = tls?.servername ?? certificateName(url.hostname);
  const isSecure = url.scheme === "https";
  // The address in this URL is not used: its class refuses or rewrites names such as `etcd.1`.
  const session = connect(`${isSecure ? "https" : "http"}://localhost:${String(port)}`, {
    ...options,
    createConnection: () => {
      if (!isSecure) return connectTcp({ host, port });
      return connectTls({
        ...tls,
        ...{ host, port },
        servername: isIP(name) === 0 ? name : "",
        ALPNProtocols: ["h2"],
        checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
      });
    },
  });
  return { session, authority: hostHeader(url.host) };
}
