/**
 * The raw request target, by hand: split into path and query, decoded, cleaned. Knows the rules
 * of http-api.md §1 and nothing of requests and answers.
 */
import { cleanPath, type ByteString } from "@etcd2/store";
import { brokenEscapeAt, percentDecode } from "./percent-encoding.ts";

/** A request target taken apart. */
export interface RequestTarget {
  /** Percent-decoded path. */
  readonly path: ByteString;
  /** The path without empty, `.` and `..` elements; differs from `path` when it must redirect. */
  readonly cleanPath: ByteString;
  /** What follows the first question mark, as sent; "" when there is nothing. */
  readonly query: string;
}

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const QUESTION_MARK = 0x3f;

/** Takes a raw target apart; undefined when it is malformed. */
export function parseTarget(raw: string): RequestTarget | undefined {
  const target = raw.charCodeAt(0) === SLASH ? raw : originForm(raw);
  if (target === undefined) return undefined;
  const length = target.length;
  let end = 0;
  let encoded = false;
  // A path without its slash is that of an absolute target that has none.
  let suspicious = target.charCodeAt(0) !== SLASH;
  let previous = 0;
  for (; end < length; end++) {
    const code = target.charCodeAt(end);
    if (code === QUESTION_MARK) break;
    if (code === PERCENT) encoded = true;
    // Two slashes, or an element that begins with a dot, may need cleaning.
    else if ((code === SLASH || code === DOT) && previous === SLASH) suspicious = true;
    else if (code <= 0x20 || code === 0x7f) return undefined;
    previous = code;
  }
  const query = end < length ? target.slice(end + 1) : "";
  let path = end < length ? target.slice(0, end) : target;
  if (encoded) {
    if (brokenEscapeAt(path) >= 0) return undefined;
    path = percentDecode(path, false);
    suspicious = true;
  }
  return { path, cleanPath: suspicious ? cleanPath(path) : path, query };
}

/**
 * The path and query of an absolute target, `http://host/path`; undefined for other forms. The path
 * is empty when there is none, which cleaning makes the root.
 */
function originForm(raw: string): string | undefined {
  const [, rest] = /^[A-Za-z][A-Za-z0-9+.-]*:(.*)$/s.exec(raw) ?? [];
  if (rest === undefined) return undefined;
  const authority = rest.startsWith("//") ? 2 : 0;
  const path = rest.slice(authority).search(/[/?]/);
  return path < 0 ? "" : rest.slice(authority + path);
}
