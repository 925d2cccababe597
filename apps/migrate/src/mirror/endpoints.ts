/**
 * One v2 server or cluster as a client sees it: a list of URLs, TLS files, a user. Parses what the
 * command line says; sends nothing.
 */
import { readFileSync } from "node:fs";
import { parseUrl, portOf, UrlError } from "@etcd2/net-url";
import type { NetUrl } from "@etcd2/net-url";
import { MigrateError } from "../errors.ts";

const PORT_MAX = 65_535;

export interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

export interface Endpoints {
  /** Base URLs without a final slash and without user. */
  readonly urls: readonly NetUrl[];
  /** Value of the Authorization header, if a user was given. */
  readonly authorization: string | undefined;
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
}

/** Reads "http://user:password@host:port,..." @throws MigrateError "usage" */
export function parseEndpoints(text: string, files: TlsFiles = {}): Endpoints {
  const urls: NetUrl[] = [];
  let authorization: string | undefined;
  for (const part of text.split(",")) {
    const given = part.trim();
    const url = readUrl(given);
    if ((url.scheme !== "http" && url.scheme !== "https") || url.hostname === "") {
      throw new MigrateError("usage", `"${given}" is no http or https URL`);
    }
    if (portOf(url) > PORT_MAX) {
      throw new MigrateError("usage", `"${given}" does not have a valid port`);
    }
    if ((url.path !== "" && url.path !== "/") || /[?#]/.test(url.text)) {
      throw new MigrateError("usage", `"${given}" must be just scheme, host and port`);
    }
    if (url.user !== undefined && url.user.name !== "") {
      const user = `${url.user.name}:${url.user.password ?? ""}`;
      authorization = `Basic ${Buffer.from(user, "utf8").toString("base64")}`;
    }
    urls.push(url);
  }
  return { urls, authorization, tls: readTls(files) };
}

function readUrl(given: string): NetUrl {
  try {
    return parseUrl(given.includes("://") ? given : `http://${given}`);
  } catch (error) {
    if (!(error instanceof UrlError)) throw error;
    throw new MigrateError("usage", error.message, { cause: error });
  }
}

function readTls(files: TlsFiles): Endpoints["tls"] {
  const read = (path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (cause) {
      throw new MigrateError("usage", "cannot be read", { file: path, cause });
    }
  };
  return {
    ...(files.ca === undefined ? {} : { ca: read(files.ca) }),
    ...(files.cert === undefined ? {} : { cert: read(files.cert) }),
    ...(files.key === undefined ? {} : { key: read(files.key) }),
  };
}
