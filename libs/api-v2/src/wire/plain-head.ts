/**
 * Recognises the heads that nearly all clients send: a common method, a path, HTTP/1.1, lines that
 * end in CRLF, one well-formed Host, at most one Content-Length and nothing that frames the
 * message otherwise. The parser takes these as they stand. Everything else is looked at again by
 * whoever knows more; nothing is refused here.
 */
import {
  COLON,
  CR,
  endOfRun,
  IN_HOST,
  IN_TARGET,
  IN_TOKEN,
  IN_VALUE,
  LF,
  SLASH,
  SPACE,
  TAB,
} from "./bytes.ts";

import { HEADER_LINES_MAX } from "../ports/limits.ts";

/** Methods of the API, with the blank behind. */
const METHODS = ["GET ", "PUT ", "POST ", "DELETE ", "HEAD "].map((text) => Buffer.from(text));
const VERSION = Buffer.from(" HTTP/1.1\r\n");

/** Digits of a Content-Length that is taken here. */
const LENGTH_DIGITS_MAX = 12;

/** The result of the last call of `endOfPlainHead` that found one: bytes of the announced body. */
export let plainBodyBytes = 0;

/** Where the plain head that begins at an offset ends; 0 when it is not plain or not complete. */
export function endOfPlainHead(bytes: Buffer, start: number): number {
  let at = endOfLine(bytes, start);
  if (at === 0) return 0;
  let hosts = 0;
  let length = -1;
  for (let lines = 1; ; lines++) {
    if (lines > HEADER_LINES_MAX) return 0;
    const name = at;
    at = endOfRun(bytes, name, IN_TOKEN);
    if (at === name) break;
    if (bytes[at] !== COLON) return 0;
    const nameBytes = at - name;
    let value = at + 1;
    while (bytes[value] === SPACE || bytes[value] === TAB) value++;
    at = endOfRun(bytes, value, IN_VALUE);
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return 0;
    if (nameBytes === 4 && isName(bytes, name, "host")) {
      if (endOfRun(bytes, value, IN_HOST) !== at) return 0;
      hosts++;
    } else if (nameBytes === 14 && isName(bytes, name, "content-length")) {
      if (length >= 0) return 0;
      length = numberIn(bytes, value, at);
      if (length < 0) return 0;
    } else if (nameBytes === 7 && isName(bytes, name, "upgrade")) {
      return 0;
    } else if (nameBytes === 17 && isName(bytes, name, "transfer-encoding")) {
      return 0;
    }
    at += 2;
  }
  if (bytes[at] !== CR || bytes[at + 1] !== LF || hosts !== 1) return 0;
  plainBodyBytes = Math.max(0, length);
  return at + 2;
}

/** Where a plain request line ends, 0 when it is none. */
function endOfLine(bytes: Buffer, start: number): number {
  for (const method of METHODS) {
    if (!startsWith(bytes, start, method)) continue;
    const target = start + method.length;
    if (bytes[target] !== SLASH) return 0;
    const end = endOfRun(bytes, target, IN_TARGET);
    return startsWith(bytes, end, VERSION) ? end + VERSION.length : 0;
  }
  return 0;
}

function startsWith(bytes: Buffer, at: number, text: Buffer): boolean {
  for (let index = 0; index < text.length; index++) {
    if (bytes[at + index] !== text[index]) return false;
  }
  return true;
}

/** Compares a name of letters and hyphens in any case. */
function isName(bytes: Buffer, at: number, lower: string): boolean {
  for (let index = 0; index < lower.length; index++) {
    const byte = bytes[at + index] ?? 0;
    const folded = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (folded !== lower.charCodeAt(index)) return false;
  }
  return true;
}

/** A decimal number, -1 when it is none or long. */
function numberIn(bytes: Buffer, from: number, to: number): number {
  if (to === from || to - from > LENGTH_DIGITS_MAX) return -1;
  let number = 0;
  for (let at = from; at < to; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return number;
}
