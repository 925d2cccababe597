/**
 * What the original's language says about a text that is no URL. It finds fault and nothing else:
 * reading the parts of a good one is the caller's work.
 */
import { quote } from "./go-text.ts";

/** A port that is a number, or none at all. */
const optionalPort = /^(?::\d*)?$/;

function badEscape(text: string): string | undefined {
  const escape = /%(?![0-9a-fA-F]{2})[^]{0,2}/.exec(text)?.[0];
  return escape === undefined ? undefined : `invalid URL escape ${quote(escape)}`;
}

function hostFault(authority: string): string | undefined {
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  const bracket = host.lastIndexOf("]");
  if (host.startsWith("[") && bracket < 0) return "missing ']' in host";
  const portAt = host.startsWith("[") ? bracket + 1 : host.lastIndexOf(":");
  const port = portAt < 0 ? "" : host.slice(portAt);
  if (!optionalPort.test(port)) return `invalid port ${quote(port)} after host`;
  const escape = badEscape(host);
  if (escape !== undefined) return escape;
  const character = /[ ^`{|}\\]/.exec(host)?.[0];
  return character === undefined ? undefined : `invalid character ${quote(character)} in host name`;
}

function fault(text: string): string | undefined {
  const [url = ""] = text.split("#", 1);
  if (/[\x00-\x1f\x7f]/.test(url)) return "net/url: invalid control character in URL";
  if (url.startsWith(":")) return "missing protocol scheme";
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:/.exec(url)?.[0] ?? "";
  const rest = url.slice(scheme.length);
  // What follows a scheme without slashes is opaque and never looked at.
  if (scheme !== "" && !rest.startsWith("/")) return undefined;
  const [path = ""] = rest.split("?", 1);
  if (!path.startsWith("//")) return badEscape(path);
  const slash = path.indexOf("/", 2);
  const authority = slash < 0 ? path.slice(2) : path.slice(2, slash);
  return hostFault(authority) ?? badEscape(slash < 0 ? "" : path.slice(slash));
}

/** The complaint about a text that is no URL, undefined when there is nothing to complain about. */
export function urlComplaint(text: string): string | undefined {
  const found = fault(text);
  return found === undefined ? undefined : `parse ${quote(text)}: ${found}`;
}
