/**
 * Byte strings: the form in which keys and values are handled, and the conversions to and from text.
 *
 * A *byte string* is a JavaScript string in which every char code is one byte (0..255). Byte strings
 * compare in byte order, cost one byte a character, and keep invalid UTF-8 as it came. Text enters
 * and leaves this form only at the edges (HTTP, command line).
 */

/** A string whose char codes are bytes. */
export type ByteString = string;

/** The bytes of a text in UTF-8. */
export function toByteString(text: string): ByteString {
  for (let at = 0; at < text.length; at++) {
    if (text.charCodeAt(at) > 0x7f) return Buffer.from(text, "utf8").toString("latin1");
  }
  return text;
}

/** The text that bytes stand for in UTF-8; invalid bytes become U+FFFD. */
export function fromByteString(bytes: ByteString): string {
  for (let at = 0; at < bytes.length; at++) {
    if (bytes.charCodeAt(at) > 0x7f) return Buffer.from(bytes, "latin1").toString("utf8");
  }
  return bytes;
}

/** Removes empty, `.` and `..` elements, puts one slash in front, and keeps one at the end. */
export function cleanPath(path: ByteString): ByteString {
  const clean = cleanKey(path);
  return path.endsWith("/") && clean !== "/" ? clean + "/" : clean;
}

/** As cleanPath, without a slash at the end: the name of a node. "/" for the root. */
export function cleanKey(path: ByteString): ByteString {
  if (path.startsWith("/") && !/\/(?:\/|\.|$)/.test(path)) return path;
  const kept: ByteString[] = [];
  for (const element of path.split("/")) {
    if (element === "" || element === ".") continue;
    if (element === "..") kept.pop();
    else kept.push(element);
  }
  return "/" + kept.join("/");
}
