/**
 * JSON text exactly as etcd 2.3.8 writes it, from byte strings to byte strings. Knows only
 * strings; which fields an object has is decided elsewhere.
 */
import { escapeJson } from "@etcd2/net-url";
import { type ByteString, toByteString } from "@etcd2/store";

/** 1 for bytes that stand for themselves without a look at their neighbours. */
const PLAIN = new Uint8Array(256);
for (let byte = 0x20; byte < 0x80; byte++) PLAIN[byte] = 1;
for (const special of '"\\<>&') PLAIN[special.charCodeAt(0)] = 0;

/** The byte string as a JSON string, quotes included. */
export function jsonString(text: ByteString): ByteString {
  const length = text.length;
  for (let at = 0; at < length; at++) {
    if (PLAIN[text.charCodeAt(at)] !== 1) return '"' + escapeFrom(text, at) + '"';
  }
  return '"' + text + '"';
}

/** Any plain value as compact JSON, with the same escapes. */
export function jsonValue(value: unknown): ByteString {
  return toByteString(escapeJson(JSON.stringify(value)));
}

/** Escapes a text whose first `at` bytes are known to be plain. */
function escapeFrom(text: ByteString, at: number): ByteString {
  let escaped = "";
  let copied = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (PLAIN[code] === 1) {
      at++;
      continue;
    }
    const runLength = code < 0x80 ? 0 : sequenceLength(text, at);
    if (runLength > 0 && !isLineSeparator(text, at)) {
      at += runLength;
      continue;
    }
    escaped += text.slice(copied, at);
    if (runLength > 0) {
      escaped += text.charCodeAt(at + 2) === 0xa8 ? "\\u2028" : "\\u2029";
      at += 3;
    } else {
      escaped += code < 0x80 ? escapeAscii(code) : "\\ufffd";
      at++;
    }
    copied = at;
  }
  return escaped + text.slice(copied);
}

function escapeAscii(code: number): string {
  switch (code) {
    case 0x22:
      return '\\"';
    case 0x5c:
      return "\\\\";
    case 0x0a:
      return "\\n";
    case 0x0d:
      return "\\r";
    case 0x09:
      return "\\t";
    default:
      return "\\u00" + (code < 0x10 ? "0" : "") + code.toString(16);
  }
}

/** U+2028 and U+2029 are E2 80 A8 and E2 80 A9. */
function isLineSeparator(text: ByteString, at: number): boolean {
  if (text.charCodeAt(at) !== 0xe2 || text.charCodeAt(at + 1) !== 0x80) return false;
  const last = text.charCodeAt(at + 2);
  return last === 0xa8 || last === 0xa9;
}

/** Length of the valid UTF-8 sequence that starts at a byte above 127, 0 when there is none. */
function sequenceLength(text: ByteString, at: number): number {
  const first = text.charCodeAt(at);
  if (first < 0xc2 || first > 0xf4) return 0;
  const second = text.charCodeAt(at + 1);
  if (first < 0xe0) return isContinuation(second) ? 2 : 0;
  // The second byte excludes overlong forms, surrogates and points above U+10FFFF.
  let low = 0x80;
  let high = 0xbf;
  if (first === 0xe0) low = 0xa0;
  else if (first === 0xed) high = 0x9f;
  else if (first === 0xf0) low = 0x90;
  else if (first === 0xf4) high = 0x8f;
  if (!(second >= low && second <= high) || !isContinuation(text.charCodeAt(at + 2))) return 0;
  if (first < 0xf0) return 3;
  return isContinuation(text.charCodeAt(at + 3)) ? 4 : 0;
}

/** False for NaN too, which charCodeAt gives beyond the end. */
function isContinuation(code: number): boolean {
  return code >= 0x80 && code <= 0xbf;
}
