/** Logging into memory, for tests that claim what is said. */
import { Logging } from "../src/logging/logger.ts";
import { logLevels } from "../src/base/log-level.ts";

export interface CapturedLog {
  readonly logging: Logging;
  /** `<level letter> <package>: <message>`. */
  readonly lines: string[];
}

export function captureLog(): CapturedLog {
  const lines: string[] = [];
  const sink = { write: () => undefined, flush: () => undefined, close: () => undefined };
  const logging = new Logging(sink, "info", (pkg, rank, message) => {
    lines.push(`${(logLevels[rank] ?? "?").charAt(0).toUpperCase()} ${pkg}: ${message}`);
  });
  return { logging, lines };
}
