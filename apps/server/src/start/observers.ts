/**
 * Wires what is counted and measured to the metrics page and to /debug/vars: who reads which
 * figure of a running member. The page itself is made in metrics/.
 */
import { formatId } from "@etcd2/member-dir";
import type { CountingMeter, Figures } from "@etcd2/observability";
import type { Consensus } from "../consensus/consensus.ts";
import type { Alarms } from "../member/alarms.ts";
import { clientFigures } from "../listeners/client-ports.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { hideCredentials } from "../config/hide-credentials.ts";
import { fdLimit, fdsUsed } from "../system/fd-limit.ts";
import { createMetrics } from "../metrics/registry.ts";
import { info, portFigures, processFigures, storeFigures } from "../metrics/figures.ts";
import type { CertificateFigures } from "../metrics/figures.ts";

/** What is asked of the figures of a running member. */
export interface Observers {
  /** Begins measurements that load code; call when serving. */
  start(): Promise<void>;
  page(): Promise<{ contentType: string; body: string }>;
  debugVars(): ReadonlyMap<string, unknown>;
}

/** What the figures are about. */
export interface Observed {
  readonly consensus: Consensus;
  readonly clients: ClientPorts;
  readonly alarms: Pick<Alarms, "names" | "disk" | "count">;
}

/** What of the client ports is shown. */
export interface ClientPorts {
  readonly connections: number;
  readonly connectionsMax: number;
  readonly certificates: readonly CertificateFigures[];
  bytes(): { readonly received: number; readonly sent: number };
}

/** The limit as a number that JSON and Prometheus can show; 0 where there is none. */
function shownFdLimit(): number {
  const limit = fdLimit();
  return Number.isFinite(limit) ? limit : 0;
}

function raftStatus({ node }: Consensus): unknown {
  const status = node.status();
  return {
    id: formatId(status.id),
    term: status.term,
    vote: status.vote === "" ? "0" : formatId(status.vote),
    commit: status.commit,
    lead: status.leader === "" ? "0" : formatId(status.leader),
    raftState: `State${status.role.charAt(0).toUpperCase()}${status.role.slice(1)}`,
    progress: Object.fromEntries(
      [...status.progress].map(([id, { match, next, state }]) => [
        formatId(id),
        { match, next, state: `ProgressState${state.charAt(0).toUpperCase()}${state.slice(1)}` },
      ]),
    ),
  };
}

function raftFigures(consensus: Consensus): Figures {
  const { node, storage, proposals, cluster } = consensus;
  const { log, bytesWritten } = storage.wal;
  return {
    etcd_server_has_leader: node.leader !== "",
    etcd_server_is_leader: node.isLeader,
    etcd_server_is_learner: cluster.get(storage.memberId)?.isLearner === true,
    etcd_server_leader_changes_seen_total: consensus.leaderChanges,
    etcd_server_proposals_committed_total: node.committed,
    etcd_server_proposals_applied_total: node.applied,
    etcd_server_proposals_pending: proposals.size,
    etcd2_raft_term: node.term,
    etcd2_raft_first_index: log.firstIndex(),
    etcd2_raft_last_index: log.lastIndex(),
    etcd_disk_wal_write_bytes_total: bytesWritten,
  };
}

function clusterFigures({ cluster, storage, transport }: Consensus): Figures {
  const local = formatId(storage.memberId);
  const others = cluster.members.filter(({ id }) => id !== storage.memberId);
  return {
    etcd_server_id: info("server_id", local),
    etcd_cluster_version: info("cluster_version", cluster.version),
    etcd_network_active_peers: others.map(({ id }) => ({
      labels: { Local: local, Remote: formatId(id) },
      value: Number(transport.activeSince(id) > 0),
    })),
  };
}

function alarmFigures({ names, disk }: Observed["alarms"]): Figures {
  return {
    etcd2_disk_free_bytes: disk.freeBytes,
    etcd2_disk_reserve_bytes: disk.reserveBytes,
    etcd2_alarm: (["diskLow", "quota"] as const).map((type) => {
      return { labels: { type }, value: Number(names.includes(type)) };
    }),
  };
}

function memberFigures(
  { quotaBytes }: ServerConfig,
  meter: CountingMeter,
  { consensus, clients, alarms }: Observed,
): Figures {
  const { machine } = consensus.storage;
  return {
    ...raftFigures(consensus),
    ...clusterFigures(consensus),
    ...alarmFigures(alarms),
    ...portFigures(clientFigures(clients)),
    ...processFigures({
      fdsUsed: fdsUsed(),
      fdLimit: shownFdLimit(),
      certificates: clients.certificates,
    }),
    ...storeFigures({
      stats: machine.reader.stats,
      recursiveReads: meter.value("etcd_debugging_store_reads_total", "getRecursive"),
      watchers: consensus.hub.watchers,
      etcdIndex: machine.reader.etcdIndex,
      historyFirstIndex: machine.history.firstIndex,
      historyLastIndex: machine.history.lastIndex,
      sizeBytes: machine.approximateSizeBytes,
      liveBytes: machine.liveSize.bytes,
      quotaBytes,
    }),
  };
}

/** Wires the figures of a member that runs to the meter of its process. */
export function createObservers(
  config: ServerConfig,
  meter: CountingMeter,
  observed: Observed,
): Observers {
  const { consensus, alarms } = observed;
  // Shown before the first of them.
  meter.counter("etcd_debugging_store_reads_total").of("getRecursive");
  meter.read(() => memberFigures(config, meter, observed));
  const metrics = createMetrics({ compat: config.metricsCompat, detail: config.metrics }, meter);
  return {
    start: () => metrics.start(),
    // etcd 2.3.8 names no character set; the text is ASCII.
    page: async () => {
      // An estimate is counted anew for the next page.
      void alarms.count();
      return { ...(await metrics.page()), contentType: "text/plain; version=0.0.4" };
    },
    debugVars: () =>
      new Map<string, unknown>([
        ["cmdline", process.argv.slice(1).map(hideCredentials)],
        ["file_descriptor_limit", shownFdLimit()],
        ["memstats", { ...process.memoryUsage() }],
        ["raft.status", raftStatus(consensus)],
      ]),
  };
}
