import type { LogLevel } from "@etcd2/observability";
import { messageOf } from "./message-of.ts";

/** One line of the last words of a start that failed. */
export interface StartErrorLine {
  readonly level: LogLevel;
  readonly message: string;
}

export interface StartErrorOptions extends ErrorOptions {
  /** What is logged in place of the message, where one line at one level does not say it all. */
  readonly lines?: readonly StartErrorLine[];
}

/** An operator's mistake or a fault met before serving: its lines on stderr and status 1. */
export class StartError extends Error {
  override readonly name: string = "StartError";
  readonly lines: readonly StartErrorLine[];

  constructor(message: string, options: StartErrorOptions = {}) {
    super(message, options);
    this.lines = options.lines ?? [{ level: "critical", message }];
  }
}

/** The error as one that stops the start; its text becomes the line that is shown. */
export function asStartError(error: unknown): StartError {
  if (error instanceof StartError) return error;
  return new StartError(messageOf(error), { cause: error });
}
