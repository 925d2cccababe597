/**
 * The one error of everything that turns records into bytes and back. Its own file, so that the
 * wire primitives and the record codecs can share it without knowing each other.
 */

/** What is wrong with the bytes, or with the record. */
export type CodecErrorCode =
  /** The bytes end in the middle of a field. */
  | "truncated"
  /** The bytes are not protobuf, or a field has the wrong wire type. */
  | "malformed"
  /** A field is well formed and its value makes no sense: unsafe integer, bad id, unknown type. */
  | "outOfRange";

/** Bytes that are no valid record, or a record that must not be written. */
export class CodecError extends Error {
  override readonly name = "CodecError";
  readonly code: CodecErrorCode;
  constructor(code: CodecErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
