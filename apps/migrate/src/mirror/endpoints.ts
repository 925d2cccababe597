/**
 * One v2 server or cluster as a client sees it: a list of URLs, TLS files, a user. Parses what the
 * command line says; sends nothing.
 */
import { readFileSync } from "node:fs";
import { MigrateError } from "../errors.ts";

export interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

export interface Endpoints {
  /** Base URLs without a final slash and without user. */
  readonly urls: readonly URL[];
  /** Value of the Authorization header, if a user was given. */
  readonly authorization: string | undefined;
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
}

/** Reads "http://user:password@host:port,..." @throws MigrateError "usage" */
export function parseEndpoints(text: string, files: TlsFiles = {}): Endpoints {
  const urls: URL[] = [];
  let authorization: string | undefined;
  for (const part of text.split(",")) {
    const given = part.trim();
    const url = URL.parse(given.includes("://") ? given : `http://${given}`);
    if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
      throw new MigrateError("usage", `"${given}" is no http or https URL`);
    }
    if (url.pathname !== "/" || url.search !== "") {
      throw new MigrateError("usage", `"${given}" must be just scheme, host and port`);
    }
    if (url.username !== "") {
      const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
      authorization = `Basic ${Buffer.from(user, "utf8").toString("base64")}`;
      url.username = "";
      url.password = "";
    }
    urls.push(url);
  }
  return { urls, authorization, tls: readTls(files) };
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
