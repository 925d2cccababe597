/**
 * Owns the question whether a certificate can do what it is used for: mistakes that no member sees
 * itself, because it is the others that refuse it. It warns; who is right, the others decide.
 */
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { namesOf } from "./tls-error.ts";

/** What a certificate is used for. */
export interface CertificateUse {
  readonly side: "client" | "peer";
  /** Hosts of the https URLs that others are told to use. */
  readonly hosts: readonly string[];
}

/** Extended key usages by what they are for. */
const usages = { servers: "1.3.6.1.5.5.7.3.1", clients: "1.3.6.1.5.5.7.3.2" } as const;

/** Whether a certificate is valid for a host name or address. */
export function coversHost(certificate: X509Certificate, host: string): boolean {
  const found = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host);
  return found !== undefined;
}

/** What others will hold against the certificate, one line each. */
export function certificateMisfits(
  { path, pem }: { readonly path: string; readonly pem: string },
  { side, hosts }: CertificateUse,
): readonly string[] {
  const certificate = new X509Certificate(pem);
  const misfits: string[] = [];
  const missing = hosts.filter((host) => !coversHost(certificate, host));
  if (missing.length > 0) {
    const { subject, subjectAltName } = certificate;
    const CN = /^CN=(.*)$/m.exec(subject)?.[1] ?? "";
    const names = namesOf({
      subject: { CN },
      ...(subjectAltName !== undefined && { subjectaltname: subjectAltName }),
    });
    misfits.push(
      `the ${side} certificate ${path} is valid for ${names}, not for ${missing.join(", ")}, ` +
        "which this member advertises: others will refuse it",
    );
  }
  // Without the extension a certificate may be used for anything.
  const allowed = certificate.keyUsage as readonly string[] | undefined;
  if (allowed === undefined) return misfits;
  // A peer's certificate is shown to the members it dials as well.
  const wanted = side === "peer" ? (["servers", "clients"] as const) : (["servers"] as const);
  for (const use of wanted) {
    if (allowed.includes(usages[use])) continue;
    misfits.push(
      `the ${side} certificate ${path} is not meant for ${use} (extended key usage): others will refuse it`,
    );
  }
  return misfits;
}
