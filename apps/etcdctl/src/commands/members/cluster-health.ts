/** `cluster-health`: asks every member whether it is well. */
import { setTimeout as delay } from "node:timers/promises";
import type { Command, CommandContext } from "../../cli/command.ts";
import { parseEndpoint } from "../../net/endpoints.ts";
import { ClientError, DeadlineError, keyFailure, messageOf } from "../../errors/errors.ts";
import { exitCodes, Failure } from "../../errors/exit-codes.ts";
import { listMembers } from "../../api/members-api.ts";
import { type Session, tlsSettings, withSession } from "../../api/session.ts";
import { decodeObject, type Member } from "../../api/wire.ts";

const intervalMs = 10_000;
/** Used when there is no time limit of the user's, so that a mute member does not hold up the rest. */
const healthTimeoutMs = 5000;

/** Asks one address. @throws ClientError with the reason when there is no usable answer. */
async function isHealthy(session: Session, context: CommandContext, url: string): Promise<boolean> {
  const totalMs = context.globals.durationMs("total-timeout");
  const endpoint = parseEndpoint(url);
  const target = {
    scheme: endpoint.scheme,
    host: endpoint.host,
    port: endpoint.port,
    path: `${endpoint.basePath}/health`,
    endpointText: url,
  };
  const request = {
    method: "GET",
    headers: {},
    body: undefined,
    headerTimeoutMs: undefined,
    deadline: performance.now() + (totalMs > 0 ? totalMs : healthTimeoutMs),
  };
  let body: Buffer;
  try {
    ({ body } = await session.transport.exchange(target, request));
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const reason = error instanceof DeadlineError ? "timeout awaiting the answer" : error.message;
    throw new ClientError(`Get ${url}/health: ${reason}`, { cause: error });
  }
  const { health } = decodeObject(body);
  return health === "true" || health === true;
}

/** Reports one member; the first address that answers decides. Resolves to whether it is healthy. */
async function reportMember(
  session: Session,
  context: CommandContext,
  { id, clientURLs }: Member,
): Promise<boolean> {
  const { terminal } = context;
  if (clientURLs.length === 0) {
    terminal.out(`member ${id} is unreachable: no available published client urls\n`);
    return false;
  }
  for (const url of clientURLs) {
    try {
      const healthy = await isHealthy(session, context, url);
      const word = healthy ? "healthy" : "unhealthy";
      terminal.out(`member ${id} is ${word}: got ${word} result from ${url}\n`);
      return healthy;
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      terminal.out(`failed to check the health of member ${id} on ${url}: ${messageOf(error)}\n`);
    }
  }
  terminal.out(`member ${id} is unreachable: [${clientURLs.join(" ")}] are all unreachable\n`);
  return false;
}

/** No time limit for the whole command holds here; one of 0 must not forbid the question. */
async function knownMembers(session: Session, context: CommandContext): Promise<readonly Member[]> {
  const isUnlimited = context.globals.durationMs("total-timeout") === 0;
  const patient = { ...session, deadline: () => performance.now() + healthTimeoutMs };
  try {
    return await listMembers(isUnlimited ? patient : session);
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    context.terminal.out("cluster may be unhealthy: failed to list members\n");
    throw keyFailure(exitCodes.serverError, error);
  }
}

/** This command reports unusable certificates like a failure of the cluster. @throws Failure. */
async function checkTls(context: CommandContext): Promise<void> {
  try {
    await tlsSettings(context);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(exitCodes.serverError, `Error:  ${error.text}`, { cause: error });
  }
}

export const clusterHealth: Command = {
  name: "cluster-health",
  usage: "check the health of the etcd cluster",
  argsUsage: " ",
  flags: [
    {
      kind: "switch",
      name: "forever",
      usage: "forever check the health every 10 second until CTRL+C",
    },
  ],
  run: async (context) => {
    const { flags, terminal } = context;
    const isForever = flags.isSet("forever");
    if (isForever) terminal.endOnInterrupt();
    await checkTls(context);
    return withSession(context, { sync: false }, async (session) => {
      const members = await knownMembers(session, context);
      for (;;) {
        let isAnyHealthy = false;
        for (const member of members) {
          if (await reportMember(session, context, member)) isAnyHealthy = true;
        }
        terminal.out(`cluster is ${isAnyHealthy ? "healthy" : "unhealthy"}\n`);
        if (!isForever) {
          return isAnyHealthy ? exitCodes.success : exitCodes.clusterNotHealthy;
        }
        terminal.out("\nnext check after 10 second...\n\n");
        await delay(intervalMs);
      }
    });
  },
};
