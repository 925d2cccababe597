/** Where a redirect leads: a URL relative to the one that was asked. Sends nothing. */
import { portOf } from "./address.ts";
import { parseUrl } from "./url.ts";

/** What a request is sent to. */
export interface RequestTarget {
  readonly scheme: string;
  /** Without brackets; "" where the URL names none. */
  readonly host: string;
  readonly port: number;
  /** Encoded, with the query. */
  readonly path: string;
}

/** Takes `.` and `..` out of a path. */
function withoutDots(path: string): string {
  const kept: string[] = [];
  const elements = path.split("/").slice(1);
  for (const [at, element] of elements.entries()) {
    const isLast = at === elements.length - 1;
    if (element === "..") kept.pop();
    if (element !== "." && element !== "..") kept.push(element);
    else if (isLast) kept.push("");
  }
  return `/${kept.join("/")}`;
}

function withQuery(path: string, query: string): string {
  if (query === "") return path;
  return `${path}?${query.replace(/[^\x21-\x7e]+/gu, encodeURIComponent)}`;
}

/**
 * The target that a `Location` header names, seen from the target that answered with it.
 * @throws UrlError when it is no URL
 */
export function redirectTarget(from: RequestTarget, location: string): RequestTarget {
  const url = parseUrl(location.toWellFormed());
  const { rawPath, query } = url;
  if (url.scheme !== "" || url.host !== "") {
    const scheme = url.scheme === "" ? from.scheme : url.scheme;
    const path = withQuery(withoutDots(rawPath.startsWith("/") ? rawPath : `/${rawPath}`), query);
    return { scheme, host: url.hostname, port: portOf({ scheme, port: url.port }), path };
  }
  const { scheme, host, port } = from;
  const [fromPath = "/"] = from.path.split("?", 1);
  if (rawPath === "") {
    const path = query === "" ? from.path : withQuery(fromPath, query);
    return { scheme, host, port, path };
  }
  const base = fromPath.slice(0, fromPath.lastIndexOf("/") + 1);
  const path = withoutDots(rawPath.startsWith("/") ? rawPath : base + rawPath);
  return { scheme, host, port, path: withQuery(path, query) };
}
