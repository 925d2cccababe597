/**
 * The values that a keys request gives for its parameters, collected from the form body and the query
 * string. Decodes and checks escapes; judges no values.
 */
import type { ByteString } from "@etcd2/store";
import { KEY_PARAMETER_NAMES } from "./key-parameters.ts";
import { brokenEscapeAt, percentDecode } from "../http/percent-encoding.ts";

const SLOTS: ReadonlyMap<string, number> = new Map(
  KEY_PARAMETER_NAMES.map((name, slot) => [name, slot]),
);

const NOTHING: readonly undefined[] = KEY_PARAMETER_NAMES.map(() => undefined);

/** First value given for each parameter; names that are none are ignored. */
export class FormValues {
  readonly #values: (ByteString | undefined)[] = NOTHING.slice();

  /** As they were given, in the order of KEY_PARAMETER_NAMES; undefined where none was. */
  get values(): readonly (ByteString | undefined)[] {
    return this.#values;
  }

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
    const slot = SLOTS.get(percentDecode(rawName, true));
    if (slot !== undefined) this.#values[slot] ??= percentDecode(rawValue, true);
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
