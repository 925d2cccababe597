/**
 * Texts in the forms Go's library gives them: quoted strings, durations, integers,
 * switches, form and path encoding, cleaned paths. Pure functions over strings; they know nothing of
 * commands.
 */

export { quote } from "@etcd2/net-url";

/** Decimal, `0x` hexadecimal or leading-zero octal with an optional sign, within 64 bits. */
export function parseInteger(text: string): bigint | undefined {
  const match = /^([+-]?)(?:(0[xX][0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))$/.exec(text);
  if (match === null) return undefined;
  const [, sign, hex, octal, decimal] = match;
  const digits =
    hex ?? (octal === undefined ? decimal : octal === "0" ? "0" : `0o${octal.slice(1)}`);
  const value = BigInt(digits ?? 0) * (sign === "-" ? -1n : 1n);
  return BigInt.asIntN(64, value) === value ? value : undefined;
}

const switchWords = new Map([
  ...["1", "t", "T", "TRUE", "true", "True"].map((word) => [word, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((word) => [word, false] as const),
]);

/** The words a switch accepts after `=`. */
export function parseSwitch(text: string): boolean | undefined {
  return switchWords.get(text);
}

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** `1m30s`, `300ms`, `-1.5h`, or a bare `0`; the result is in milliseconds. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^([+-]?)(.+)$/s.exec(text);
  if (match === null) return undefined;
  const body = match[2] ?? "";
  const sign = match[1] === "-" ? -1 : 1;
  if (body === "0") return 0;
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(body)) return undefined;
  let total = 0;
  for (const [, number, unit] of body.matchAll(/([\d.]+)([a-zµμ]+)/g)) {
    total += Number(number) * (unitMs[unit ?? ""] ?? 0);
  }
  // Go counts nanoseconds in 64 bits.
  return total > 9_223_372_036_854 ? undefined : sign * total;
}

function percentByte(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}

/** Percent-encodes all but letters, digits and `-_.~`. */
function escapeStrictly(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(/[!'()*]/g, (c) =>
    percentByte(c.charCodeAt(0)),
  );
}

/** A form value: blanks become `+`. Bytes that are no text are kept as they are. */
export function encodeFormValue(value: string | Uint8Array): string {
  if (typeof value === "string") return escapeStrictly(value).replaceAll("%20", "+");
  let out = "";
  for (const byte of value) {
    const char = String.fromCharCode(byte);
    out += /[A-Za-z0-9\-_.~]/.test(char) ? char : char === " " ? "+" : percentByte(byte);
  }
  return out;
}

/** `a=1&b=2`, names in alphabetical order. */
export function encodeForm(fields: Readonly<Record<string, string | Uint8Array>>): string {
  return Object.keys(fields)
    .sort()
    .map((name) => `${encodeFormValue(name)}=${encodeFormValue(fields[name] ?? "")}`)
    .join("&");
}

/** Percent-encodes a path, leaving the separators and `$&+,:;=@`. */
export function encodePath(path: string): string {
  return escapeStrictly(path).replace(/%(?:24|26|2B|2C|2F|3A|3B|3D|40)/g, decodeURIComponent);
}

/** Duplicate slashes, `.` and `..` removed; one leading slash; a trailing slash kept. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  if (parts.length === 0) return "/";
  return `/${parts.join("/")}${path.endsWith("/") ? "/" : ""}`;
}
