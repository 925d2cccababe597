/**
 * What can be wrong with a source or a target, as one error class: the file, the offset and a
 * sentence for the operator. Knows nothing of formats. Commands turn these into exit statuses;
 * anything else that escapes is a defect of this program.
 */
import { plainMessage } from "@etcd2/v3";

export type MigrateErrorCode =
  /** Bytes that contradict a checksum or the format. */
  | "corrupt"
  /** Something the log needs is not there: a segment, entries, a snapshot. */
  | "missing"
  /** A command or record type this program does not know. */
  | "unknown"
  /** The directory is of no kind that can be read, or holds no keys. */
  | "unsupported"
  /** A running server holds the directory. */
  | "locked"
  /** The target exists already, or cannot be written. */
  | "target"
  /** The command line makes no sense. */
  | "usage"
  /** A server did not answer, or answered something else than the v2 API. */
  | "remote"
  /** Stopped by the user. */
  | "interrupted";

/** The codes that tell of damage in a source. */
export type DamageCode = Extract<MigrateErrorCode, "corrupt" | "missing" | "unknown">;

export interface MigrateErrorDetails {
  readonly file?: string;
  readonly offset?: number;
  /** What the operator can do about it. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/** A refusal with everything an operator needs to act on it. */
export class MigrateError extends Error {
  override readonly name = "MigrateError";
  readonly code: MigrateErrorCode;
  readonly file: string | undefined;
  readonly offset: number | undefined;
  readonly remedy: string | undefined;
  constructor(code: MigrateErrorCode, text: string, details: MigrateErrorDetails = {}) {
    super(text, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.file = details.file;
    this.offset = details.offset;
    this.remedy = details.remedy;
  }

  /** The whole message on one line: place, problem, way out. */
  describe(): string {
    const place =
      this.file === undefined
        ? ""
        : this.offset === undefined
          ? `${this.file}: `
          : `${this.file}: offset ${this.offset}: `;
    const text = `${place}${this.message}${this.remedy === undefined ? "" : ` (${this.remedy})`}`;
    return oneLine(text);
  }
}

/** Text of a damaged file may hold anything; a terminal must not see it. */
export function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

/** True for damage of the source that --skip-corrupt may step over. */
export function isDamage(error: unknown): error is MigrateError & { readonly code: DamageCode } {
  return (
    error instanceof MigrateError &&
    (error.code === "corrupt" || error.code === "missing" || error.code === "unknown")
  );
}

/** What a caught value has to say. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? plainMessage(error) : String(error);
}
