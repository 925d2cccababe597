/**
 * The certificate and key files of the client: which are named, what they hold. TLS itself is loaded
 * only when there is a certificate to check.
 */
import { readFileSync } from "node:fs";
import { exitCodes, Failure } from "../errors/exit-codes.ts";

/** Contents of the files named on the command line; undefined where none was named. */
export interface TlsSettings {
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EISDIR: "is a directory",
  ENOTDIR: "not a directory",
};

function readNamedFile(path: string): Buffer | undefined {
  if (path === "") return undefined;
  try {
    return readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    const verb = code === "EISDIR" ? "read" : "open";
    const text = `${verb} ${path}: ${reasons[code] ?? code}\n`;
    throw new Failure(exitCodes.badArguments, text, { cause: error });
  }
}

/** The certificate shown to servers, in words for a message; "" when there is none. */
export async function ownCertificateText({ cert }: TlsSettings, now = new Date()): Promise<string> {
  if (cert === undefined) return "";
  const { X509Certificate } = await import("node:crypto");
  const { subject, issuer, validFromDate, validToDate } = new X509Certificate(cert);
  const line = (name: string): string => name.replaceAll("\n", ", ");
  const day = (date: Date): string => date.toISOString().slice(0, 10);
  const validity =
    validToDate < now
      ? `expired on ${day(validToDate)}`
      : validFromDate > now
        ? `not valid before ${day(validFromDate)}`
        : `valid until ${day(validToDate)}`;
  return `the client certificate ${line(subject)} (issued by ${line(issuer)}, ${validity})`;
}

/** Reads the named files. @throws Failure when one is missing, or a key comes without its twin. */
export async function readTlsSettings(files: {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}): Promise<TlsSettings> {
  if ((files.cert === "") !== (files.key === "")) {
    const text = `KeyFile and CertFile must both be present[key: ${files.key}, cert: ${files.cert}]\n`;
    throw new Failure(exitCodes.badArguments, text);
  }
  const [ca, cert, key] = [files.ca, files.cert, files.key].map(readNamedFile);
  if (cert !== undefined && key !== undefined) {
    for (const [content, kind] of [
      [cert, "certificate"],
      [key, "key"],
    ] as const) {
      if (content.includes("-----BEGIN ")) continue;
      const text = `tls: failed to find any PEM data in ${kind} input\n`;
      throw new Failure(exitCodes.badArguments, text);
    }
    const { createSecureContext } = await import("node:tls");
    try {
      createSecureContext({ cert, key });
    } catch (error) {
      const text = `tls: ${files.cert} and ${files.key} are no certificate and key in PEM form\n`;
      throw new Failure(exitCodes.badArguments, text, { cause: error });
    }
  }
  return { ca, cert, key };
}
