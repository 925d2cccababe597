/** JSON text from byte strings, and times as Go prints them. */
import { toByteString, fromByteString } from "@etcd2/store";

/** A JSON string of the text; bytes that are no UTF-8 become U+FFFD. */
export function jsonText(bytes: string): string {
  return JSON.stringify(fromByteString(bytes));
}

/** Whether a byte string is UTF-8, so that jsonText() loses nothing. */
export function isUtf8(bytes: string): boolean {
  return toByteString(fromByteString(bytes)) === bytes;
}

/** RFC 3339 in UTC, with as many decimals as are needed. */
export function goTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.?0*Z$/, "Z");
}
