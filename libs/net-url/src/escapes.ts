/**
 * Percent escapes of the parts of a URL: which bytes a part may hold as they are, and what an escape
 * stands for. Texts here are byte strings, one character for each byte.
 */
import { quote } from "./quote.ts";

/** What is wrong with a part of a URL; the reader of the whole says of which URL. */
export class PartError extends Error {
  override readonly name = "PartError";
}

/** Bytes that stand for themselves, beside letters, digits and `-_.~`. */
const plain = {
  host: /[^A-Za-z0-9\-_.~!$&'()*+,;=:[\]<>"]/g,
  zone: /[^A-Za-z0-9\-_.~!$&'()*+,;=:[\]<>"]/g,
  user: /[^A-Za-z0-9\-_.~$&+,;=]/g,
  path: /[^A-Za-z0-9\-_.~$&+,/:;=@]/g,
  fragment: /[^A-Za-z0-9\-_.~$&+,/:;=?@!()*]/g,
} as const;

export type Part = keyof typeof plain;

function percent(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

/** The bytes with every one escaped that the part cannot hold as it is. */
export function escapePart(bytes: string, part: Part): string {
  return bytes.replace(plain[part], percent);
}

/** Whether a byte cannot be there as it is. */
function needsEscape(byte: string, part: Part): boolean {
  return escapePart(byte, part) !== byte;
}

/** A host escapes what is not ASCII and nothing else; its zone also what a zone may hold. */
function mayBeEscaped(escape: string, part: Part): boolean {
  if (escape === "%25") return true;
  const byte = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
  if (part === "host") return byte >= "\x80";
  return part !== "zone" || byte === " " || !needsEscape(byte, "host");
}

/** The bytes that the text stands for. @throws PartError */
export function unescapePart(text: string, part: Part): string {
  const isHost = part === "host" || part === "zone";
  let out = "";
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === "%") {
      const escape = text.slice(at, at + 3);
      if (!/^%[0-9a-fA-F]{2}$/.test(escape) || !mayBeEscaped(escape, part)) {
        throw new PartError(
          `invalid URL escape ${quote(Buffer.from(escape, "latin1").toString())}`,
        );
      }
      out += String.fromCharCode(Number.parseInt(escape.slice(1), 16));
      at += 2;
    } else if (isHost && char < "\x80" && needsEscape(char, part)) {
      throw new PartError(`invalid character ${quote(char)} in host name`);
    } else {
      out += char;
    }
  }
  return out;
}

/** Whether a path is written as it may be written, so that it is shown as it was given. */
export function isValidPath(text: string): boolean {
  return /^[A-Za-z0-9\-_.~!$&'()*+,;=:@[\]/%]*$/.test(text);
}
