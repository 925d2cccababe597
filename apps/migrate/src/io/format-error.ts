/**
 * Damage noticed by a decoder that does not know where its bytes came from. Readers catch it and
 * raise a MigrateError with file and offset.
 */
import { MigrateError } from "../errors.ts";

export class FormatError extends Error {
  override readonly name = "FormatError";
}

/** Runs a decoder; its FormatError becomes a "corrupt" MigrateError that names the place. */
export function decodeAt<T>(file: string, offset: number, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw placed(error, file, offset);
  }
}

/** Gives a FormatError its place; anything else stays as it is. */
export function placed(error: unknown, file: string, offset: number): unknown {
  if (!(error instanceof FormatError)) return error;
  return new MigrateError("corrupt", error.message, { file, offset, cause: error });
}
