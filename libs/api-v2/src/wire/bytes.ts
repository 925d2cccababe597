/**
 * Which bytes may stand where in the head of a request, as one table, and the few bytes that have
 * names. The rules are those of RFC 9110 and 9112 as Go's net/http applies them.
 */

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const SLASH = 0x2f;
export const COLON = 0x3a;

/** May be part of a method or of a header's name. */
export const IN_TOKEN = 1;
/** May be part of a header's value. */
export const IN_VALUE = 2;
/** May be part of the value of Host. */
export const IN_HOST = 4;
/** May be part of a request target as the parser takes it. */
export const IN_TARGET = 8;

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]/;
const HOST = /[!$%&'()*+,.:;=[\]_~0-9A-Za-z-]/;

const CLASSES = Uint8Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  let bits = 0;
  if (TOKEN.test(character)) bits |= IN_TOKEN;
  if (HOST.test(character)) bits |= IN_HOST;
  if (byte === TAB || (byte >= SPACE && byte !== 0x7f)) bits |= IN_VALUE;
  if (byte > SPACE && byte < 0x7f) bits |= IN_TARGET;
  return bits;
});

/** Where the run of bytes of a class that begins at an offset ends; at most `bytes.length`. */
export function endOfRun(bytes: Uint8Array, from: number, kind: number): number {
  const { length } = bytes;
  let at = from;
  while (at < length && ((CLASSES[bytes[at] ?? 0] ?? 0) & kind) !== 0) at++;
  return at;
}

/** Whether all bytes of a byte string are of a class; true for "". */
export function allOf(text: string, kind: number): boolean {
  for (let at = 0; at < text.length; at++) {
    if (((CLASSES[text.charCodeAt(at)] ?? 0) & kind) === 0) return false;
  }
  return true;
}
