/**
 * A bridge as the gateway sees it: keys go to the v3 cluster, what a member would say of itself is
 * answered from there or not at all. Knows no HTTP and no flags.
 */
import type { Logger, Meter } from "@etcd2/observability";
import type {
  Committed,
  EtcdServer,
  HealthCheck,
  HealthReport,
  LeaderStats,
  Membership,
  PasswordHasher,
  RemoteStore,
  SelfStats,
} from "@etcd2/api-v2";
import { MembershipError, parseBasicAuth } from "@etcd2/api-v2";
import type { NodeExtern, StoreError, StoreReader, WatcherHub, WriteCommand } from "@etcd2/store";
import { EtcdError } from "@etcd2/store";
import { ANONYMOUS, type Bridge, type Credentials } from "@etcd2/v3";
import { compatClusterVersion } from "../base/version.ts";
import type { UpstreamCluster, UpstreamState } from "./upstream-cluster.ts";

export interface BridgeServerParts {
  readonly bridge: Bridge;
  readonly cluster: UpstreamCluster;
  readonly meter: Meter;
  readonly startedAt: Date;
  metricsPage(): Promise<{ contentType: string; body: string }>;
  debugVars(): ReadonlyMap<string, unknown>;
  setLogLevel(level: string): void;
  readonly log: Logger;
}

/** /health gives up after this long. */
const HEALTH_TIMEOUT_MS = 750;

const NOT_HERE = "this is a bridge to an etcd v3 cluster";

/** Endpoints that a bridge has not, and why. */
export function unavailable(
  { isAuthOn }: UpstreamState,
  method: string,
  path: string,
): string | undefined {
  // That authentication is off can be said in the words of v2.
  if (path === "/v2/auth/enable" && method === "GET" && !isAuthOn) return undefined;
  if (/^\/v2\/auth\/(?:enable|users|roles)(?:\/|$)/.test(path)) {
    return `${NOT_HERE}: users and roles are those of the v3 cluster; change them there (ETCDCTL_API=3 etcdctl user, role, auth)`;
  }
  const isAdded = method === "POST" && /^\/v2\/members(?:\/|$)/.test(path);
  const isChanged = method === "PUT" || method === "DELETE";
  if (isAdded || (isChanged && path.startsWith("/v2/members/"))) {
    return `${NOT_HERE}: change its members there (ETCDCTL_API=3 etcdctl member)`;
  }
  if (path === "/v2/stats/leader") {
    return `${NOT_HERE}: ask the metrics of its leader for what it knows of its followers`;
  }
  if (path.startsWith("/v2/admin/")) {
    return `${NOT_HERE}: take snapshots there (ETCDCTL_API=3 etcdctl snapshot save)`;
  }
  return undefined;
}

/** Credentials of a request, never the bridge's own. @throws EtcdError 110 for a malformed header */
function credentialsOf(authorization: string | undefined): Credentials {
  if (authorization === undefined || authorization === "") return ANONYMOUS;
  const parsed = parseBasicAuth(authorization);
  if (parsed === undefined || parsed.user === "")
    throw new EtcdError(110, "Insufficient credentials", 0);
  const utf8 = (text: string): string => Buffer.from(text, "latin1").toString("utf8");
  return { user: utf8(parsed.user), password: utf8(parsed.password) };
}

/** The bridge as a store of its own kind. */
function remoteStore(bridge: Bridge): RemoteStore {
  return {
    read: async (path, options, authorization) =>
      bridge.read(path, options, credentialsOf(authorization)),
    write: async (command, authorization): Promise<Committed> => {
      const event = await bridge.write(command, credentialsOf(authorization));
      return { event, raftIndex: event.etcdIndex, raftTerm: bridge.raftTerm };
    },
    startWatch: async (path, options, authorization) =>
      bridge.startWatch(path, options, credentialsOf(authorization)),
  };
}

/** What of the reader is there without the keys. */
class BridgeReader implements StoreReader {
  readonly #bridge: Bridge;

  constructor(bridge: Bridge) {
    this.#bridge = bridge;
  }

  get etcdIndex(): number {
    return this.#bridge.etcdIndex;
  }

  get raftIndex(): number {
    return this.#bridge.etcdIndex;
  }

  get raftTerm(): number {
    return this.#bridge.raftTerm;
  }

  get stats(): StoreReader["stats"] {
    return this.#bridge.stats;
  }

  get(): never {
    throw new Error("keys of a bridge are read from the v3 cluster");
  }

  peek(): undefined {
    return undefined;
  }

  peekChildren(): readonly NodeExtern[] {
    return [];
  }
}

const noPasswords: PasswordHasher = {
  hash: () => Promise.reject(new Error("a bridge keeps no passwords")),
  verify: () => Promise.resolve(false),
};

function refuseChange(): Promise<never> {
  return Promise.reject(new MembershipError("unsafe", NOT_HERE));
}

export class BridgeServer implements EtcdServer {
  readonly remote: RemoteStore;
  readonly reader: StoreReader;
  readonly passwords = noPasswords;
  readonly authGeneration = 0;
  readonly clusterVersion = compatClusterVersion;
  readonly membership: Membership;
  readonly #parts: BridgeServerParts;

  constructor(parts: BridgeServerParts) {
    this.#parts = parts;
    this.remote = remoteStore(parts.bridge);
    this.reader = new BridgeReader(parts.bridge);
    const { cluster } = parts;
    this.membership = {
      list: () => cluster.state.members,
      leader: () => cluster.state.members.find(({ id }) => id === cluster.state.leader),
      add: refuseChange,
      remove: refuseChange,
      updatePeerURLs: refuseChange,
      promote: refuseChange,
      moveLeader: refuseChange,
    };
  }

  get clusterId(): string {
    return this.#parts.bridge.clusterId;
  }

  get hub(): WatcherHub {
    return this.#parts.bridge.hub;
  }

  get meter(): Meter {
    return this.#parts.meter;
  }

  get raftIndex(): number {
    return this.#parts.bridge.etcdIndex;
  }

  get raftTerm(): number {
    return this.#parts.bridge.raftTerm;
  }

  propose(_command: WriteCommand, done: (result: Committed | EtcdError) => void): void {
    setImmediate(done, new EtcdError(300, `etcdserver: ${NOT_HERE}`, 0));
  }

  readIndex(done: (error: EtcdError | undefined) => void): void {
    setImmediate(done, undefined);
  }

  /** Of the member that the bridge talks to, as far as it can be known from outside. */
  selfStats(): SelfStats {
    const { cluster, startedAt } = this.#parts;
    const { members, connected, leader } = cluster.state;
    const startTime = startedAt.toISOString();
    const seconds = ((Date.now() - startedAt.getTime()) / 1000).toFixed(3);
    return {
      name: members.find(({ id }) => id === connected)?.name ?? "",
      id: connected,
      state: connected !== "" && connected === leader ? "StateLeader" : "StateFollower",
      startTime,
      leaderInfo: { leader, uptime: `${seconds}s`, startTime },
      recvAppendRequestCnt: 0,
      sendAppendRequestCnt: 0,
    };
  }

  leaderStats(): LeaderStats | undefined {
    return undefined;
  }

  /** Healthy means: the cluster confirms a read in time, writes have room, the watch stands. */
  async health(isLocal = false): Promise<HealthReport> {
    const checks = isLocal ? [] : await this.#judge();
    return { healthy: checks.every(({ reason }) => reason === ""), checks };
  }

  async #judge(): Promise<readonly HealthCheck[]> {
    const { cluster, bridge } = this.#parts;
    const problem = await within(HEALTH_TIMEOUT_MS, async () => {
      await Promise.all([cluster.refresh(), bridge.confirm()]);
    });
    const { leader, spaceAlarm } = cluster.state;
    return [
      { name: "space", reason: spaceAlarm },
      { name: "leader", reason: problem === "" && leader === "" ? "no leader" : "" },
      { name: "linearizable_read", reason: problem },
      {
        name: "watch",
        reason: bridge.isWatching ? "" : "the watch of the v3 cluster is interrupted",
      },
    ];
  }

  exportSnapshot(): AsyncIterable<Uint8Array> {
    throw new Error("a bridge has no state of its own");
  }

  metricsPage(): Promise<{ contentType: string; body: string }> {
    return this.#parts.metricsPage();
  }

  debugVars(): ReadonlyMap<string, unknown> {
    return this.#parts.debugVars();
  }

  setLogLevel(level: string): void {
    this.#parts.setLogLevel(level);
  }

  storageFailed(error: StoreError): void {
    throw error;
  }

  get log(): Logger {
    return this.#parts.log;
  }
}

/** Why something does not succeed in time; "" when it does. */
function within(timeoutMs: number, work: () => Promise<void>): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve("the v3 cluster did not confirm a read in time");
    }, timeoutMs);
    work().then(
      () => {
        clearTimeout(timer);
        resolve("");
      },
      (error: unknown) => {
        clearTimeout(timer);
        resolve(error instanceof Error ? error.message : String(error));
      },
    );
  });
}
