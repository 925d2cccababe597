/** The TLS options of connections. Loaded only when one is opened. */
import type { AgentOptions } from "node:https";
import { certificateName } from "@etcd2/net-url";
import { checkServerIdentity, getCACertificates } from "node:tls";
import { ClientError } from "../errors/errors.ts";
import type { TlsSettings } from "./tls-files.ts";

/** What the secure agent needs. Without a file of authorities those of the system count. */
export function secureOptions(settings: TlsSettings): AgentOptions {
  const { ca, cert, key } = settings;
  if (ca !== undefined && !ca.includes("-----BEGIN")) {
    throw new ClientError(
      "x509: certificate signed by unknown authority (the CA file holds no PEM)",
    );
  }
  const options: AgentOptions = {
    ca: ca ?? getCACertificates("system"),
    checkServerIdentity: (host, certificate) =>
      checkServerIdentity(certificateName(host), certificate),
  };
  if (cert !== undefined && key !== undefined) Object.assign(options, { cert, key });
  return options;
}
