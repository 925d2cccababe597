/** What one endpoint says about itself, asked directly and never through another one. */
import type { ClusterClient } from "./client.ts";
import { type Action, underBase } from "./client.ts";
import type { Endpoint } from "../net/endpoints.ts";
import { ClientError, messageOf } from "../errors/errors.ts";
import type { Answer } from "../net/transport.ts";
import { decodeObject, textOf } from "./wire.ts";

export interface EndpointStatus {
  readonly endpoint: string;
  /** "" when the endpoint did not say. */
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly isLeader: boolean;
  /** undefined when the endpoint did not say, for example because reading needs a user. */
  readonly raftIndex: number | undefined;
  readonly raftTerm: number | undefined;
  readonly etcdIndex: number | undefined;
  readonly latencyMs: number;
  /** Why the endpoint could not be asked; undefined when it could. */
  readonly error: string | undefined;
}

export interface EndpointHealth {
  readonly endpoint: string;
  readonly isHealthy: boolean;
  readonly latencyMs: number;
  readonly error: string | undefined;
}

type Ask = (method: string, path: string) => Promise<Answer>;

function asker(client: ClusterClient, endpoint: Endpoint, deadline: number): Ask {
  return (method, path) => {
    const action: Action = { method, path: underBase(path) };
    return client.sendTo(endpoint, action, deadline);
  };
}

function numberHeader({ headers }: Answer, name: string): number | undefined {
  const value = headers[name];
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : undefined;
}

/** Asks one endpoint for its status; a failure is part of the report. */
export async function endpointStatus(
  client: ClusterClient,
  endpoint: Endpoint,
  deadline: number,
): Promise<EndpointStatus> {
  const ask = asker(client, endpoint, deadline);
  const started = performance.now();
  const unknown = {
    endpoint: endpoint.text,
    id: "",
    name: "",
    version: "",
    isLeader: false,
    raftIndex: undefined,
    raftTerm: undefined,
    etcdIndex: undefined,
  };
  try {
    // The header of the root tells the indexes without the listing that a GET would send.
    const root = await ask("HEAD", "/v2/keys/");
    const latencyMs = performance.now() - started;
    const [self, version] = await Promise.all([
      ask("GET", "/v2/stats/self"),
      ask("GET", "/version"),
    ]);
    const stats = self.status === 200 ? decodeObject(self.body) : {};
    return {
      ...unknown,
      id: textOf(stats, "id"),
      name: textOf(stats, "name"),
      version: version.status === 200 ? textOf(decodeObject(version.body), "etcdserver") : "",
      isLeader: textOf(stats, "state") === "StateLeader",
      raftIndex: numberHeader(root, "x-raft-index"),
      raftTerm: numberHeader(root, "x-raft-term"),
      etcdIndex: numberHeader(root, "x-etcd-index"),
      latencyMs,
      error: undefined,
    };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return { ...unknown, latencyMs: performance.now() - started, error: messageOf(error) };
  }
}

/** Asks one endpoint whether it is well; a failure is part of the report. */
export async function endpointHealth(
  client: ClusterClient,
  endpoint: Endpoint,
  deadline: number,
): Promise<EndpointHealth> {
  const ask = asker(client, endpoint, deadline);
  const started = performance.now();
  try {
    const { health } = decodeObject((await ask("GET", "/health")).body);
    const isHealthy = health === "true" || health === true;
    const error = isHealthy ? undefined : "the member says it is unhealthy";
    const latencyMs = performance.now() - started;
    return { endpoint: endpoint.text, isHealthy, latencyMs, error };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const latencyMs = performance.now() - started;
    return { endpoint: endpoint.text, isHealthy: false, latencyMs, error: messageOf(error) };
  }
}
