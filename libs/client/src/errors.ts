/**
 * Everything a call can fail with. All are EtcdClientErrors, but for the caller's own abort, which
 * rejects with the reason of the signal.
 */

/** The base of all errors of this client. */
export class EtcdClientError extends Error {
  override readonly name: string = "EtcdClientError";
}

/** The codes of the keys API that programs act on. */
export const errorCodes = {
  keyNotFound: 100,
  compareFailed: 101,
  notAFile: 102,
  notADirectory: 104,
  keyExists: 105,
  rootIsReadOnly: 107,
  directoryNotEmpty: 108,
  unauthorized: 110,
  raftInternal: 300,
  watcherCleared: 400,
  eventIndexCleared: 401,
} as const;

/** The server refused, in the form of the keys API. */
export class EtcdError extends EtcdClientError {
  override readonly name = "EtcdError";
  /** Such as 100 for a key that is not there; see errorCodes. */
  readonly code: number;
  /** What it is about: a key, or the comparison that failed. */
  override readonly cause: string;
  /** The store index as of the refusal; 0 when the request itself was wrong. */
  readonly index: number;
  /** The HTTP status. */
  readonly status: number;

  constructor(fields: {
    readonly code: number;
    readonly message: string;
    readonly cause: string;
    readonly index: number;
    readonly status: number;
  }) {
    super(fields.message);
    this.code = fields.code;
    this.cause = fields.cause;
    this.index = fields.index;
    this.status = fields.status;
  }

  /** As etcdctl prints it. */
  override toString(): string {
    return `${this.code}: ${this.message} (${this.cause}) [${this.index}]`;
  }
}

/** The server refused in the other form: of members, authentication, statistics, or a proxy. */
export class RefusedError extends EtcdClientError {
  override readonly name = "RefusedError";
  readonly status: number;

  /** The message is the server's own, or tells the status. */
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** No answer from one endpoint: no connection, or one that broke. */
export class ConnectionError extends EtcdClientError {
  override readonly name = "ConnectionError";
  /** The endpoint's text. */
  readonly endpoint: string;
  /** Whether the server may have had the request, and have carried it out. */
  readonly maySent: boolean;

  constructor(endpoint: string, maySent: boolean, message: string, options?: ErrorOptions) {
    super(message, options);
    this.endpoint = endpoint;
    this.maySent = maySent;
  }
}

/** One endpoint did not answer in time. A write may have been carried out all the same. */
export class TimeoutError extends EtcdClientError {
  override readonly name = "TimeoutError";
  readonly endpoint: string;
  /** What did not come in time: the header of the answer, or all of it. */
  readonly awaited: "header" | "answer";

  constructor(endpoint: string, awaited: "header" | "answer", timeoutMs: number) {
    const limit = awaited === "header" ? "header timeout" : `the time limit of ${timeoutMs} ms`;
    super(`client: endpoint ${endpoint} exceeded ${limit}`);
    this.endpoint = endpoint;
    this.awaited = awaited;
  }
}

/** One endpoint answered with a 5xx status. */
export class ServerFaultError extends EtcdClientError {
  override readonly name = "ServerFaultError";
  readonly endpoint: string;
  readonly status: number;
  /** The v2 error in the body; undefined when there was none. */
  readonly error: EtcdError | undefined;

  constructor(endpoint: string, status: number, statusText: string, error: EtcdError | undefined) {
    const hasNoLeader = status === 500 || status === 503;
    const complaint = hasNoLeader ? "has no leader" : `returns server error [${statusText}]`;
    super(`client: etcd member ${endpoint} ${complaint}`, { cause: error });
    this.endpoint = endpoint;
    this.status = status;
    this.error = error;
  }
}

/** Every endpoint that was asked failed, each for its own reason, in the order they were asked. */
export class ClusterError extends EtcdClientError {
  override readonly name = "ClusterError";
  readonly causes: readonly EtcdClientError[];
  /** Whether a write may have been carried out although no server said so. */
  readonly isOutcomeUnknown: boolean;

  constructor(causes: readonly EtcdClientError[], isOutcomeUnknown: boolean) {
    super("client: etcd cluster is unavailable or misconfigured", { cause: causes[0] });
    this.causes = causes;
    this.isOutcomeUnknown = isOutcomeUnknown;
  }
}

/** There is no endpoint, or no member has published one. */
export class NoEndpointsError extends EtcdClientError {
  override readonly name = "NoEndpointsError";
  constructor() {
    super("client: no endpoints available");
  }
}

/** The text of an endpoint cannot be read. */
export class EndpointError extends EtcdClientError {
  override readonly name = "EndpointError";
}

/** An endpoint belongs to another cluster: its indexes and keys mean something else. */
export class ClusterIdError extends EtcdClientError {
  override readonly name = "ClusterIdError";
  readonly endpoint: string;
  readonly expected: string;
  readonly actual: string;

  constructor(endpoint: string, expected: string, actual: string) {
    super(`client: endpoint ${endpoint} belongs to cluster ${actual}, not ${expected}`);
    this.endpoint = endpoint;
    this.expected = expected;
    this.actual = actual;
  }
}

/** The answer is not what a v2 server sends. */
export class ProtocolError extends EtcdClientError {
  override readonly name = "ProtocolError";
}

/** The answer has no body: a long poll that a server gave up. */
export class EmptyAnswerError extends ProtocolError {
  constructor() {
    super("the answer has no body");
  }
}

/** Whether an error is a refusal of the keys API, with this code if one is given. */
export function isEtcdError(error: unknown, code?: number): error is EtcdError {
  return error instanceof EtcdError && (code === undefined || error.code === code);
}
