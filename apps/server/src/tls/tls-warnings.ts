/**
 * Owns the warnings about TLS settings that have no effect or less than they seem to.
 */
import type { ServerConfig, TlsConfig } from "../config/server-config.ts";
import type { SocketUrl } from "../config/urls.ts";

function sideWarnings(
  name: "client" | "peer",
  urls: readonly SocketUrl[],
  tls: TlsConfig,
): readonly string[] {
  const warnings: string[] = [];
  for (const { scheme, text } of urls) {
    if (scheme === "https") continue;
    if (tls.certFile !== "") {
      warnings.push(
        `The scheme of ${name} url ${text} is http while ${name} key/cert files are presented. Ignored ${name} key/cert files.`,
      );
    }
    if (tls.clientCertAuth) {
      warnings.push(
        `The scheme of ${name} url ${text} is http while client cert auth (--${name === "peer" ? "peer-" : ""}client-cert-auth) is enabled. Ignored client cert auth for this url.`,
      );
    }
  }
  const isPlain = urls.every(({ scheme }) => scheme === "http");
  if (isPlain && tls.autoTls) {
    const prefix = name === "peer" ? "peer-" : "";
    warnings.push(
      `--${prefix}auto-tls has no effect: every ${name} url to listen on is http, and only https is encrypted`,
    );
  }
  const isSecure = urls.some(({ scheme }) => scheme === "https");
  if (isSecure && tls.clientCertAuth && tls.trustedCaFile === "" && tls.caFile === "") {
    const prefix = name === "peer" ? "peer-" : "";
    warnings.push(
      `--${prefix}client-cert-auth without --${prefix}trusted-ca-file takes certificates of every authority this system trusts`,
    );
  }
  if (isSecure && tls.trustedCaFile !== "" && !tls.clientCertAuth && tls.caFile === "") {
    const prefix = name === "peer" ? "peer-" : "";
    warnings.push(
      `--${prefix}trusted-ca-file alone does not demand certificates of others: add --${prefix}client-cert-auth`,
    );
  }
  return warnings;
}

/** Lines to log at start, one by one. */
export function tlsWarnings(config: ServerConfig): readonly string[] {
  return [
    ...sideWarnings("peer", config.listenPeerUrls, config.peerTls),
    ...sideWarnings("client", config.listenClientUrls, config.clientTls),
  ];
}
