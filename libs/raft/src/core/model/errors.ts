/** The errors of this package: what a caller can act on, and what stops the node. */

/** Why a request could not be met. */
export type RaftErrorCode =
  /** The index asked for lies before the compaction point. */
  | "compacted"
  /** The index asked for lies beyond the log. */
  | "unavailable"
  /** No leader, transfer under way, too much uncommitted, or not a member: nothing was appended. */
  | "proposalDropped"
  /** The node is closing. */
  | "stopped";

/** A request that could not be met; the caller may act on `code`, and nothing is broken. */
export class RaftError extends Error {
  override readonly name = "RaftError";
  readonly code: RaftErrorCode;
  constructor(code: RaftErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A fault after which this process must not go on: failed writes, corrupt files. */
export class FatalError extends Error {
  override readonly name = "FatalError";
}
