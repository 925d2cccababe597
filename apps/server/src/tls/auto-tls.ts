/**
 * Owns the certificates a member makes for itself with --auto-tls and --peer-auto-tls: one
 * self-signed certificate per side, kept in the data directory until it is about to expire or
 * the hosts have changed. They encrypt; they prove nothing to those who do not know them.
 */
import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { makeDirectories } from "@etcd2/store";
import { coversHost } from "./certificate-fit.ts";

export interface SelfSignedOptions {
  /** Where cert.pem and key.pem are kept; made when missing. */
  readonly directory: string;
  /** Hosts of the URLs served; localhost and this machine's name are added. */
  readonly hosts: readonly string[];
  readonly years: number;
  readonly now?: Date;
}

export interface SelfSignedFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** False when the files were there already. */
  readonly isNew: boolean;
}

const dayMs = 24 * 60 * 60 * 1000;

function allHosts(hosts: readonly string[]): readonly string[] {
  const own = ["localhost", "127.0.0.1", "::1", hostname()];
  const specific = hosts.filter((host) => host !== "" && host !== "0.0.0.0" && host !== "::");
  return [...new Set([...specific, ...own])];
}

function isUsable(path: string, hosts: readonly string[], now: Date): boolean {
  try {
    const certificate = new X509Certificate(readFileSync(path));
    const left = certificate.validToDate.getTime() - now.getTime();
    return left > 7 * dayMs && hosts.every((host) => coversHost(certificate, host));
  } catch {
    return false;
  }
}

function pem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

async function generate(
  hosts: readonly string[],
  years: number,
  now: Date,
): Promise<{ cert: string; key: string }> {
  await import("./reflect-metadata.ts");
  const x509 = await import("@peculiar/x509");
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]);
  const notAfter = new Date(now);
  notAfter.setFullYear(now.getFullYear() + years);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "O=etcd",
    keys,
    notBefore: new Date(now.getTime() - dayMs),
    notAfter,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(
        hosts.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value })),
      ),
    ],
  });
  const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { cert: certificate.toString("pem"), key: pem("PRIVATE KEY", key) };
}

/** The self-signed certificate of one side: the one kept, or a new one. */
export async function selfSigned(options: SelfSignedOptions): Promise<SelfSignedFiles> {
  const { directory, now = new Date() } = options;
  const hosts = allHosts(options.hosts);
  const certFile = join(directory, "cert.pem");
  const keyFile = join(directory, "key.pem");
  if (existsSync(keyFile) && isUsable(certFile, hosts, now)) {
    return { certFile, keyFile, isNew: false };
  }
  const { cert, key } = await generate(hosts, options.years, now);
  makeDirectories(directory);
  // The key goes first: a crash in between leaves a pair that does not match and is made anew.
  writeFileSync(`${keyFile}.tmp`, key, { mode: 0o600 });
  writeFileSync(`${certFile}.tmp`, `${cert}\n`, { mode: 0o600 });
  renameSync(`${keyFile}.tmp`, keyFile);
  renameSync(`${certFile}.tmp`, certFile);
  return { certFile, keyFile, isNew: true };
}
