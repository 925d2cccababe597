/**
 * Owns the reading of certificate files: all of one side's material at once, checked so that a
 * mistake is one clear line at start instead of handshakes that fail later. A certificate that has
 * expired is no mistake of this kind (validity.ts). It watches nothing and opens no socket.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import type { SecureContextOptions } from "node:tls";
import { createSecureContext } from "node:tls";

import type { TlsConfig } from "../config/server-config.ts";
import { TlsFileError } from "./tls-error.ts";
import type { ValidityPeriod } from "./validity.ts";

/** One side's certificates, checked. */
export interface TlsMaterial extends ValidityPeriod {
  readonly cert: string;
  readonly key: string;
  /** Authorities to check others against; undefined means those of the system. */
  readonly ca: readonly string[] | undefined;
  /** Of the authority that lasts longest; undefined where none is named. */
  readonly authorityPeriod: ValidityPeriod | undefined;
  readonly crl: string | undefined;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const codes: Readonly<Record<string, string>> = {
    ENOENT: "no such file or directory",
    EACCES: "permission denied",
    EISDIR: "is a directory",
  };
  const code = "code" in error ? String(error.code) : "";
  return codes[code] ?? error.message.split("\n", 1)[0] ?? error.message;
}

function read(what: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new TlsFileError(`cannot read ${what} ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

const pemCertificate =
  /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g;

function certificates(what: string, path: string, text: string): readonly X509Certificate[] {
  const blocks = text.match(pemCertificate) ?? [];
  if (blocks.length === 0) throw new TlsFileError(`${what} ${path} holds no PEM certificate`);
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw new TlsFileError(`${what} ${path} is damaged: ${reasonOf(error)}`, { cause: error });
  }
}

function privateKey(path: string, text: string): KeyObject {
  if (/ENCRYPTED/.test(text)) {
    throw new TlsFileError(`private key ${path} is encrypted; a key without passphrase is needed`);
  }
  try {
    return createPrivateKey(text);
  } catch (error) {
    throw new TlsFileError(`${path} holds no private key in PEM format`, { cause: error });
  }
}

/** The context options of the material: what https and gRPC need of it. */
export function contextOptions(
  material: TlsMaterial,
  minVersion: TlsConfig["minVersion"],
): SecureContextOptions {
  return {
    cert: material.cert,
    key: material.key,
    minVersion,
    ...(material.ca !== undefined && { ca: [...material.ca] }),
    ...(material.crl !== undefined && { crl: material.crl }),
  };
}

/**
 * The authorities a side names; undefined when it names none.
 * @throws TlsFileError
 */
export function readAuthorities(
  config: Pick<TlsConfig, "caFile" | "trustedCaFile">,
): readonly string[] | undefined {
  const paths = [...new Set([config.trustedCaFile, config.caFile])].filter((path) => path !== "");
  if (paths.length === 0) return undefined;
  return paths.flatMap((path) => {
    const text = read("CA file", path);
    return certificates("CA file", path, text).map((one) => one.toString());
  });
}

function longestPeriod(ca: readonly string[]): ValidityPeriod | undefined {
  const periods = ca.map((pem): ValidityPeriod => {
    const { validFromDate: notBefore, validToDate: notAfter } = new X509Certificate(pem);
    return { notBefore, notAfter };
  });
  return periods.sort((a, b) => b.notAfter.getTime() - a.notAfter.getTime())[0];
}

/**
 * Reads and checks the files of one side.
 * @throws TlsFileError
 */
export function loadTlsFiles(
  config: Pick<
    TlsConfig,
    "certFile" | "keyFile" | "caFile" | "trustedCaFile" | "crlFile" | "minVersion"
  >,
): TlsMaterial {
  const { certFile, keyFile } = config;
  const cert = read("certificate", certFile);
  const key = read("private key", keyFile);
  const [leaf] = certificates("certificate", certFile, cert);
  if (leaf === undefined)
    throw new TlsFileError(`certificate ${certFile} holds no PEM certificate`);
  if (!leaf.checkPrivateKey(privateKey(keyFile, key))) {
    throw new TlsFileError(`private key ${keyFile} does not belong to certificate ${certFile}`);
  }
  const ca = readAuthorities(config);
  const crl = config.crlFile === "" ? undefined : read("revocation list", config.crlFile);
  const material = {
    cert,
    key,
    ca,
    authorityPeriod: longestPeriod(ca ?? []),
    crl,
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
  };
  try {
    createSecureContext(contextOptions(material, config.minVersion));
  } catch (error) {
    throw new TlsFileError(`cannot use certificate ${certFile}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  return material;
}

/** The files a side is read from. */
export function tlsPaths(config: TlsConfig): readonly string[] {
  const { certFile, keyFile, caFile, trustedCaFile, crlFile } = config;
  return [certFile, keyFile, caFile, trustedCaFile, crlFile].filter((path) => path !== "");
}
