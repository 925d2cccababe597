/**
 * The checks that every URL of a member must pass, in the order and the words of etcd 2.3.8:
 * http or https, `host:port`, no path. And the splitting of `host:port` itself.
 */
import { parseUrl, UrlError } from "./url.ts";
import type { NetUrl } from "./url.ts";

/** A URL that cannot be an address of a member; the message is for whoever gave it. */
export class AddressError extends Error {
  override readonly name = "AddressError";
}

const PORT_MAX = 65_535;

export interface HostPort {
  /** Without brackets; "" means every interface, or this machine. */
  readonly host: string;
  /** What follows the colon, not looked at. */
  readonly port: string;
}

/** Takes `host:port` apart; undefined when it does not have that form. */
export function splitHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([^\][]*)\]|([^:[\]]*)):([^:[\]]*)$/.exec(text);
  if (match === null) return undefined;
  return { host: match[1] ?? match[2] ?? "", port: match[3] ?? "" };
}

/** The port of a URL, or the one its scheme has by default. */
export function portOf({ scheme, port }: Pick<NetUrl, "scheme" | "port">): number {
  if (port !== "") return Number(port);
  return scheme === "https" ? 443 : 80;
}

/**
 * Reads one URL of a member, blanks around it left out.
 * @throws AddressError
 */
export function checkedUrl(given: string): NetUrl {
  const text = given.trim();
  let url: NetUrl;
  try {
    url = parseUrl(text);
  } catch (error) {
    if (!(error instanceof UrlError)) throw error;
    throw new AddressError(error.message, { cause: error });
  }
  if (url.scheme !== "http" && url.scheme !== "https") {
    throw new AddressError(`URL scheme must be http or https: ${text}`);
  }
  if (splitHostPort(url.host) === undefined) {
    throw new AddressError(`URL address does not have the form "host:port": ${text}`);
  }
  if (url.path !== "") throw new AddressError(`URL must not contain a path: ${text}`);
  return url;
}

/**
 * Reads one URL of a member as `checkedUrl` does, and refuses besides what etcd 2.3.8 takes and can
 * never use: a port that no connection has, and parts that no connection to a member looks at.
 * @throws AddressError
 */
export function socketUrl(given: string): NetUrl {
  const url = checkedUrl(given);
  const text = given.trim();
  if (url.user !== undefined || /[?#]/.test(url.text)) {
    throw new AddressError(`URL must not contain a user, query or fragment: ${text}`);
  }
  if (url.port === "" || Number(url.port) > PORT_MAX) {
    throw new AddressError(`URL does not have a valid port: ${text}`);
  }
  return url;
}

/**
 * Reads the URLs of a member, each by `read`, and sorts them by their texts.
 * @throws AddressError for the first that is none, or when there are none
 */
export function checkedUrls(given: readonly string[], read = checkedUrl): readonly NetUrl[] {
  if (given.length === 0) throw new AddressError("no valid URLs given");
  return given
    .map((text) => read(text))
    .sort((a, b) => Buffer.compare(Buffer.from(a.text), Buffer.from(b.text)));
}
