/**
 * JSON bodies decoded the way Go's JSON decoder does: field names in any case,
 * unknown fields ignored, null as absent, every given field type-checked, repeated ones too: the
 * last text or list counts, objects are merged. Knows no endpoint.
 */
import { type ByteString, fromByteString, toByteString } from "@etcd2/store";
import { jsonComplaint } from "./json-complaint.ts";
import { JSON_VALUES_MAX } from "../ports/limits.ts";

/** A body that is no JSON, or not of the expected shape. */
export class JsonDecodeError extends Error {
  override readonly name = "JsonDecodeError";
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BRACKET = 0x5b;
const BRACE = 0x7b;

/** A field as it stands in a body, its value still JSON text. */
interface Field {
  readonly name: string;
  readonly text: string;
}

/** A decoded JSON object. Reading a field of another type throws JsonDecodeError. */
export class JsonDocument {
  /** In the order given; names may be repeated. */
  readonly #fields: readonly Field[];

  private constructor(fields: readonly Field[]) {
    this.#fields = fields;
  }

  /**
   * Decodes what a stranger sends, which may have a bounded number of values; the time of a large
   * document goes by them. What is stored is read by parse(), however long it is.
   * @throws JsonDecodeError
   */
  static parseBody(bytes: ByteString, trailing: "refused" | "ignored"): JsonDocument {
    if (!hasTooManyValues(bytes)) return JsonDocument.parse(bytes, trailing);
    throw new JsonDecodeError(`json: more than ${JSON_VALUES_MAX} values`);
  }

  /**
   * Decodes an object; `null` counts as an empty one.
   * @param trailing what to do with text after the document.
   * @throws JsonDecodeError
   */
  static parse(bytes: ByteString, trailing: "refused" | "ignored"): JsonDocument {
    const text = fromByteString(bytes);
    const end = documentEnd(text);
    if (end < 0) {
      throw new JsonDecodeError(jsonComplaint(bytes) ?? "unexpected end of JSON input");
    }
    const document = text.slice(0, end);
    const value = parseText(trailing === "ignored" ? document : text);
    if (value === null) return new JsonDocument([]);
    if (!isObject(value)) {
      throw new JsonDecodeError("json: cannot unmarshal value into an object");
    }
    return new JsonDocument(fieldsOf(document));
  }

  /** A text field, "" when absent. */
  string(name: string): ByteString {
    let found = "";
    for (const { value } of this.#values(name)) {
      if (value !== null) found = stringOf(value, name);
    }
    return found;
  }

  /** A list of texts, undefined when absent. */
  strings(name: string): ByteString[] | undefined {
    let found: ByteString[] | undefined;
    for (const { value } of this.#values(name)) {
      if (value !== null && !Array.isArray(value)) throw mismatch(name);
      found = value?.map((element: unknown) => (element === null ? "" : stringOf(element, name)));
    }
    return found;
  }

  /** True when the field is `true`; of a field etcd 2.3.8 does not know, nothing else counts. */
  isTrue(name: string): boolean {
    return this.#values(name).at(-1)?.value === true;
  }

  /** An object field, undefined when absent. One that is repeated has the fields of all. */
  object(name: string): JsonDocument | undefined {
    let found: Field[] | undefined;
    for (const { value, text } of this.#values(name)) {
      if (value === null) continue;
      if (!isObject(value)) throw mismatch(name);
      found ??= [];
      for (const field of fieldsOf(text)) found.push(field);
    }
    return found === undefined ? undefined : new JsonDocument(found);
  }

  /** All values given for a field, under its name in any case. */
  #values(name: string): { readonly value: unknown; readonly text: string }[] {
    const wanted = fold(name);
    return this.#fields
      .filter((field) => fold(field.name) === wanted)
      .map(({ text }) => ({ value: JSON.parse(text) as unknown, text }));
  }
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function stringOf(value: unknown, name: string): ByteString {
  if (typeof value !== "string") throw mismatch(name);
  return toByteString(value);
}

function mismatch(name: string): JsonDecodeError {
  return new JsonDecodeError(`json: cannot unmarshal value into field ${name}`);
}

/** Simple case folding: the long s and the kelvin sign count as s and k. */
function fold(name: string): string {
  return name.toLowerCase().replaceAll("\u017f", "s").replaceAll("\u212a", "k");
}

function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new JsonDecodeError(jsonComplaint(toByteString(text)) ?? "invalid JSON", { cause });
  }
}

/** The fields of an object that is known to be valid JSON. */
function fieldsOf(text: string): Field[] {
  const fields: Field[] = [];
  let at = text.indexOf("{") + 1;
  for (;;) {
    const opening = text.indexOf('"', at);
    if (opening < 0) return fields;
    const closing = stringEnd(text, opening);
    const start = text.indexOf(":", closing) + 1;
    at = documentEnd(text, start);
    const name = JSON.parse(text.slice(opening, closing + 1)) as string;
    fields.push({ name, text: text.slice(start, at) });
  }
}

/** Where the first document from an offset on ends, -1 when the text ends before. */
function documentEnd(text: string, from = 0): number {
  let at = from;
  while (isBlank(text, at)) at++;
  let depth = 0;
  for (; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') {
      at = stringEnd(text, at);
      if (at < 0) return -1;
    } else if (character === "{" || character === "[") {
      depth++;
      continue;
    } else if (character === "}" || character === "]") {
      depth--;
    } else if (depth === 0) {
      while (at < text.length && !isBlank(text, at) && !'{}[],"'.includes(text.charAt(at))) at++;
      return at;
    }
    if (depth <= 0) return at + 1;
  }
  return -1;
}

/** Counts what separates or opens values, outside of texts. */
function hasTooManyValues(text: string): boolean {
  if (text.length <= JSON_VALUES_MAX) return false;
  let values = 1;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = stringEnd(text, at);
      if (at < 0) return false;
    } else if (code === COMMA || code === BRACE || code === BRACKET) {
      values += 1;
      if (values > JSON_VALUES_MAX) return true;
    }
  }
  return false;
}

/** Index of the closing quote, -1 when it is missing. */
function stringEnd(text: string, opening: number): number {
  for (let at = opening + 1; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === "\\") at++;
    else if (character === '"') return at;
  }
  return -1;
}

function isBlank(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}
