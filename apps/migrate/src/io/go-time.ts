/** Times as Go writes them into JSON: RFC 3339 with up to nine decimals and any zone offset. */
import { FormatError } from "./format-error.ts";

const PATTERN =
  /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;

/** Go's zero time, which means "no expiration": 1 January of the year 1. */
const ZERO_TIME_MS = -62_135_596_800_000;

/** Nanoseconds since 1970; undefined for Go's zero time. */
export function parseGoTime(text: string): bigint | undefined {
  if (text === "0001-01-01T00:00:00Z") return undefined;
  const m = PATTERN.exec(text);
  if (m === null) throw new FormatError(`unreadable time "${text.slice(0, 40)}"`);
  const [, year, month, day, hour, minute, second, fraction = "", sign, zoneHour, zoneMinute] = m;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  date.setUTCHours(Number(hour), Number(minute), Number(second));
  const offset = sign === undefined ? 0 : Number(zoneHour) * 60 + Number(zoneMinute);
  const ms = date.getTime() - (sign === "-" ? -offset : offset) * 60_000;
  if (ms === ZERO_TIME_MS && Number(fraction) === 0) return undefined;
  return BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}

/** Whole milliseconds of a time in nanoseconds, rounded down. */
export function nanosToMs(nanos: bigint): number {
  const ms = Number(nanos / 1_000_000n);
  return nanos < 0n && nanos % 1_000_000n !== 0n ? ms - 1 : ms;
}
