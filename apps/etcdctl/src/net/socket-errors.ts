/**
 * Turns what sockets, TLS and the HTTP parser report into the client's errors, once, at the edge. The
 * words follow Go's runtime where scripts may look for them.
 */
import { ClientError, ConnectionError } from "../errors/errors.ts";

interface SocketFault extends Error {
  readonly code?: string;
  readonly address?: string;
  readonly port?: number;
  readonly syscall?: string;
  readonly cert?: { readonly subjectaltname?: string };
}

const dialReasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  EADDRNOTAVAIL: "cannot assign requested address",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  ETIMEDOUT: "i/o timeout",
};

const unknownAuthority = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "CERT_UNTRUSTED",
  "CERT_SIGNATURE_FAILURE",
]);

/** `host:port`, the host in brackets when it has colons. */
function joinHostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The fault of a connection attempt that took too long. */
export function dialTimeout(host: string, port: number): ConnectionError {
  return new ConnectionError(`dial tcp ${joinHostPort(host, port)}: i/o timeout`);
}

function tlsMessage(fault: SocketFault, host: string): string | undefined {
  const code = fault.code ?? "";
  if (unknownAuthority.has(code)) return "x509: certificate signed by unknown authority";
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return "x509: certificate has expired or is not yet valid";
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const names = (fault.cert?.subjectaltname ?? "").replace(/(?:DNS|IP Address):/g, "");
    return names === ""
      ? `x509: certificate is not valid for any names, but wanted to match ${host}`
      : `x509: certificate is valid for ${names}, not ${host}`;
  }
  if (code === "INVALID_PURPOSE") {
    return "x509: certificate specifies an incompatible key usage (it is not meant for servers)";
  }
  const alert = /^ERR_SSL_(?:.*_)?ALERT_(.*)$/.exec(code)?.[1];
  if (alert !== undefined) {
    return `remote error: tls: ${alert
      .replace(/^NUMBER_/, "")
      .replaceAll("_", " ")
      .toLowerCase()}`;
  }
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "ERR_SSL_PACKET_LENGTH_TOO_LONG") {
    return "tls: first record does not look like a TLS handshake";
  }
  if (/^(?:ERR_SSL_|ERR_TLS_|ERR_OSSL_|CERT_|EPROTO)/.test(code)) {
    return `tls: ${fault.message.split("\n")[0] ?? code}`;
  }
  return undefined;
}

/**
 * The client's error for a failed exchange with `host`.
 * @param ownCertificate what the server was shown, in words; "" when that was none
 */
export function describeFault(
  error: unknown,
  host: string,
  port: number,
  ownCertificate = "",
): Error {
  if (error instanceof ClientError) return error;
  if (!(error instanceof Error)) return new ClientError(String(error));
  // Both addresses of a name were tried; the first one is what the user asked for.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const fault = (first instanceof Error ? first : error) as SocketFault;
  const code = fault.code ?? "";
  const options = { cause: error };
  const where = joinHostPort(fault.address ?? host, fault.port ?? port);
  if (fault.syscall === "getaddrinfo") {
    const reason = code === "ENOTFOUND" ? "no such host" : "temporary failure in name resolution";
    return new ConnectionError(`dial tcp: lookup ${host}: ${reason}`, options);
  }
  if (fault.syscall === "connect") {
    return new ConnectionError(`dial tcp ${where}: ${dialReasons[code] ?? code}`, options);
  }
  const tls = tlsMessage(fault, host);
  if (tls !== undefined) return new ClientError(tls, options);
  // Servers that check the certificate after their part of the handshake say no more than this.
  if ((code === "ECONNRESET" || code === "EPIPE") && ownCertificate !== "") {
    const hint = `the server hung up, perhaps because it does not accept ${ownCertificate}`;
    return new ClientError(`EOF: ${hint}`, options);
  }
  if (code === "ECONNRESET" && fault.syscall === "read") {
    return new ConnectionError(`read tcp ${where}: connection reset by peer`, options);
  }
  // The server closed the connection instead of answering.
  if (code === "ECONNRESET") return new ClientError("EOF", options);
  if (code === "EPIPE") return new ClientError(`write tcp ${where}: broken pipe`, options);
  if (code.startsWith("HPE_")) return new ClientError("malformed HTTP response", options);
  return new ClientError(fault.message, options);
}
