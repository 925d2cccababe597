/**
 * Owns the port through which everything is logged: the levels, the Logger that libraries and programs
 * are given, and the loggers that need no program. Where lines go and what they look like is the
 * program's.
 */

/** The levels of etcd 2.3.8, from those always shown to those of use to developers alone. */
export type LogLevel = "critical" | "error" | "warning" | "notice" | "info" | "debug" | "trace";

/** Facts beside the message; some formats do not show them, so a message must stand for itself. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Takes the lines of one part of a program. */
export interface Logger {
  /** The process is about to end because of this. */
  critical(message: string, fields?: LogFields): void;
  /** Something failed that somebody has to look at. */
  error(message: string, fields?: LogFields): void;
  /** Something is out of order, and may put itself right. */
  warning(message: string, fields?: LogFields): void;
  /** Rare and important, but in order. */
  notice(message: string, fields?: LogFields): void;
  /** What operators want to see of normal work. */
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  trace(message: string, fields?: LogFields): void;
  log(level: LogLevel, message: string, fields?: LogFields): void;
  /** For messages that are costly to make. */
  isOn(level: LogLevel): boolean;
}

/** A logger that hands each line to a function, whatever its level. */
export function createLogger(
  write: (level: LogLevel, message: string, fields: LogFields | undefined) => void,
  isOn: (level: LogLevel) => boolean = () => true,
): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, fields?: LogFields): void => {
      write(level, message, fields);
    };
  return {
    critical: at("critical"),
    error: at("error"),
    warning: at("warning"),
    notice: at("notice"),
    info: at("info"),
    debug: at("debug"),
    trace: at("trace"),
    log: write,
    isOn,
  };
}

/** Logs nothing. */
export const NO_LOGGER: Logger = createLogger(
  () => undefined,
  () => false,
);
