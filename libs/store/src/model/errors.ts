/**
 * The errors of this package: the table of the v2 API (code, message, cause, index; HTTP statuses
 * live in api-v2), and the faults of the store itself.
 */

/** The message of each code. */
const ERROR_MESSAGES = {
  100: "Key not found",
  101: "Compare failed",
  102: "Not a file",
  103: "Reached the max number of peers in the cluster",
  104: "Not a directory",
  105: "Key already exists",
  106: "The prefix of given key is a keyword in etcd",
  107: "Root is read only",
  108: "Directory not empty",
  109: "Peer address has existed",
  110: "The request requires user authentication",
  200: "Value is Required in POST form",
  201: "PrevValue is Required in POST form",
  202: "The given TTL in POST form is not a number",
  203: "The given index in POST form is not a number",
  204: "Value or TTL is required in POST form",
  205: "The given timeout in POST form is not a number",
  206: "Name is required in POST form",
  207: "Index or value is required",
  208: "Index and value cannot both be specified",
  209: "Invalid field",
  210: "Invalid POST form",
  211: "Value provided on refresh",
  212: "A TTL must be provided on refresh",
  300: "Raft Internal Error",
  301: "During Leader Election",
  // Not known to etcd 2.3.8, which goes down when its disk is full.
  310: "Insufficient storage",
  400: "watcher is cleared due to etcd recovery",
  401: "The event in requested index is outdated and cleared",
  402: "Standby Internal Error",
  403: "Invalid active size",
  404: "Standby remove delay",
  500: "Client Internal Error",
} as const;

/** A code of the table. */
export type ErrorCode = keyof typeof ERROR_MESSAGES;

/**
 * A refusal a client is told about. `cause` is a byte string and may hold a store path; the API
 * strips the namespace from causes that begin with "/1".
 */
export class EtcdError extends Error {
  override readonly name = "EtcdError";
  readonly code: ErrorCode;
  override readonly cause: string;
  /** Store index at the time; 0 for malformed requests. */
  readonly index: number;
  constructor(code: ErrorCode, cause: string, index: number) {
    // A refusal is an answer, not a fault: collecting a stack would cost more than the operation.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(ERROR_MESSAGES[code]);
    Error.stackTraceLimit = stackTraceLimit;
    this.code = code;
    this.cause = cause;
    this.index = index;
  }
}

/** What is wrong with the store. */
export type StoreErrorCode =
  /** Rows, bytes or a snapshot are not as they were written. */
  | "corrupt"
  /** Written by a version of this program that this one does not know. */
  | "version"
  /** Another process has the database open. */
  | "locked"
  /** The disk or the engine below failed. */
  | "storage"
  /** The store was closed: a read that began before may meet this. */
  | "closed"
  /** The target of an import is not empty. */
  | "notEmpty"
  /** The bytes of a command are not a command. */
  | "malformed";

/** A fault of the store, never the answer to a client's request. Storage faults must end the process. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A fault that no further request can be trusted with: the store must be closed. */
export function isStoreFailure(error: unknown): error is StoreError {
  return error instanceof StoreError && (error.code === "storage" || error.code === "corrupt");
}
