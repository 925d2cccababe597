/**
 * The certificate and key files of the client: which are named, what they hold. TLS itself is loaded
 * only when there is a certificate to check.
 */
import { readFileSync } from "node:fs";
import { exitCodes, Failure } from "./exit-codes.ts";

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
