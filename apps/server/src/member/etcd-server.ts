/**
 * The gateway's port, as one member of a cluster answers it: writes and quorum reads by way of
 * consensus, everything else from what the member knows. Knows no HTTP, no flags and no files; what
 * runs beside it (expiry, compaction, publishing) has files of its own.
 */
import type { Logger, Meter } from "@etcd2/observability";
import { formatId } from "@etcd2/member-dir";
import type {
  Committed,
  EtcdServer as EtcdServerPort,
  HealthReport,
  LeaderStats,
  Membership,
  PasswordHasher,
  RequestTrace,
  SelfStats,
} from "@etcd2/api-v2";
import type { NodeId } from "@etcd2/raft";
import type { EtcdError, StoreReader, WatcherHub, WriteAction, WriteCommand } from "@etcd2/store";
import { StoreError } from "@etcd2/store";
import type { Applied } from "../consensus/applier.ts";
import type { Consensus } from "../consensus/consensus.ts";
import type { ReadDone } from "../consensus/pending-reads.ts";
import type { Settle } from "../consensus/proposals.ts";
import type { ServerStats } from "../metrics/server-stats.ts";

/** /health gives up after this long without a confirmed read. */
const HEALTH_TIMEOUT_MS = 750;

/** What the server reports about its process, gathered elsewhere. */
export interface ServerOps {
  metricsPage(): Promise<{ contentType: string; body: string }>;
  debugVars(): ReadonlyMap<string, unknown>;
  setLogLevel(level: string): void;
  /** Lines of the gateway, etcdhttp in etcd 2.3.8. */
  readonly log: Logger;
}

/** What the gateway's port is made of. */
export interface EtcdServerParts {
  readonly consensus: Consensus;
  readonly membership: Membership;
  readonly ops: ServerOps;
  readonly stats: ServerStats;
  readonly passwords: PasswordHasher;
  readonly meter: Meter;
  /** Why client writes are refused just now (disk reserve, quota); undefined when they are not. */
  readonly writeRefusal: (action: WriteAction) => EtcdError | undefined;
  /** Why the member is unhealthy although it has a leader; "" when it is not. */
  readonly alarm: () => string;
  /** The store cannot be relied on: the process must end. */
  readonly onStorageFailure: (error: Error) => void;
}

export class EtcdServer implements EtcdServerPort {
  readonly clusterId: string;
  readonly memberId: NodeId;
  readonly hub: WatcherHub;
  readonly passwords: PasswordHasher;
  readonly meter: Meter;
  readonly log: Logger;
  readonly membership: Membership;
  readonly #parts: EtcdServerParts;
  readonly #consensus: Consensus;
  #clusterVersion: string;
  #authGeneration = 0;

  constructor(parts: EtcdServerParts) {
    const { consensus } = parts;
    this.#parts = parts;
    this.#consensus = consensus;
    this.clusterId = formatId(consensus.storage.clusterId);
    this.memberId = consensus.storage.memberId;
    this.hub = consensus.hub;
    this.passwords = parts.passwords;
    this.meter = parts.meter;
    this.log = parts.ops.log;
    this.membership = parts.membership;
    this.#clusterVersion = consensus.cluster.version;
    const versionChanged = (): void => {
      this.#clusterVersion = consensus.cluster.version;
    };
    const authChanged = (): void => {
      this.#authGeneration += 1;
    };
    consensus.events.on("clusterVersion", versionChanged);
    consensus.events.on("authWritten", authChanged);
    consensus.events.on("installed", versionChanged);
    consensus.events.on("installed", authChanged);
  }

  /** Grows when something at or below /2 may have changed. */
  get authGeneration(): number {
    return this.#authGeneration;
  }

  get reader(): StoreReader {
    return this.#consensus.storage.machine.reader;
  }

  get raftIndex(): number {
    return this.#consensus.storage.machine.appliedIndex;
  }

  get raftTerm(): number {
    return this.#consensus.node.term;
  }

  get clusterVersion(): string {
    return this.#clusterVersion === "" ? "not_decided" : this.#clusterVersion;
  }

  /** Why this member serves nothing any more; "" while it does. */
  get condemned(): string {
    return this.#consensus.condemned;
  }

  propose(
    command: WriteCommand,
    done: (result: Committed | EtcdError) => void,
    trace?: RequestTrace,
    body?: Uint8Array,
  ): void {
    const refusal = this.#parts.writeRefusal(command.action);
    if (refusal !== undefined) {
      setImmediate(done, refusal);
      return;
    }
    // A write command always has an event, so Applied is Committed here.
    this.#consensus.requests.propose(command, done as Settle<Applied>, trace, body);
  }

  readIndex(done: ReadDone, trace?: RequestTrace): void {
    this.#consensus.requests.readIndex(done, trace);
  }

  selfStats(): SelfStats {
    return this.#parts.stats.self();
  }

  leaderStats(): LeaderStats | undefined {
    const { node, cluster } = this.#consensus;
    if (!node.isLeader) return undefined;
    const others = cluster.members.map(({ id }) => id).filter((id) => id !== this.memberId);
    return this.#parts.stats.leader(others);
  }

  exportSnapshot(): AsyncIterable<Uint8Array> {
    return this.#consensus.storage.machine.exportSnapshot();
  }

  metricsPage(): Promise<{ contentType: string; body: string }> {
    return this.#parts.ops.metricsPage();
  }

  debugVars(): ReadonlyMap<string, unknown> {
    return this.#parts.ops.debugVars();
  }

  setLogLevel(level: string): void {
    this.#parts.ops.setLogLevel(level);
  }

  /** Healthy means: a leader confirms a read in time, and no alarm is raised. */
  async health(isLocal = false): Promise<HealthReport> {
    const report = await this.#judgeHealth(isLocal);
    const { meter } = this;
    if (report.healthy) meter.counter("etcd_server_health_success").add(1);
    else meter.counter("etcd_server_health_failures").add(1);
    return report;
  }

  async #judgeHealth(isLocal: boolean): Promise<HealthReport> {
    if (this.condemned !== "") {
      return { healthy: false, checks: [{ name: "divergence", reason: this.condemned }] };
    }
    const space = { name: "space", reason: this.#parts.alarm() };
    if (isLocal) return { healthy: space.reason === "", checks: [space] };
    const leaderReason = this.#consensus.node.leader === "" ? "no leader" : "";
    const readReason = leaderReason === "" ? await this.#tryRead() : leaderReason;
    const checks = [
      space,
      { name: "leader", reason: leaderReason },
      { name: "linearizable_read", reason: readReason },
    ];
    return { healthy: checks.every(({ reason }) => reason === ""), checks };
  }

  /** Why a linearizable read does not come back in time; "" when it does. */
  #tryRead(): Promise<string> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve("no quorum: a linearizable read got no answer in time");
      }, HEALTH_TIMEOUT_MS);
      this.readIndex((error) => {
        clearTimeout(timer);
        resolve(error?.cause ?? "");
      });
    });
  }

  storageFailed(error: StoreError): void {
    const advice =
      "'etcd-migrate verify' on the data directory says what is damaged; " +
      "replace this member, or restore it from a backup";
    this.#parts.onStorageFailure(new StoreError(error.code, `${error.message} (${advice})`));
  }
}
