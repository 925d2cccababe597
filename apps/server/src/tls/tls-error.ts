/**
 * Owns the wording of what goes wrong with TLS: in files, and in handshakes seen from either side.
 * Every text is one line that says what was found and what was wanted.
 */
import type { PeerCertificate } from "node:tls";

/** TLS cannot be set up as configured: the member does not start. */
export class TlsFileError extends Error {
  override readonly name = "TlsFileError";
}

const reasons: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet; compare the clocks",
  CERT_REVOKED: "its certificate has been revoked",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed and not trusted here",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is signed by an authority that is not trusted here",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is signed by an unknown authority",
  // Also what Node reports when there was no certificate at all.
  UNABLE_TO_GET_ISSUER_CERT: "it presented no certificate of a trusted authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is signed by an unknown authority",
  CERT_SIGNATURE_FAILURE:
    "its certificate is signed by an authority of the same name with another key",
  INVALID_PURPOSE: "its certificate is not meant for this use (extended key usage)",
  UNABLE_TO_GET_CRL: "no revocation list of its authority is at hand",
  CRL_HAS_EXPIRED: "the revocation list of its authority has expired",
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: "it presented no certificate",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "it demands a client certificate",
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: "it refused the certificate presented to it",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA:
    "it does not know the authority of the certificate presented to it",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: "it refused the certificate presented to it",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: "it considers the certificate presented to it expired",
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: "it speaks no TLS version in common",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "it speaks only TLS versions that are too old",
  ERR_SSL_HTTP_REQUEST: "it speaks plain HTTP to a TLS port",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "it does not speak TLS",
  ERR_SSL_NO_SHARED_CIPHER: "it offers no cipher in common",
  ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM: "it accepts no signature algorithm in common",
  ECONNRESET: "it closed the connection during the handshake",
};

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** The names a certificate is valid for, as people know them. */
export function namesOf(certificate: Pick<PeerCertificate, "subject" | "subjectaltname">): string {
  const names = (certificate.subjectaltname ?? "")
    .split(", ")
    .map((name) => name.replace(/^(?:DNS|IP Address|URI|email):/, ""))
    .filter((name) => name !== "");
  if (names.length > 0) return names.join(", ");
  const common = certificate.subject.CN;
  const shown = Array.isArray(common) ? common.join(", ") : common;
  return shown === undefined || shown === ""
    ? "no name at all"
    : `no name (only the subject ${shown})`;
}

/** The refusal of a certificate that is not for the host wanted. */
export function wrongHost(
  host: string,
  certificate: Pick<PeerCertificate, "subject" | "subjectaltname">,
): Error {
  return new Error(`its certificate is valid for ${namesOf(certificate)}, not for ${host}`);
}

/** Says in one line why a handshake with another process failed; "it" is that process. */
export function describeTlsError(error: unknown): string {
  if (!isRecord(error)) return String(error);
  const code = typeof error["code"] === "string" ? error["code"] : "";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID" && isRecord(error["cert"])) {
    const certificate = error["cert"] as unknown as PeerCertificate;
    return wrongHost(String(error["host"]), certificate).message;
  }
  const known = reasons[code];
  if (known !== undefined) return known;
  const message = typeof error["message"] === "string" ? error["message"] : "unknown error";
  // OpenSSL's texts are "<numbers>:error:<hex>:<library>:<function>:<reason>:<file>:<line>:".
  const openssl = /error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):/.exec(message)?.[1];
  return (openssl ?? message).split("\n", 1)[0] ?? message;
}
