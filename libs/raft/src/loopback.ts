/**
 * One meaning for the host name `localhost`, for dialling and for binding alike. A resolver may
 * answer ::1 or 127.0.0.1 or both, in any order, so that a server bound to one may be unreachable
 * for a client that dials the other: here it is always 127.0.0.1. Knows nothing else of names.
 */

/** The IPv4 loopback address that stands for `localhost`. */
const LOOPBACK = "127.0.0.1";

/**
 * The host to dial or to bind for the host part of a URL: `localhost` becomes 127.0.0.1, the
 * brackets of an IPv6 address are taken off, everything else stays as it is.
 */
export function resolveLoopback(host: string): string {
  const bare = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  const name = bare.endsWith(".") ? bare.slice(0, -1) : bare;
  return name.toLowerCase() === "localhost" ? LOOPBACK : bare;
}
