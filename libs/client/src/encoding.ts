/** Paths, forms and credentials as bytes on the wire: every byte that is not plain is escaped. */

const PLAIN_IN_PATH = /^[A-Za-z0-9._~/-]$/;
const PLAIN_IN_FORM = /^[A-Za-z0-9._~-]$/;

const encoder = new TextEncoder();

function escape(text: string | Uint8Array, plain: RegExp): string {
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  let escaped = "";
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    escaped += plain.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escaped;
}

/** An absolute key without empty elements, `.` and `..`, as the server would clean it. */
export function cleanKey(key: string): string {
  const elements: string[] = [];
  for (const element of key.split("/")) {
    if (element === "" || element === ".") continue;
    if (element === "..") elements.pop();
    else elements.push(element);
  }
  return `/${elements.join("/")}`;
}

/** The path of a key, below the path of its endpoint. */
export function keyPath(key: string): string {
  const cleaned = cleanKey(key);
  return `/v2/keys${cleaned === "/" ? "/" : escape(cleaned, PLAIN_IN_PATH)}`;
}

/** One element of a path, such as the name of a user. */
export function pathElement(name: string): string {
  return escape(name, PLAIN_IN_FORM);
}

/** What a form or query can hold; undefined leaves the field out. */
export type FormFields = Readonly<
  Record<string, string | number | bigint | boolean | Uint8Array | undefined>
>;

/** A form or query, in the order of its fields. */
export function encodeForm(fields: FormFields): string {
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const text = value instanceof Uint8Array ? value : String(value);
    pairs.push(`${name}=${escape(text, PLAIN_IN_FORM)}`);
  }
  return pairs.join("&");
}

/** The value of an Authorization header. */
export function basicAuthorization(userInfo: string): string {
  return `Basic ${btoa(String.fromCharCode(...encoder.encode(userInfo)))}`;
}
