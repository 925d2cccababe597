/**
 * What can go wrong between a command and a cluster, with the wording of etcdctl 2.3.8, and
 * the two ways commands print it. It knows neither HTTP nor sockets: those are turned into these
 * classes at the edge (`transport.ts`).
 */
import { Failure } from "./exit-codes.ts";

/** A fault of the client itself whose message is shown as it stands. */
export class ClientError extends Error {
  override readonly name: string = "ClientError";
}

/** No connection, or a connection that broke before an answer: another endpoint may do. */
export class ConnectionError extends ClientError {
  override readonly name = "ConnectionError";
}

/** The time for the whole command is up. */
export class DeadlineError extends ClientError {
  override readonly name = "DeadlineError";
  constructor() {
    super("context deadline exceeded");
  }
}

/** One endpoint did not send its answer's header in time. */
export class HeaderTimeoutError extends ClientError {
  override readonly name = "HeaderTimeoutError";
  /** Whether there was a connection at all when the time was up. */
  readonly wasConnected: boolean;
  constructor(endpoint: string, wasConnected: boolean) {
    super(`client: endpoint ${endpoint} exceeded header timeout`);
    this.wasConnected = wasConnected;
  }
}

/** One endpoint answered with a 5xx status; the body is kept for commands that can explain it. */
export class ServerFaultError extends ClientError {
  override readonly name = "ServerFaultError";
  readonly status: number;
  readonly body: Buffer;
  constructor(message: string, status: number, body: Buffer) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/** The endpoint list is empty. */
export class NoEndpointsError extends ClientError {
  override readonly name = "NoEndpointsError";
  constructor() {
    super("client: no endpoints available");
  }
}

/** Every endpoint failed, each for its own reason, in the order they were tried. */
export class ClusterError extends ClientError {
  override readonly name = "ClusterError";
  readonly causes: readonly Error[];
  constructor(causes: readonly Error[]) {
    super("client: etcd cluster is unavailable or misconfigured", { cause: causes[0] });
    this.causes = causes;
  }
}

/** An error the server answered in the v2 form. */
export class EtcdApiError extends ClientError {
  override readonly name = "EtcdApiError";
  readonly code: number;
  constructor(code: number, message: string, cause: string, index: number) {
    super(`${code}: ${message} (${cause}) [${index}]`);
    this.code = code;
  }
}

/** True when nothing was reached at all, which gives discovery its own exit status. */
export function isConnectionError(error: unknown): boolean {
  if (error instanceof ClusterError) return error.causes.every(isConnectionError);
  return error instanceof ConnectionError;
}

/** An order went out and no answer came back: it may have been carried out all the same. */
export class OutcomeUnknownError extends ClientError {
  override readonly name = "OutcomeUnknownError";
  /** What happened to the request. */
  readonly fault: ClientError;
  constructor(fault: ClientError, look: string) {
    const text =
      `the outcome is unknown, the order may have been carried out or may still be: ` +
      `look with '${look}' before giving it again`;
    super(`${fault.message}\n${text}`, { cause: fault });
    this.fault = fault;
  }
}

/** Statuses with which something in between says that the server behind it gave no answer. */
const unansweredStatuses = [502, 504];

/** Whether a server may have carried out a request that ended so. */
export function mayHaveHappened(error: ClientError): boolean {
  if (error instanceof ClusterError) {
    return error.causes.some((cause) => cause instanceof ClientError && mayHaveHappened(cause));
  }
  if (error instanceof HeaderTimeoutError) return error.wasConnected;
  if (error instanceof ServerFaultError) {
    // Servers of etcd 2.3.8 do not tell a change they gave up from one they refused.
    const isSaid = error.body.includes("the outcome is unknown");
    return isSaid || unansweredStatuses.includes(error.status);
  }
  if (error instanceof DeadlineError) return true;
  // A connection that was there and broke before an answer.
  return /^(?:EOF$|read tcp |write tcp )/.test(error.message);
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `Error:  <text>` and the numbered causes: how key commands and discovery report. */
export function keyFailure(exitCode: number, error: unknown): Failure {
  if (error instanceof Failure) return error;
  let text = `Error:  ${messageOf(error)}\n`;
  if (error instanceof ClusterError) {
    text += error.causes.map((cause, i) => `error #${i}: ${cause.message}\n`).join("") + "\n";
  }
  return new Failure(exitCode, text, { cause: error });
}

/** The bare text: how `member`, `user`, `role` and `auth` report. */
export function plainFailure(exitCode: number, error: unknown, prefix = ""): Failure {
  if (error instanceof Failure) return error;
  return new Failure(exitCode, `${prefix}${messageOf(error)}\n`, { cause: error });
}
