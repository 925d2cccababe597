/**
 * Owns the reading of URL lists and of the old `IP:port` values, and the comparison of two lists
 * that may name the same sockets differently. It opens no socket; name resolution is passed in.
 */
import { AddressError, bindHost, socketUrl, splitHostPort } from "@etcd2/net-url";
import { isIP, isIPv4 } from "node:net";

/** Where to listen or dial: a URL without path. */
export interface SocketUrl {
  readonly scheme: "http" | "https";
  /** Without the brackets of IPv6; "" means all interfaces. */
  readonly host: string;
  readonly port: number;
  /** The URL as text: what is announced, compared and hashed. */
  readonly text: string;
}

/** The outcome of reading a value a user typed. */
export type Parsed<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

function refuse(error: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error };
}

/** Reads one URL; messages are those of etcd 2.3.8 where it refuses the same. */
export function parseSocketUrl(given: string): Parsed<SocketUrl> {
  try {
    const { scheme, hostname, port, text } = socketUrl(given);
    return {
      ok: true,
      value: {
        scheme: scheme === "https" ? "https" : "http",
        host: hostname,
        port: Number(port),
        text,
      },
    };
  } catch (error) {
    if (error instanceof AddressError) return refuse(error.message);
    throw error;
  }
}

/** Reads a comma list of URLs and sorts it by text, as etcd 2.3.8 does. */
export function parseSocketUrls(list: string): Parsed<readonly SocketUrl[]> {
  const urls: SocketUrl[] = [];
  for (const part of list.split(",")) {
    const parsed = parseSocketUrl(part);
    if (!parsed.ok) return parsed;
    urls.push(parsed.value);
  }
  return { ok: true, value: sortUrls(urls) };
}

/** The URLs in the order of their texts. */
export function sortUrls(urls: readonly SocketUrl[]): readonly SocketUrl[] {
  return urls.toSorted((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
}

/** The texts of a list of URLs. */
export function urlTexts(urls: readonly SocketUrl[]): readonly string[] {
  return urls.map((url) => url.text);
}

/** An address of the flags of etcd 0.4: `IP:port`. */
export interface AddressPort {
  readonly ip: string;
  readonly port: number;
}

/** Reads an `IP:port`; host names are refused, as they always were. */
export function parseAddressPort(text: string): Parsed<AddressPort> {
  const address = splitHostPort(text.trim());
  if (address === undefined) return refuse("bad format in address specification");
  if (isIP(address.host) === 0) return refuse("bad IP in address specification");
  if (!/^[0-9]+$/.test(address.port) || Number(address.port) > 65535) {
    return refuse("bad port in address specification");
  }
  return { ok: true, value: { ip: address.host, port: Number(address.port) } };
}

/** A collector of traces. */
export interface CollectorAddress {
  readonly scheme: "http" | "https";
  /** `host:port` */
  readonly authority: string;
}

/** Reads `host:port` with or without a scheme before it; without one it is http. */
export function parseCollector(text: string): Parsed<CollectorAddress> {
  const [, scheme = "http", authority = ""] = /^(?:(https?):\/\/)?(.*?)\/?$/.exec(text) ?? [];
  const address = splitHostPort(authority);
  const isHost = address !== undefined && /^[a-zA-Z0-9._~:%-]+$/.test(address.host);
  const port = address?.port ?? "";
  if (!isHost || !/^[0-9]{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65535) {
    return refuse("must be host:port, with http:// or https:// before it or nothing");
  }
  return { ok: true, value: { scheme: scheme === "https" ? "https" : "http", authority } };
}

/** The URL an old-style address stands for. */
export function addressToUrl(address: AddressPort, scheme: "http" | "https"): SocketUrl {
  const host = isIPv4(address.ip) ? address.ip : `[${address.ip}]`;
  return {
    scheme,
    host: address.ip,
    port: address.port,
    text: `${scheme}://${host}:${address.port.toFixed(0)}`,
  };
}

/** Resolves a host name to one address; rejects when it does not exist. */
export type ResolveHost = (host: string) => Promise<string>;

/**
 * Whether two lists name the same sockets: equal as text, or equal once host names are resolved.
 * "localhost" stays as it is, as in etcd 2.3.8: it is a promise about this machine only.
 */
export async function sameUrls(
  left: readonly SocketUrl[],
  right: readonly SocketUrl[],
  resolve: ResolveHost,
): Promise<boolean> {
  if (left.length !== right.length) return false;
  if (sortedTexts(left) === sortedTexts(right)) return true;
  try {
    const [a, b] = await Promise.all([
      Promise.all(left.map((url) => resolved(url, resolve))),
      Promise.all(right.map((url) => resolved(url, resolve))),
    ]);
    return a.sort().join() === b.sort().join();
  } catch {
    return false;
  }
}

function sortedTexts(urls: readonly SocketUrl[]): string {
  return urlTexts(sortUrls(urls)).join();
}

async function resolved(url: SocketUrl, resolve: ResolveHost): Promise<string> {
  const bare = url.host === "localhost" ? url.host : bindHost(url.host);
  const isLiteral = bare === "" || bare === "localhost" || isIP(bare) !== 0;
  const host = isLiteral ? bare : await resolve(bare);
  return `${url.scheme} ${host} ${url.port.toFixed(0)}`;
}
