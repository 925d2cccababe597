/**
 * What to connect to, to bind and to find in a certificate for the host name of a URL. The name
 * itself stays as it was given; a resolver sees it only where it is no address.
 */
import { isIP, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";

/** The IPv4 loopback address that stands for `localhost`. */
const LOOPBACK = "127.0.0.1";

/**
 * Four decimal numbers are an IPv4 address, whatever zeros stand before them: the system's resolver
 * would take `010.0.0.1` for octal and dial 8.0.0.1.
 */
function plainIpv4(host: string): string | undefined {
  const numbers = /^([0-9]+)\.([0-9]+)\.([0-9]+)\.([0-9]+)$/.exec(host)?.slice(1).map(Number);
  if (numbers === undefined || numbers.some((number) => number > 255)) return undefined;
  return numbers.join(".");
}

/**
 * The host to bind: `localhost` is 127.0.0.1, see decision 5; the brackets of IPv6 are taken off,
 * numbers of IPv4 are decimal; everything else stays as it is. "" is every interface.
 */
export function bindHost(host: string): string {
  const bare = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  const name = bare.endsWith(".") ? bare.slice(0, -1) : bare;
  if (name.toLowerCase() === "localhost") return LOOPBACK;
  return plainIpv4(bare) ?? bare;
}

/** The host to connect to: as `bindHost`, and without a name it is this machine. */
export function dialHost(host: string): string {
  return host === "" ? LOOPBACK : bindHost(host);
}

/** A host with its port as requests name it: zones mean nothing to others. */
export function hostHeader(host: string): string {
  const plain = host.replace(/%[^\]]*(?=\])/s, "");
  return /^[\x21-\x7e]*$/.test(plain)
    ? plain
    : domainToASCII(plain.replace(/:\d*$/, "")) + portPart(plain);
}

function portPart(host: string): string {
  return /:\d*$/.exec(host)?.[0] ?? "";
}

/**
 * The name or address that the certificate of a host must be for: without zone or final dot.
 * `localhost` stays a name.
 */
export function certificateName(host: string): string {
  const address = bindHost(host);
  if (isIPv6(address)) return address.replace(/%.*$/s, "");
  if (isIP(address) !== 0 && plainIpv4(host) !== undefined) return address;
  return host.endsWith(".") ? host.slice(0, -1) : host;
}
