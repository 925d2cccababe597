/** What a server says of itself: statistics, version and health. */
import { refusalOf, sendAdmin } from "./admin.ts";
import type { Answer, CallOptions, Cluster } from "./cluster.ts";
import { ProtocolError, ServerFaultError } from "./errors.ts";
import { type JsonObject, numberOf, objectOf, parseObject, textOf } from "./json.ts";

export interface StatusOptions extends CallOptions {
  /** Asks this endpoint and no other. Default: the one in use. */
  readonly endpoint?: string;
}

/** One server's own statistics. */
export interface SelfStats {
  readonly name: string;
  readonly id: string;
  readonly state: "StateLeader" | "StateFollower" | "StateCandidate" | (string & {});
  readonly startTime: string;
  /** Hexadecimal; "" while unknown. */
  readonly leader: string;
  readonly leaderUptime: string;
  readonly recvAppendRequestCnt: number;
  readonly sendAppendRequestCnt: number;
}

/** What the leader knows of its followers. */
export interface LeaderStats {
  readonly leader: string;
  readonly followers: ReadonlyMap<string, FollowerStats>;
}

export interface FollowerStats {
  /** Milliseconds. */
  readonly latency: {
    readonly current: number;
    readonly average: number;
    readonly minimum: number;
    readonly maximum: number;
    readonly standardDeviation: number;
  };
  readonly success: number;
  readonly fail: number;
}

/** Counters of one server's store, by their names on the wire, such as `setsSuccess`. */
export type StoreStats = Readonly<Record<string, number>>;

export interface Version {
  /** Of the server, such as 2.3.8. */
  readonly etcdserver: string;
  /** Of the cluster, such as 2.3.0. */
  readonly etcdcluster: string;
}

export interface Health {
  readonly isHealthy: boolean;
  /** Why it is not, where the server says so; "" otherwise. */
  readonly reason: string;
}

function fetchFrom(cluster: Cluster, path: string, options: StatusOptions): Promise<Answer> {
  const { endpoint } = options;
  if (endpoint === undefined) return sendAdmin(cluster, "GET", path, undefined, options);
  return cluster.sendTo(endpoint, { method: "GET", path }, options).then((answer) => {
    if (answer.status >= 300) throw refusalOf(answer);
    return answer;
  });
}

export class StatsApi {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async self(options: StatusOptions = {}): Promise<SelfStats> {
    const record = await this.#read("self", options);
    const info = objectOf(record, "leaderInfo");
    return {
      name: textOf(record, "name"),
      id: textOf(record, "id"),
      state: textOf(record, "state"),
      startTime: textOf(record, "startTime"),
      leader: textOf(info, "leader"),
      leaderUptime: textOf(info, "uptime"),
      recvAppendRequestCnt: numberOf(record, "recvAppendRequestCnt"),
      sendAppendRequestCnt: numberOf(record, "sendAppendRequestCnt"),
    };
  }

  /** @throws RefusedError 403 when the server that is asked does not lead. */
  async leader(options: StatusOptions = {}): Promise<LeaderStats> {
    const record = await this.#read("leader", options);
    const all = objectOf(record, "followers");
    const followers = Object.keys(all).map(
      (id) => [id, decodeFollower(objectOf(all, id))] as const,
    );
    return { leader: textOf(record, "leader"), followers: new Map(followers) };
  }

  async store(options: StatusOptions = {}): Promise<StoreStats> {
    const record = await this.#read("store", options);
    const numbers = Object.entries(record).filter(([, value]) => typeof value === "number");
    return Object.fromEntries(numbers) as StoreStats;
  }

  async #read(name: string, options: StatusOptions): Promise<JsonObject> {
    return parseObject((await fetchFrom(this.#cluster, `/v2/stats/${name}`, options)).body);
  }
}

function decodeFollower(record: JsonObject): FollowerStats {
  const [latency, counts] = [objectOf(record, "latency"), objectOf(record, "counts")];
  return {
    latency: {
      current: numberOf(latency, "current"),
      average: numberOf(latency, "average"),
      minimum: numberOf(latency, "minimum"),
      maximum: numberOf(latency, "maximum"),
      standardDeviation: numberOf(latency, "standardDeviation"),
    },
    success: numberOf(counts, "success"),
    fail: numberOf(counts, "fail"),
  };
}

/** The version of a server and of its cluster. */
export async function readVersion(cluster: Cluster, options: StatusOptions): Promise<Version> {
  const { body } = await fetchFrom(cluster, "/version", options);
  // Servers of 2.0 answer with a text.
  if (!body.startsWith("{"))
    return { etcdserver: body.replace(/^etcd\s+/, "").trim(), etcdcluster: "" };
  const record = parseObject(body);
  return { etcdserver: textOf(record, "etcdserver"), etcdcluster: textOf(record, "etcdcluster") };
}

/** Whether one server can serve: the one named, or the first of the endpoints. */
export async function readHealth(cluster: Cluster, options: StatusOptions): Promise<Health> {
  const endpoint = options.endpoint ?? cluster.endpoints[0] ?? "";
  try {
    const { status, body } = await cluster.sendTo(
      endpoint,
      { method: "GET", path: "/health" },
      options,
    );
    if (status !== 200) return { isHealthy: false, reason: refusalOf({ status, body }).message };
    const record = parseObject(body);
    const health = record["health"];
    return { isHealthy: health === "true" || health === true, reason: textOf(record, "reason") };
  } catch (error) {
    if (error instanceof ServerFaultError) return { isHealthy: false, reason: "" };
    if (error instanceof ProtocolError) return { isHealthy: false, reason: error.message };
    throw error;
  }
}
