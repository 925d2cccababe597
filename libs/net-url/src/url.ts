/**
 * Reads a URL by the rules and with the words of Go's net/url, which etcd 2.3.8 uses and which are
 * not those of browsers: nothing is looked up, folded or rewritten, so that `etcd.1`, `a_b`,
 * `010.0.0.1` and zones of IPv6 addresses are hosts like any other.
 */
import { escapePart, isValidPath, PartError, unescapePart } from "./escapes.ts";
import { quote } from "./quote.ts";

/** A text that is no URL; the message names the text and the fault. */
export class UrlError extends Error {
  override readonly name = "UrlError";
}

export interface NetUrl {
  /** In lower case; "" when there is none. */
  readonly scheme: string;
  /** What follows a scheme without a slash; "" for other URLs. */
  readonly opaque: string;
  /** Decoded; undefined when the URL names no user. */
  readonly user: { readonly name: string; readonly password: string | undefined } | undefined;
  /** Decoded, with the brackets of IPv6 and the port. */
  readonly host: string;
  /** Decoded, without brackets and port; the zone of an IPv6 address follows a `%`. */
  readonly hostname: string;
  /** Digits; "" when there is none, or nothing after the colon. */
  readonly port: string;
  /** Decoded. */
  readonly path: string;
  /** Encoded, as a request names it. */
  readonly rawPath: string;
  /** As it was given, without the question mark. */
  readonly query: string;
  /** As it was given, without the number sign. */
  readonly fragment: string;
  /** The whole again, in the form in which it is announced, compared and hashed. */
  readonly text: string;
}

export interface ParseOptions {
  /**
   * Takes `127.0.0.1:4001`, which is a path without a scheme, as it was before colons were refused
   * in the first element of one. Off by default.
   */
  readonly mayStartWithColon?: boolean;
}

function toText(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}

function cut(text: string, separator: string): [before: string, after: string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

function splitScheme(text: string): [scheme: string, rest: string] {
  if (text.startsWith(":")) throw new PartError("missing protocol scheme");
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*(?=:)/.exec(text)?.[0] ?? "";
  return scheme === "" ? ["", text] : [scheme.toLowerCase(), text.slice(scheme.length + 1)];
}

interface Authority {
  readonly host: string;
  readonly user: { readonly name: string; readonly password: string | undefined } | undefined;
}

function parseUser(text: string): Authority["user"] {
  if (/[^A-Za-z0-9\-._:~!$&'()*+,;=%@]/.test(text)) {
    throw new PartError("net/url: invalid userinfo");
  }
  const [name, password] = cut(text, ":");
  return {
    name: unescapePart(name, "user"),
    password: password === undefined ? undefined : unescapePart(password, "user"),
  };
}

function checkPort(text: string): void {
  if (!/^(?::[0-9]*)?$/.test(text)) {
    throw new PartError(`invalid port ${quote(toText(text))} after host`);
  }
}

function parseHost(text: string): string {
  if (!text.startsWith("[")) {
    const colon = text.lastIndexOf(":");
    if (colon >= 0) checkPort(text.slice(colon));
    return unescapePart(text, "host");
  }
  const end = text.lastIndexOf("]");
  if (end < 0) throw new PartError("missing ']' in host");
  checkPort(text.slice(end + 1));
  const zone = text.slice(0, end).indexOf("%25");
  if (zone < 0) return unescapePart(text, "host");
  return (
    unescapePart(text.slice(0, zone), "host") +
    unescapePart(text.slice(zone, end), "zone") +
    unescapePart(text.slice(end), "host")
  );
}

function parseAuthority(text: string): Authority {
  const at = text.lastIndexOf("@");
  const host = parseHost(text.slice(at + 1));
  return { host, user: at < 0 ? undefined : parseUser(text.slice(0, at)) };
}

/** Name and port of a host that has been read. */
function splitHost(host: string): { hostname: string; port: string } {
  const colon = host.lastIndexOf(":");
  const hasPort = colon >= 0 && /^:[0-9]*$/.test(host.slice(colon));
  const name = hasPort ? host.slice(0, colon) : host;
  const isBracketed = name.startsWith("[") && name.endsWith("]");
  return {
    hostname: isBracketed ? name.slice(1, -1) : name,
    port: hasPort ? host.slice(colon + 1) : "",
  };
}

/** The parts, as byte strings. */
interface Parts {
  readonly scheme: string;
  readonly opaque: string;
  readonly user: Authority["user"];
  readonly host: string;
  readonly path: string;
  /** As it was given. */
  readonly rawPath: string;
  readonly query: string | undefined;
}

/** @throws PartError */
function parseParts(text: string, options: ParseOptions): Parts {
  if (/[\x00-\x1f\x7f]/.test(text)) {
    throw new PartError("net/url: invalid control character in URL");
  }
  const [scheme, afterScheme] = splitScheme(text);
  const [rest, query] = cut(afterScheme, "?");
  const none = { scheme, opaque: "", user: undefined, host: "", path: "", rawPath: "", query };
  if (!rest.startsWith("/")) {
    if (scheme !== "") return { ...none, opaque: rest };
    if (options.mayStartWithColon !== true && cut(rest, "/")[0].includes(":")) {
      throw new PartError("first path segment in URL cannot contain colon");
    }
  }
  if (!rest.startsWith("//") || (scheme === "" && rest.startsWith("///"))) {
    return { ...none, path: unescapePart(rest, "path"), rawPath: rest };
  }
  const slash = rest.indexOf("/", 2);
  const authority = parseAuthority(slash < 0 ? rest.slice(2) : rest.slice(2, slash));
  const rawPath = slash < 0 ? "" : rest.slice(slash);
  return { ...none, ...authority, path: unescapePart(rawPath, "path"), rawPath };
}

/** The path as it was given, unless it holds what a path cannot hold. */
function encodedPath({ path, rawPath }: Parts): string {
  return isValidPath(rawPath) ? rawPath : escapePart(path, "path");
}

function format(parts: Parts, fragment: string | undefined): string {
  const { scheme, opaque, user, host, path, query } = parts;
  let out = scheme === "" ? "" : `${scheme}:`;
  if (opaque !== "") {
    out += opaque;
  } else {
    if (host !== "" || user !== undefined || (scheme !== "" && path !== "")) out += "//";
    if (user !== undefined) {
      out += escapePart(user.name, "user");
      if (user.password !== undefined) out += `:${escapePart(user.password, "user")}`;
      out += "@";
    }
    out += escapePart(host, "host");
    out += encodedPath(parts);
  }
  if (query !== undefined) out += `?${query}`;
  if (fragment !== undefined && fragment !== "") {
    out += `#${escapePart(unescapePart(fragment, "fragment"), "fragment")}`;
  }
  return out;
}

function within<T>(text: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof PartError)) throw error;
    throw new UrlError(`parse ${quote(toText(text))}: ${error.message}`, { cause: error });
  }
}

/**
 * Reads a URL. The text is not trimmed, and nearly every text is one: what a URL must have is for
 * the caller to ask.
 * @throws UrlError `parse "http://%41:1": invalid URL escape "%41"` and the like
 */
export function parseUrl(text: string, options: ParseOptions = {}): NetUrl {
  const bytes = Buffer.from(text, "utf8").toString("latin1");
  const [url, fragment] = cut(bytes, "#");
  const parts = within(url, () => parseParts(url, options));
  const whole = within(bytes, () => format(parts, fragment));
  const { hostname, port } = splitHost(parts.host);
  const { user } = parts;
  return {
    scheme: parts.scheme,
    opaque: toText(parts.opaque),
    user: user && {
      name: toText(user.name),
      password: user.password === undefined ? undefined : toText(user.password),
    },
    host: toText(parts.host),
    hostname: toText(hostname),
    port,
    path: toText(parts.path),
    rawPath: encodedPath(parts),
    query: toText(parts.query ?? ""),
    fragment: toText(fragment ?? ""),
    text: toText(whole),
  };
}
