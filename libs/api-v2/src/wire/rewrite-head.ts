/**
 * Heads of requests that are not plain: read as liberally as Go's net/http reads them, and written
 * anew in the one form that no parser can take in two ways; or refused, with the status that Go
 * gives. Where Go leaves room for two readings of where a message ends (a length beside a transfer
 * encoding, a transfer encoding of HTTP/1.0, a folded framing header) the request is refused.
 * Knows texts only.
 */
import { METHODS } from "node:http";
import { allOf, IN_HOST, IN_TARGET, IN_TOKEN, IN_VALUE } from "./bytes.ts";

/** A head that is not taken. */
export interface HeadRefusal {
  readonly kind: "refused";
  readonly status: 400 | 501 | 505;
  /** What is wrong, in the words of Go's net/http; "" where it has none. */
  readonly reason: string;
}

/** A head in its canonical form. */
export interface CanonicalHead {
  readonly kind: "canonical";
  readonly text: string;
  /** Bytes of the body, or that it is chunked. */
  readonly body: number | "chunked";
  /** What the parser cannot be given and the request is to show all the same. */
  readonly shown: ShownLine | undefined;
}

/** Parts of the request line as they are to be seen by handlers. */
export interface ShownLine {
  readonly method: string | undefined;
  readonly target: string;
}

/** A request line taken apart. */
export interface RequestLine {
  readonly kind: "line";
  readonly method: string;
  readonly target: string;
  readonly minor: 0 | 1;
}

/** Stands for methods the parser does not know: it knows this one, and no endpoint has it. */
const UNSUPPORTED_METHOD = "PURGE";

const BAD: HeadRefusal = { kind: "refused", status: 400, reason: "" };

function bad(reason: string): HeadRefusal {
  return { kind: "refused", status: 400, reason };
}

/** Reads a request line, without its end. */
export function readRequestLine(line: string): RequestLine | HeadRefusal {
  const first = line.indexOf(" ");
  const second = line.indexOf(" ", first + 1);
  if (first <= 0 || second < 0) return BAD;
  const method = line.slice(0, first);
  const target = line.slice(first + 1, second);
  const version = /^HTTP\/(\d)\.(\d)$/.exec(line.slice(second + 1));
  if (version === null || target === "" || !allOf(method, IN_TOKEN)) return BAD;
  if (version[1] !== "1") {
    return { kind: "refused", status: 505, reason: "unsupported protocol version" };
  }
  return { kind: "line", method, target, minor: version[2] === "0" ? 0 : 1 };
}

interface Header {
  readonly name: string;
  readonly lower: string;
  value: string;
  isFolded: boolean;
}

/** Reads a complete head, the empty line at its end included. */
export function rewriteHead(head: string): CanonicalHead | HeadRefusal {
  const lines = head.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  const line = readRequestLine(lines[0] ?? "");
  if (line.kind === "refused") return line;
  // Behind the last line stands the empty one, and nothing behind that.
  const headers = readHeaders(lines.slice(1, -2));
  if ("kind" in headers) return headers;
  const target = readTarget(line);
  if (target.kind === "refused") return target;
  const host = readHost(headers, line, target.authority);
  if (typeof host !== "string") return host;
  const body = readFraming(headers, line.minor);
  if (typeof body === "object") return body;
  const { method } = line;
  const isConnect = method === "CONNECT";
  const known = METHODS.includes(method) && !isConnect ? method : UNSUPPORTED_METHOD;
  let text = `${known} ${target.sent} HTTP/1.${line.minor}\r\n${host}`;
  for (const { name, value } of headers) text += `${name}: ${value}\r\n`;
  if (isConnect) text += "Connection: close\r\n";
  if (body === "chunked") text += "Transfer-Encoding: chunked\r\n";
  else if (body !== undefined) text += `Content-Length: ${body}\r\n`;
  const isShown = isConnect || target.shown !== target.sent;
  const shown = { method: isConnect ? method : undefined, target: target.shown };
  return {
    kind: "canonical",
    text: `${text}\r\n`,
    body: body ?? 0,
    shown: isShown ? shown : undefined,
  };
}

function readHeaders(lines: readonly string[]): Header[] | HeadRefusal {
  const headers: Header[] = [];
  for (const line of lines) {
    const last = headers.at(-1);
    if (line.startsWith(" ") || line.startsWith("\t")) {
      if (last === undefined) return BAD;
      last.value = `${last.value} ${trim(line)}`;
      last.isFolded = true;
      continue;
    }
    const colon = line.indexOf(":");
    if (colon < 0) return BAD;
    const name = line.slice(0, colon);
    const value = trim(line.slice(colon + 1));
    headers.push({ name, lower: name.toLowerCase(), value, isFolded: false });
  }
  const named: Header[] = [];
  for (const header of headers) {
    // etcd 2.3.8 passes over a header without a name.
    if (header.name === "") continue;
    if (!allOf(header.name, IN_TOKEN)) return bad("invalid header name");
    if (header.isFolded) header.value = trim(header.value);
    if (!allOf(header.value, IN_VALUE)) return bad("invalid header value");
    named.push(header);
  }
  return named;
}

function trim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text, start)) start++;
  while (end > start && isBlank(text, end - 1)) end--;
  return text.slice(start, end);
}

function isBlank(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === 0x20 || code === 0x09;
}

/** Takes the headers of a name out of the list. */
function take(headers: Header[], lower: string): Header[] {
  const taken = headers.filter((header) => header.lower === lower);
  if (taken.length > 0) {
    let kept = 0;
    for (const header of headers) if (header.lower !== lower) headers[kept++] = header;
    headers.length = kept;
  }
  return taken;
}

interface Target {
  readonly kind: "target";
  /** What the parser gets. */
  readonly sent: string;
  /** What handlers see. */
  readonly shown: string;
  /** Of an absolute target; it replaces Host. */
  readonly authority: string;
}

function readTarget({ method, target }: RequestLine): Target | HeadRefusal {
  const escaped = escapeHigh(target);
  if (!allOf(escaped, IN_TARGET)) return BAD;
  if (escaped.startsWith("/") || escaped === "*") {
    return { kind: "target", sent: escaped, shown: escaped, authority: "" };
  }
  if (method === "CONNECT") {
    // The name of a host, to which no way leads from here: like the root, it is not found.
    return { kind: "target", sent: "/", shown: "/", authority: "" };
  }
  return readAbsolute(escaped);
}

/** A target with a scheme: what stands behind the host is asked for. */
function readAbsolute(target: string): Target | HeadRefusal {
  const parts = /^[A-Za-z][A-Za-z0-9+.-]*:(?:\/\/([^/?#]*))?(.*)$/.exec(target);
  if (parts === null) return BAD;
  const [, given, rest = ""] = parts;
  const authority = given?.replace(/^.*@/, "") ?? "";
  if (!allOf(authority, IN_HOST)) return BAD;
  if (rest.startsWith("/")) return { kind: "target", sent: rest, shown: rest, authority };
  // There is no path; handlers redirect to the root, which is not what was asked for.
  const query = rest.indexOf("?");
  const shown = `http://${authority}${query < 0 ? "" : rest.slice(query)}`;
  return { kind: "target", sent: "/", shown, authority };
}

function escapeHigh(text: string): string {
  return text.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`);
}

/** The line of Host, "" where there is none. */
function readHost(
  headers: Header[],
  { method, minor }: RequestLine,
  authority: string,
): string | HeadRefusal {
  const hosts = take(headers, "host");
  const [host] = hosts;
  if (hosts.length > 1) return BAD;
  if (host !== undefined && !allOf(host.value, IN_HOST)) return bad("malformed Host header");
  if (host === undefined && minor === 1 && method !== "CONNECT") {
    return bad("missing required Host header");
  }
  if (authority !== "") return `Host: ${authority}\r\n`;
  if (host !== undefined) return `Host: ${host.value}\r\n`;
  return minor === 1 ? "Host: \r\n" : "";
}

/** The length of the body, undefined when none is announced; what frames it leaves the list. */
function readFraming(
  headers: Header[],
  minor: 0 | 1,
): number | "chunked" | undefined | HeadRefusal {
  // No connection changes its protocol here, and the requests behind are answered all the same.
  take(headers, "upgrade");
  const encodings = take(headers, "transfer-encoding");
  const lengths = take(headers, "content-length");
  if ([...encodings, ...lengths].some(({ isFolded }) => isFolded)) return BAD;
  if (encodings.length > 0) {
    if (lengths.length > 0 || minor === 0) return BAD;
    if (encodings.length > 1 || encodings[0]?.value.toLowerCase() !== "chunked") {
      return { kind: "refused", status: 501, reason: "" };
    }
    return "chunked";
  }
  const [first] = lengths;
  if (first === undefined) return undefined;
  if (lengths.some(({ value }) => value !== first.value)) return BAD;
  if (first.value === "") return undefined;
  const length = /^\d+$/.test(first.value) ? Number(first.value) : Infinity;
  return Number.isSafeInteger(length) ? length : BAD;
}
