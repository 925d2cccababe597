/**
 * Content-Type: whether a body is a form, as strictly as etcd 2.3.8 reads it, and whether it is
 * JSON. Knows nothing of bodies.
 */
import type { ByteString } from "@etcd2/store";

const FORM = "application/x-www-form-urlencoded";
const JSON_TYPE = "application/json";

/**
 * Whether a Content-Type header says JSON: in any case, with any parameters. Parameters mean
 * nothing for JSON (RFC 8259, section 11), so those that are malformed are not held against it.
 */
export function isJsonType(header: string): boolean {
  if (header === JSON_TYPE) return true;
  const semicolon = header.indexOf(";");
  const base = semicolon < 0 ? header : header.slice(0, semicolon);
  return base.trim().toLowerCase() === JSON_TYPE;
}

/** How a body is to be treated. */
export interface MediaType {
  readonly isForm: boolean;
  /** Cause of error 210, undefined when the header is fine. */
  readonly problem: string | undefined;
}

const FORM_TYPE: MediaType = { isForm: true, problem: undefined };
const OTHER_TYPE: MediaType = { isForm: false, problem: undefined };

/** Reads a Content-Type header; a missing or empty one is no form and no problem. */
export function parseMediaType(header: string | undefined): MediaType {
  if (header === FORM) return FORM_TYPE;
  if (header === undefined || header === "") return OTHER_TYPE;
  const semicolon = header.indexOf(";");
  const base = semicolon < 0 ? header : header.slice(0, semicolon);
  const type = base.trim().toLowerCase();
  const problem = typeProblem(type);
  if (problem !== undefined) return { isForm: false, problem };
  const invalid = semicolon < 0 ? undefined : parameterProblem(header.slice(semicolon));
  if (invalid === undefined) return type === FORM ? FORM_TYPE : OTHER_TYPE;
  // A form with a bad parameter is still read, so that its size is judged first.
  return { isForm: type === FORM && invalid === INVALID_PARAMETER, problem: invalid };
}

const INVALID_PARAMETER = "mime: invalid media parameter";

function typeProblem(type: string): string | undefined {
  const first = tokenLength(type, 0);
  if (first === 0) return "mime: no media type";
  if (first === type.length) return undefined;
  if (type.charAt(first) !== "/") return "mime: expected slash after first token";
  const second = tokenLength(type, first + 1);
  if (second === 0) return "mime: expected token after slash";
  return first + 1 + second < type.length
    ? "mime: unexpected content after media subtype"
    : undefined;
}

/** Problem of the part from the first semicolon on. */
function parameterProblem(text: string): string | undefined {
  const seen = new Set<string>();
  let at = skipBlanks(text, 0);
  while (at < text.length) {
    const parameter = readParameter(text, at);
    if (parameter === undefined) {
      return text.slice(at).trim() === ";" ? undefined : INVALID_PARAMETER;
    }
    if (seen.has(parameter.name)) return "mime: duplicate parameter name";
    seen.add(parameter.name);
    at = skipBlanks(text, parameter.end);
  }
  return undefined;
}

interface Parameter {
  readonly name: string;
  readonly end: number;
}

/** `; name=value` or `; name="value"`; undefined when malformed. */
function readParameter(text: string, start: number): Parameter | undefined {
  if (text.charAt(start) !== ";") return undefined;
  const nameStart = skipBlanks(text, start + 1);
  const nameEnd = nameStart + tokenLength(text, nameStart);
  const equals = skipBlanks(text, nameEnd);
  if (nameEnd === nameStart || text.charAt(equals) !== "=") return undefined;
  const name = text.slice(nameStart, nameEnd).toLowerCase();
  const valueStart = skipBlanks(text, equals + 1);
  if (text.charAt(valueStart) === '"') return readQuoted(text, name, valueStart + 1);
  const end = valueStart + tokenLength(text, valueStart);
  return end === valueStart ? undefined : { name, end };
}

function readQuoted(text: string, name: string, start: number): Parameter | undefined {
  for (let at = start; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') return { name, end: at + 1 };
    if (character === "\r" || character === "\n") return undefined;
    const next = at + 1 < text.length ? text.charCodeAt(at + 1) : 0;
    if (character === "\\" && next > 0x20 && next < 0x7f && !isTokenCode(next)) at++;
  }
  return undefined;
}

function skipBlanks(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++;
  return at;
}

function tokenLength(text: ByteString, from: number): number {
  let at = from;
  while (at < text.length && isTokenCode(text.charCodeAt(at))) at++;
  return at - from;
}

/** Token characters of RFC 1521: visible ASCII without the special ones. */
function isTokenCode(code: number): boolean {
  return code > 0x20 && code < 0x7f && !'()<>@,;:\\"/[]?='.includes(String.fromCharCode(code));
}
