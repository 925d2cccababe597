/**
 * Owns the log levels: their names in every spelling etcd 2.3.8 takes, their letters and their
 * order. It writes nothing.
 */

import type { LogLevel } from "@etcd2/observability";

/** From the gravest to the most talkative. */
export const logLevels: readonly LogLevel[] = [
  "critical",
  "error",
  "warning",
  "notice",
  "info",
  "debug",
  "trace",
];

/** Position in logLevels: a line is written when its rank is at most the package's. */
export const levelRank: Readonly<Record<LogLevel, number>> = {
  critical: 0,
  error: 1,
  warning: 2,
  notice: 3,
  info: 4,
  debug: 5,
  trace: 6,
};

/** The letter that stands for the level in text lines, by rank. */
export const levelLetters = ["C", "E", "W", "N", "I", "D", "T"] as const;

const names: Readonly<Record<string, LogLevel>> = {
  CRITICAL: "critical",
  C: "critical",
  ERROR: "error",
  E: "error",
  "0": "error",
  WARNING: "warning",
  W: "warning",
  "1": "warning",
  NOTICE: "notice",
  N: "notice",
  "2": "notice",
  INFO: "info",
  I: "info",
  "3": "info",
  DEBUG: "debug",
  D: "debug",
  "4": "debug",
  TRACE: "trace",
  T: "trace",
  "5": "trace",
};

/** The level of that name in upper case, letter or digit; undefined when there is none. */
export function parseLogLevel(text: string): LogLevel | undefined {
  return Object.hasOwn(names, text) ? names[text] : undefined;
}

/** Levels by package; "*" stands for all. */
export type PackageLevels = ReadonlyMap<string, LogLevel>;

/** Reads `etcdmain=CRITICAL,etcdserver=DEBUG`. */
export function parsePackageLevels(
  text: string,
):
  | { readonly ok: true; readonly levels: PackageLevels }
  | { readonly ok: false; readonly error: string } {
  const levels = new Map<string, LogLevel>();
  for (const setting of text.split(",")) {
    const [pkg, name, ...more] = setting.split("=");
    if (pkg === undefined || name === undefined || more.length > 0) {
      return { ok: false, error: `oddly structured \`pkg=level\` option: ${setting}` };
    }
    const level = parseLogLevel(name);
    if (level === undefined) return { ok: false, error: `couldn't parse log level ${name}` };
    levels.set(pkg, level);
  }
  return { ok: true, levels };
}
