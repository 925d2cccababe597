/**
 * The one error of the v3 client: the gRPC status of the answer, or what kept the client from having
 * an answer, and whether the request may have taken effect all the same.
 */

/** Status codes of gRPC in the order of their numbers. Source: the gRPC specification, statuscodes.md. */
const STATUS_CODES = [
  "ok",
  "cancelled",
  "unknown",
  "invalidArgument",
  "deadlineExceeded",
  "notFound",
  "alreadyExists",
  "permissionDenied",
  "resourceExhausted",
  "failedPrecondition",
  "aborted",
  "outOfRange",
  "unimplemented",
  "internal",
  "unavailable",
  "dataLoss",
  "unauthenticated",
] as const;

export type StatusCode = (typeof STATUS_CODES)[number];

/** Name of a numeric gRPC status; "unknown" for a number that gRPC does not define. */
export function statusCode(status: number): StatusCode {
  return STATUS_CODES[status] ?? "unknown";
}

/** Statuses after which a request that changes something may have been carried out. */
const OPEN_OUTCOMES: ReadonlySet<StatusCode> = new Set<StatusCode>([
  "cancelled",
  "unknown",
  "deadlineExceeded",
  "aborted",
  "internal",
  "unavailable",
  "dataLoss",
]);

/** Answers of etcd with an open status that say the request was not carried out. */
const CERTAINLY_NOT = [
  "etcdserver: no leader",
  "etcdserver: not capable",
  "etcdserver: not leader",
];

/**
 * An answer with a status that seems certain, of a request that may have been carried out: a server looks
 * at its quota once more after it has applied a write, and says only then that there is no space.
 */
const NO_SPACE = "database space exceeded";

export class V3Error extends Error {
  override readonly name = "V3Error";
  /** gRPC status; "unavailable" when no answer came. */
  readonly code: StatusCode;
  /** False only when the request was certainly not carried out. */
  readonly mayHaveHappened: boolean;

  constructor(
    code: StatusCode,
    message: string,
    options: { readonly mayHaveHappened?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.mayHaveHappened =
      options.mayHaveHappened ??
      (message.includes(NO_SPACE) ||
        (OPEN_OUTCOMES.has(code) && !CERTAINLY_NOT.some((text) => message.startsWith(text))));
  }

  /** The cluster has no space left for what is put; it still removes. */
  get isNoSpace(): boolean {
    return this.message.includes(NO_SPACE);
  }

  /** The token of an authenticated call is not, or no longer, known to the server. */
  get isInvalidToken(): boolean {
    return this.code === "unauthenticated" && this.message.includes("invalid auth token");
  }

  /** The revision asked for was compacted away. */
  get isCompacted(): boolean {
    return this.code === "outOfRange" && this.message.includes("compacted");
  }
}
