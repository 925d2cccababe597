/**
 * The parameters of a keys request, collected from the form body and the query string: first
 * value of each known name. Decodes and checks escapes; judges no values.
 */
import type { ByteString } from "@etcd2/store";
import { brokenEscapeAt, percentDecode } from "../http/percent-encoding.ts";

/** First value given for each name, undefined when the name does not occur. */
export class KeyParams {
  prevIndex: ByteString | undefined = undefined;
  waitIndex: ByteString | undefined = undefined;
  recursive: ByteString | undefined = undefined;
  sorted: ByteString | undefined = undefined;
  wait: ByteString | undefined = undefined;
  dir: ByteString | undefined = undefined;
  quorum: ByteString | undefined = undefined;
  stream: ByteString | undefined = undefined;
  prevValue: ByteString | undefined = undefined;
  ttl: ByteString | undefined = undefined;
  prevExist: ByteString | undefined = undefined;
  refresh: ByteString | undefined = undefined;
  value: ByteString | undefined = undefined;

  /**
   * Takes the pairs of one form. Values already present stay: add the body first, then the query.
   * Returns the cause of error 210 for the first malformed pair, undefined when all is well.
   */
  add(form: ByteString): ByteString | undefined {
    let start = 0;
    while (start < form.length) {
      let end = form.indexOf("&", start);
      if (end < 0) end = form.length;
      if (end > start) {
        const problem = this.#addPair(
          start === 0 && end === form.length ? form : form.slice(start, end),
        );
        if (problem !== undefined) return problem;
      }
      start = end + 1;
    }
    return undefined;
  }

  #addPair(pair: ByteString): ByteString | undefined {
    if (pair.includes(";")) return "invalid semicolon separator in query";
    const equals = pair.indexOf("=");
    const rawName = equals < 0 ? pair : pair.slice(0, equals);
    const rawValue = equals < 0 ? "" : pair.slice(equals + 1);
    const broken = brokenEscapeAt(rawName);
    if (broken >= 0) return escapeProblem(rawName, broken);
    const brokenValue = brokenEscapeAt(rawValue);
    if (brokenValue >= 0) return escapeProblem(rawValue, brokenValue);
    const name = percentDecode(rawName, true);
    switch (name) {
      case "prevIndex":
      case "waitIndex":
      case "recursive":
      case "sorted":
      case "wait":
      case "dir":
      case "quorum":
      case "stream":
      case "prevValue":
      case "ttl":
      case "prevExist":
      case "refresh":
      case "value":
        this[name] ??= percentDecode(rawValue, true);
        break;
      default:
    }
    return undefined;
  }
}

/** Names the broken escape: at most three characters from the percent sign. */
function escapeProblem(text: ByteString, at: number): ByteString {
  return "invalid URL escape " + quoted(text.slice(at, at + 3));
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

/** In double quotes, unprintable bytes as \xNN, unprintable characters as \uNNNN. */
function quoted(bytes: ByteString): ByteString {
  let text = "";
  for (let at = 0; at < bytes.length; at++) {
    const code = bytes.charCodeAt(at);
    const character = bytes.charAt(at);
    const next = bytes.charCodeAt(at + 1);
    if (code >= 0xc2 && code <= 0xdf && next >= 0x80 && next <= 0xbf) {
      // U+0080 to U+00A0 and the soft hyphen are not printable.
      const isPrintable = code > 0xc2 || (next > 0xa0 && next !== 0xad);
      text += isPrintable ? character + bytes.charAt(at + 1) : "\\u00" + next.toString(16);
      at++;
    } else if (code >= 0x20 && code < 0x7f) {
      text += SHORT_ESCAPES[character] ?? character;
    } else {
      text += SHORT_ESCAPES[character] ?? "\\x" + code.toString(16).padStart(2, "0");
    }
  }
  return '"' + text + '"';
}
