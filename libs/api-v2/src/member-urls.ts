/** Peer URLs as the original accepts them, with its texts for those it does not. */

/** A URL that is not acceptable; the message is shown to the client. */
export class MemberUrlError extends Error {
  override readonly name = "MemberUrlError";
}

/**
 * Checks and sorts URLs.
 * @throws MemberUrlError for the first unacceptable one.
 */
export function parseMemberUrls(given: readonly string[]): string[] {
  if (given.length === 0) throw new MemberUrlError("no valid URLs given");
  return given.map(checked).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function checked(given: string): string {
  const url = given.trim();
  const unparseable = parseProblem(url);
  if (unparseable !== undefined) {
    throw new MemberUrlError(`parse ${JSON.stringify(url)}: ${unparseable}`);
  }
  const [, scheme = "", rest = ""] = /^([A-Za-z][A-Za-z0-9+.-]*):(.*)$/s.exec(url) ?? [];
  const lowerScheme = scheme.toLowerCase();
  if (lowerScheme !== "http" && lowerScheme !== "https") {
    throw new MemberUrlError(`URL scheme must be http or https: ${url}`);
  }
  const [, authority = "", path = ""] = /^\/\/([^/?#]*)([^?#]*)/.exec(rest) ?? [];
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  if (!/^(?:\[[^[\]]*\]|[^:[\]]*):[^:[\]]*$/.test(host)) {
    throw new MemberUrlError(`URL address does not have the form "host:port": ${url}`);
  }
  if (path !== "") throw new MemberUrlError(`URL must not contain a path: ${url}`);
  return lowerScheme + url.slice(scheme.length);
}

/** What the original's URL parser objects to, undefined when it accepts the text. */
function parseProblem(url: string): string | undefined {
  if (/[\u0000-\u001f\u007f]/.test(url)) return "net/url: invalid control character in URL";
  if (url.startsWith(":")) return "missing protocol scheme";
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:/.exec(url)?.[0] ?? "";
  const rest = url.slice(scheme.length);
  if (scheme === "" && /^[^/?#]*:/.test(rest)) {
    return "first path segment in URL cannot contain colon";
  }
  const broken = /%(?![0-9A-Fa-f]{2}).{0,2}/s.exec(rest)?.[0];
  if (broken !== undefined) return `invalid URL escape ${JSON.stringify(broken)}`;
  const authority = /^\/\/([^/?#]*)/.exec(rest)?.[1] ?? "";
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  if (/[ <>"]/.test(host))
    return `invalid character ${JSON.stringify(/[ <>"]/.exec(host)?.[0])} in host name`;
  if (host.startsWith("[") && !host.includes("]")) return "missing ']' in host";
  const port = /:([^:\]]*)$/.exec(host)?.[1];
  if (port !== undefined && !/^[0-9]*$/.test(port)) {
    return `invalid port ${JSON.stringify(`:${port}`)} after host`;
  }
  return undefined;
}
