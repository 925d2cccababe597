/** Exit statuses, and how an error becomes a line on standard error and a status. */
import { MigrateError, messageOf } from "../errors.ts";

export const EXIT = {
  ok: 0,
  /** Refused, failed, or the check found something. */
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** What a shell shows for a program that SIGPIPE ended. */
  brokenPipe: 141,
  /** Stopped by a signal. */
  interrupted: 130,
} as const;

/** Tells the user what went wrong; anything unforeseen is a line too, never a stack trace. */
export function reportFailure(error: unknown): number {
  if (error instanceof MigrateError) {
    console.error(`etcd-migrate: ${error.describe()}`);
    if (error.code === "usage") return EXIT.usage;
    return error.code === "interrupted" ? EXIT.interrupted : EXIT.failed;
  }
  const text = messageOf(error);
  console.error(`etcd-migrate: ${text}`);
  if (process.env["ETCD_MIGRATE_TRACE"] !== undefined && error instanceof Error) {
    console.error(error.stack);
  }
  return EXIT.failed;
}
