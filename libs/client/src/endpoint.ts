/**
 * One address of a cluster, read by hand: the URL class of the runtime refuses or rewrites host names
 * that clusters have, such as `etcd.1` or addresses with a zone.
 */
import { EndpointError } from "./errors.ts";

/** One place to send requests to. */
export interface Endpoint {
  /** As it is shown in messages: without credentials. */
  readonly text: string;
  readonly scheme: "http" | "https";
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** Stands before every path; "" or begins with a slash and does not end with one. */
  readonly basePath: string;
  /** `name:password` from the address itself, decoded; undefined without. */
  readonly userInfo: string | undefined;
}

const PORT_MAX = 65_535;

/**
 * Reads `[scheme://][user:password@]host[:port][/path]`. Without a scheme it is http; without a port
 * that of the scheme, 80 or 443. @throws EndpointError when it is none of this.
 */
export function parseEndpoint(text: string): Endpoint {
  const [, given = "", rest = ""] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/is.exec(text) ?? [];
  const scheme = given === "" ? "http" : given.toLowerCase();
  if (scheme !== "http" && scheme !== "https") {
    throw new EndpointError(`${shown(text)}: the scheme must be http or https`);
  }
  const [, authority = "", path = ""] = /^([^/?#]*)([^?#]*)/.exec(rest) ?? [];
  if (authority.length + path.length !== rest.length) {
    throw new EndpointError(`${shown(text)}: an endpoint has no query and no fragment`);
  }
  const at = authority.lastIndexOf("@");
  const address = authority.slice(at + 1);
  const [, bracketed, plain = "", portText] =
    /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d*))?$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  if (host === "" || /[\s%\\"<>^`{|}]/.test(host.replace(/%[\w.~-]+$/, ""))) {
    throw new EndpointError(`${shown(text)}: no host that could be asked`);
  }
  const standard = scheme === "https" ? 443 : 80;
  const port = portText === undefined || portText === "" ? standard : Number(portText);
  if (port > PORT_MAX || port === 0) throw new EndpointError(`${shown(text)}: invalid port`);
  const authorityShown = `${bracketed === undefined ? host : `[${host}]`}${
    portText === undefined || portText === "" ? "" : `:${portText}`
  }`;
  const basePath = path.replace(/\/+$/, "");
  return {
    text: `${scheme}://${authorityShown}${basePath}`,
    scheme,
    host,
    port,
    basePath,
    userInfo: at < 0 ? undefined : decodeUserInfo(authority.slice(0, at), text),
  };
}

function decodeUserInfo(given: string, text: string): string {
  try {
    return decodeURIComponent(given);
  } catch (error) {
    throw new EndpointError(`${shown(text)}: malformed escape`, { cause: error });
  }
}

/** The text of an endpoint for messages: passwords are not shown. */
function shown(text: string): string {
  return JSON.stringify(text.replace(/\/\/[^/]*@/, "//"));
}

/** Whether both lead to the same server. */
export function isSameServer(
  a: Pick<Endpoint, "scheme" | "host" | "port">,
  b: Pick<Endpoint, "scheme" | "host" | "port">,
): boolean {
  return (
    a.scheme === b.scheme && a.port === b.port && a.host.toLowerCase() === b.host.toLowerCase()
  );
}

/** The URL of a path of an endpoint, for transports that need one. */
export function urlOf({ scheme, host, port }: Endpoint, path: string): string {
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}${path}`;
}
