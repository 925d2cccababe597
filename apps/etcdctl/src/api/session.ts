/**
 * From global options to a client that is ready to use: certificates, credentials, endpoints,
 * discovery and what its failures mean. Every command that talks to a cluster begins here.
 */
import { ClusterClient } from "./client.ts";
import type { CommandContext } from "../cli/command.ts";
import { chosenEndpoints, optionOrVariable } from "../net/endpoints.ts";
import {
  ClientError,
  DeadlineError,
  HeaderTimeoutError,
  isConnectionError,
  keyFailure,
  NoEndpointsError,
} from "../errors/errors.ts";
import { exitCodes, Failure } from "../errors/exit-codes.ts";
import { readTlsSettings, type TlsSettings } from "../net/tls-files.ts";
import { Transport } from "../net/transport.ts";

const connectTimeoutMsMax = 30_000;

/** A client and the limits of this invocation. */
export interface Session {
  readonly client: ClusterClient;
  readonly transport: Transport;
  /**
   * The moment by which the command must be done, on the clock of `performance.now()`. The time
   * begins to run when it is first asked for.
   */
  deadline(): number;
  /** Lets the time begin anew: after waiting for a person, or between the steps of long work. */
  renewDeadline(): void;
}

export interface SessionOptions {
  /**
   * Whether to ask for the members' addresses first; `--no-sync` still prevents it. "ifPossible" goes
   * on with the given endpoints when nobody answers.
   */
  readonly sync: boolean | "ifPossible";
}

/** The certificates of this invocation. @throws Failure when a file cannot be used. */
export function tlsSettings({ globals, env }: CommandContext): Promise<TlsSettings> {
  return readTlsSettings({
    ca: optionOrVariable(globals, env, "ca-file", "ETCDCTL_CA_FILE"),
    cert: optionOrVariable(globals, env, "cert-file", "ETCDCTL_CERT_FILE"),
    key: optionOrVariable(globals, env, "key-file", "ETCDCTL_KEY_FILE"),
  });
}

/** `name:password` of `--username`, the password asked for when it is not there. */
async function credentials({ globals, terminal }: CommandContext): Promise<string | undefined> {
  const given = globals.string("username");
  // etcdctl 2.3.8 sends nothing for a user without a name, whatever the password.
  if (given === "" || given.startsWith(":")) return undefined;
  return given.includes(":") ? given : `${given}:${await terminal.readSecret("Password: ")}`;
}

/** Opens a session, hands it to `use` and closes it whatever happens. */
export async function withSession<T>(
  context: CommandContext,
  options: SessionOptions,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const { globals, terminal } = context;
  const endpoints = await chosenEndpoints(globals, context.env);
  const totalTimeoutMs = globals.durationMs("total-timeout");
  const transport = new Transport({
    connectTimeoutMs:
      totalTimeoutMs > 0 ? Math.min(totalTimeoutMs, connectTimeoutMsMax) : connectTimeoutMsMax,
    tls: await tlsSettings(context),
  });
  try {
    const isDebugging = globals.isSet("debug");
    const trace = (text: string): void => {
      terminal.err(text);
    };
    const client = new ClusterClient({
      endpoints,
      transport,
      headerTimeoutMs: globals.durationMs("timeout"),
      credentials: await credentials(context),
      trace: isDebugging ? trace : undefined,
    });
    let deadline: number | undefined;
    const session: Session = {
      client,
      transport,
      deadline: () => (deadline ??= performance.now() + totalTimeoutMs),
      renewDeadline: () => {
        deadline = undefined;
      },
    };
    if (options.sync !== false && !globals.isSet("no-sync")) {
      if (options.sync === "ifPossible") await syncIfPossible(session);
      else await discover(context, session);
      session.renewDeadline();
    }
    if (isDebugging) traceEndpoints(context, session);
    return await use(session);
  } finally {
    transport.close();
  }
}

/** The trace line that names the endpoints in use. */
export function traceEndpoints({ terminal }: CommandContext, { client }: Session): void {
  terminal.err(`Cluster-Endpoints: ${client.endpointTexts.join(", ")}\n`);
}

async function syncIfPossible(session: Session): Promise<void> {
  try {
    await session.client.sync(session.deadline());
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
  }
}

/** Replaces the endpoints by those the members publish. @throws Failure. */
async function discover(context: CommandContext, session: Session): Promise<void> {
  const { client } = session;
  const { terminal } = context;
  const isDebugging = context.globals.isSet("debug");
  const given = client.endpointTexts.join(",");
  if (isDebugging) terminal.err(`start to sync cluster using endpoints(${given})\n`);
  const deadline = session.deadline();
  try {
    await client.sync(deadline);
  } catch (error) {
    if (error instanceof NoEndpointsError) {
      const failure = keyFailure(exitCodes.serverError, error);
      const advice =
        "etcd cluster has no published client endpoints.\n" +
        `Try '--no-sync' if you want to access non-published client endpoints(${given}).\n`;
      throw new Failure(failure.exitCode, advice + failure.text, { cause: error });
    }
    await discoverOldWay(session, error, deadline);
  }
  if (isDebugging) terminal.err(`got endpoints(${client.endpointTexts.join(",")}) after sync\n`);
}

/** Servers of 0.4 publish their list elsewhere; `cause` is why the usual way failed. */
async function discoverOldWay(session: Session, cause: unknown, deadline: number): Promise<void> {
  const { badConnection, serverError } = exitCodes;
  if (isConnectionError(cause) || cause instanceof DeadlineError) {
    throw keyFailure(badConnection, cause);
  }
  try {
    await session.client.syncOldWay(deadline);
  } catch (error) {
    if (isConnectionError(error) || error instanceof DeadlineError) {
      throw keyFailure(badConnection, error);
    }
    // A server that is mute in both ways: the first attempt names all of the endpoints.
    throw keyFailure(serverError, error instanceof HeaderTimeoutError ? cause : error);
  }
}
