/**
 * Owns logging: loggers by package, their levels at start and at run time, and the two formats.
 * Text is etcd 2.3.8's, for people; JSON goes through pino, loaded only then. Where lines go is
 * the sink's business (log-sink.ts).
 */
import type { LogFields, Logger, LogLevel } from "@etcd2/observability";
import { formatLogLine } from "./log-format.ts";
import { levelRank, logLevels, parseLogLevel, parsePackageLevels } from "../base/log-level.ts";
import type { LogSink } from "./log-sink.ts";

export interface LoggingOptions {
  readonly sink: LogSink;
  readonly format: "text" | "json";
  /** Only for text, and only where a person reads: see wantsColor. */
  readonly useColor: boolean;
  readonly level: LogLevel;
  /** Microseconds since 1970; injected for tests. */
  readonly now?: () => number;
}

/** Formats and writes one line; the level has been checked. */
type Emit = (pkg: string, rank: number, message: string, fields: LogFields | undefined) => void;

class PackageLogger implements Logger {
  readonly #pkg: string;
  readonly #emit: Emit;
  /** Lines above this rank are not written. */
  rank: number;

  constructor(pkg: string, rank: number, emit: Emit) {
    this.#pkg = pkg;
    this.rank = rank;
    this.#emit = emit;
  }

  critical(message: string, fields?: LogFields): void {
    this.#emit(this.#pkg, 0, message, fields);
  }
  error(message: string, fields?: LogFields): void {
    if (this.rank >= 1) this.#emit(this.#pkg, 1, message, fields);
  }
  warning(message: string, fields?: LogFields): void {
    if (this.rank >= 2) this.#emit(this.#pkg, 2, message, fields);
  }
  notice(message: string, fields?: LogFields): void {
    if (this.rank >= 3) this.#emit(this.#pkg, 3, message, fields);
  }
  info(message: string, fields?: LogFields): void {
    if (this.rank >= 4) this.#emit(this.#pkg, 4, message, fields);
  }
  debug(message: string, fields?: LogFields): void {
    if (this.rank >= 5) this.#emit(this.#pkg, 5, message, fields);
  }
  trace(message: string, fields?: LogFields): void {
    if (this.rank >= 6) this.#emit(this.#pkg, 6, message, fields);
  }
  log(level: LogLevel, message: string, fields?: LogFields): void {
    const rank = levelRank[level];
    if (this.rank >= rank) this.#emit(this.#pkg, rank, message, fields);
  }
  isOn(level: LogLevel): boolean {
    return this.rank >= levelRank[level];
  }
}

/** All loggers of the process. */
export class Logging {
  readonly #sink: LogSink;
  readonly #emit: Emit;
  readonly #loggers = new Map<string, PackageLogger>();
  #rank: number;

  constructor(sink: LogSink, level: LogLevel, emit: Emit) {
    this.#sink = sink;
    this.#emit = emit;
    this.#rank = levelRank[level];
  }

  /** The logger of a package: etcdmain, etcdserver, raft, rafthttp, wal, discovery ... */
  logger(pkg: string): Logger {
    return this.#loggerOf(pkg);
  }

  #loggerOf(pkg: string): PackageLogger {
    let logger = this.#loggers.get(pkg);
    if (logger === undefined) {
      logger = new PackageLogger(pkg, this.#rank, this.#emit);
      this.#loggers.set(pkg, logger);
    }
    return logger;
  }

  /**
   * Sets every package to a level by its name, letter or digit in upper case, as
   * PUT /config/local/log does.
   * @returns false when there is no such level.
   */
  setLevel(name: string): boolean {
    const level = parseLogLevel(name);
    if (level === undefined) return false;
    this.#setAll(level);
    return true;
  }

  /**
   * Sets the levels of --log-package-levels.
   * @returns why the text is refused, or undefined.
   */
  setPackageLevels(text: string): string | undefined {
    const parsed = parsePackageLevels(text);
    if (!parsed.ok) return parsed.error;
    for (const [pkg, level] of parsed.levels) {
      if (pkg === "*") this.#setAll(level);
      else this.#loggerOf(pkg).rank = levelRank[level];
    }
    return undefined;
  }

  /** Writes what can be written without waiting: the last act of a crash. */
  flush(): void {
    this.#sink.flush();
  }

  close(): void {
    this.#sink.close();
  }

  #setAll(level: LogLevel): void {
    this.#rank = levelRank[level];
    for (const logger of this.#loggers.values()) logger.rank = this.#rank;
  }
}

let offsetMicros = performance.timeOrigin * 1000;

/** The wall clock to the microsecond, following steps of the system's clock. */
function wallMicros(): number {
  const fine = offsetMicros + performance.now() * 1000;
  const coarse = Date.now() * 1000;
  if (Math.abs(fine - coarse) < 2000) return fine;
  offsetMicros += coarse - fine;
  return coarse;
}

/** Whether text should be coloured: a terminal, and nobody objects. */
export function wantsColor(
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  return isTerminal && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
}

/** Starts logging as text. */
export function createTextLogging(options: LoggingOptions): Logging {
  const { sink, useColor, now = wallMicros } = options;
  return new Logging(sink, options.level, (pkg, rank, message) => {
    sink.write(formatLogLine({ micros: now(), rank, pkg, message }, useColor));
  });
}

const pinoLevels = {
  critical: 60,
  error: 50,
  warning: 40,
  notice: 35,
  info: 30,
  debug: 20,
  trace: 10,
};

/** Starts logging as JSON: one object a line with time, level, logger and msg, then the fields. */
async function createJsonLogging(options: LoggingOptions): Promise<Logging> {
  const { pino } = await import("pino");
  const { sink, now = wallMicros } = options;
  const root = pino(
    {
      level: "trace",
      customLevels: pinoLevels,
      useOnlyCustomLevels: true,
      base: null,
      timestamp: () => `,"time":"${new Date(now() / 1000).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    {
      write: (line: string) => {
        sink.write(line);
      },
    },
  );
  return new Logging(sink, options.level, (pkg, rank, message, fields) => {
    root[logLevels[rank] ?? "info"]({ logger: pkg, ...fields }, message);
  });
}

/** Starts logging in the format asked for. */
export function createLogging(options: LoggingOptions): Promise<Logging> {
  return options.format === "json"
    ? createJsonLogging(options)
    : Promise.resolve(createTextLogging(options));
}
