/**
 * What a process needs to dial others with TLS: its certificate when it has one, and whom it
 * trusts. One without a certificate still checks the others, against --peer-trusted-ca-file when
 * that is given and the system's authorities when not.
 */
import type { SecureContext } from "node:tls";
import { createSecureContext } from "node:tls";
import type { TlsConfig } from "../config/server-config.ts";
import { readAuthorities } from "./tls-files.ts";
import type { TlsSide } from "./tls-side.ts";

export type OutgoingTls = Pick<TlsSide, "secureContext" | "isSelfSigned" | "hasAuthority">;

/** @throws TlsFileError when the authorities cannot be read */
export function outgoingTls(
  config: Pick<TlsConfig, "caFile" | "trustedCaFile">,
  side: TlsSide | undefined,
): OutgoingTls {
  if (side !== undefined) return side;
  const ca = readAuthorities(config);
  let context: SecureContext | undefined;
  return {
    // Made late: loading the system's authorities takes time that plain clusters need not spend.
    secureContext: () =>
      (context ??= createSecureContext({ ...(ca !== undefined && { ca: [...ca] }) })),
    isSelfSigned: false,
    hasAuthority: true,
  };
}
