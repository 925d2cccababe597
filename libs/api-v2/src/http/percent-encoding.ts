/**
 * Percent-encoding of byte strings, both ways. Knows nothing about requests.
 */
import type { ByteString } from "@etcd2/store";

const PERCENT = 0x25;
const HEX = "0123456789ABCDEF";

/** Value of a hexadecimal digit, -1 for anything else. */
function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** The byte written at `%XX`, or -1 when the escape at `index` is broken. */
function escapedByte(text: ByteString, index: number): number {
  if (index + 2 >= text.length) return -1;
  const high = hexValue(text.charCodeAt(index + 1));
  const low = hexValue(text.charCodeAt(index + 2));
  return high < 0 || low < 0 ? -1 : (high << 4) | low;
}

/** Where the first broken escape starts, -1 when there is none. */
export function brokenEscapeAt(text: ByteString): number {
  for (let at = text.indexOf("%"); at >= 0; at = text.indexOf("%", at + 3)) {
    if (escapedByte(text, at) < 0) return at;
  }
  return -1;
}

/**
 * Decodes `%XX`, and `+` as a blank in forms. The escapes must be whole: check with
 * brokenEscapeAt first.
 */
export function percentDecode(text: ByteString, plusIsBlank: boolean): ByteString {
  const plain = plusIsBlank && text.includes("+") ? text.replaceAll("+", " ") : text;
  const first = plain.indexOf("%");
  if (first < 0) return plain;
  if (plain.length > LONG_TEXT) return decodeLong(plain, first);
  let decoded = "";
  let copied = 0;
  for (let at = first; at >= 0; at = plain.indexOf("%", copied)) {
    decoded += plain.slice(copied, at) + String.fromCharCode(escapedByte(plain, at));
    copied = at + 3;
  }
  return decoded + plain.slice(copied);
}

/** Above this a text is decoded into bytes: one put together of millions of pieces fills the heap. */
const LONG_TEXT = 1024;

function decodeLong(text: ByteString, first: number): ByteString {
  const bytes = Buffer.from(text, "latin1");
  let end = first;
  for (let at = first; at < text.length; at++) {
    if (bytes[at] === PERCENT) {
      bytes[end++] = escapedByte(text, at);
      at += 2;
    } else {
      bytes[end++] = bytes[at] ?? 0;
    }
  }
  return bytes.toString("latin1", 0, end);
}

const PATH_PLAIN = plainTable("$&+,/:;=@-_.~");

function plainTable(marks: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const plain of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + marks) {
    table[plain.charCodeAt(0)] = 1;
  }
  return table;
}

/** Percent-encodes a decoded path for a Location header. */
export function encodePath(path: ByteString): string {
  let encoded = "";
  for (let at = 0; at < path.length; at++) {
    const code = path.charCodeAt(at);
    encoded += PATH_PLAIN[code] === 1 ? path.charAt(at) : percent(code);
  }
  return encoded;
}

function percent(byte: number): string {
  return "%" + HEX.charAt(byte >> 4) + HEX.charAt(byte & 15);
}
