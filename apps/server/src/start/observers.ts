/**
 * Wires what is counted and measured to the metrics page and to /debug/vars: who reads which
 * figure of a running member. The counters themselves are in metrics/.
 */
import { formatId } from "@etcd2/member-dir";
import type { TransportMetrics } from "@etcd2/raft";
import type { Consensus } from "../consensus/consensus.ts";
import type { Alarms } from "../member/alarms.ts";
import { clientFigures } from "../listeners/client-ports.ts";
import type { ServerConfig } from "../config/config.ts";
import { hideCredentials } from "../config/hide-credentials.ts";
import { fdLimit, fdsUsed } from "../system/fd-limit.ts";
import type { ServerCounters } from "../metrics/counters.ts";
import { createMetrics } from "../metrics/registry.ts";
import type { Metrics } from "../metrics/registry.ts";
import type { ServerStats } from "../metrics/server-stats.ts";
import type { CertificateFigures, MetricSources } from "../metrics/sources.ts";

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

function memberSources(config: ServerConfig, observed: Observed): MetricSources {
  const { consensus } = observed;
  const limit = shownFdLimit();
  return {
    identity: () => ({
      memberId: formatId(consensus.storage.memberId),
      clusterId: formatId(consensus.storage.clusterId),
      clusterVersion: consensus.cluster.version,
    }),
    raft: () => {
      const { node, storage, proposals } = consensus;
      return {
        hasLeader: node.leader !== "",
        isLeader: node.isLeader,
        isLearner: consensus.cluster.get(storage.memberId)?.isLearner === true,
        leaderChanges: consensus.leaderChanges,
        term: node.term,
        committed: node.committed,
        applied: node.applied,
        firstIndex: storage.wal.log.firstIndex(),
        lastIndex: storage.wal.log.lastIndex(),
        pendingProposals: proposals.size,
      };
    },
    store: () => {
      const { machine } = consensus.storage;
      return {
        stats: machine.reader.stats,
        watchers: consensus.hub.watchers,
        etcdIndex: machine.reader.etcdIndex,
        historyFirstIndex: machine.history.firstIndex,
        historyLastIndex: machine.history.lastIndex,
        sizeBytes: machine.approximateSizeBytes,
        liveBytes: machine.liveSize.bytes,
        quotaBytes: config.quotaBytes,
      };
    },
    peers: () =>
      consensus.cluster.members
        .filter(({ id }) => id !== consensus.storage.memberId)
        .map(({ id }) => ({ id, isActive: consensus.transport.activeSince(id) > 0 })),
    clients: () => clientFigures(observed.clients),
    certificates: () => observed.clients.certificates,
    disk: () => observed.alarms.disk,
    alarms: () => observed.alarms.names,
    fds: () => ({ used: fdsUsed(), limit }),
  };
}

/** Counts what goes over the links to other members, for metrics and for /v2/stats alike. */
export function transportMetrics(counters: ServerCounters, stats: ServerStats): TransportMetrics {
  return {
    onFrameSent: (to, bytes, messages, seconds, appends) => {
      counters.onFrameSent(to, bytes, messages, seconds);
      if (appends > 0) stats.appendsSent(to, appends, bytes);
    },
    onFrameReceived: (from, bytes, messages, appends) => {
      counters.onFrameReceived(from, bytes, messages);
      if (appends > 0) stats.appendsReceived(appends, bytes);
    },
    onSendFailed: (to, messages) => {
      counters.onSendFailed(to, messages);
      if (stats.isLeader) stats.followerFailed(to);
    },
    onRoundTrip: (to, seconds) => {
      counters.onRoundTrip(to, seconds);
      if (stats.isLeader) stats.followerAnswered(to, seconds);
    },
    onSnapshotBytesSent: (to, bytes) => {
      counters.onSnapshotBytesSent(to, bytes);
    },
    onSnapshotBytesReceived: (from, bytes) => {
      counters.onSnapshotBytesReceived(from, bytes);
    },
  };
}

/** Wires the figures of a member that runs to the counters of its process. */
export function createObservers(
  config: ServerConfig,
  counters: ServerCounters,
  observed: Observed,
): Observers {
  const { consensus, alarms } = observed;
  const metrics: Metrics = createMetrics(
    { compat: config.metricsCompat, detail: config.metrics },
    memberSources(config, observed),
    counters,
  );
  return {
    start: () => metrics.start(),
    // etcd 2.3.8 names no character set; the text is ASCII.
    page: async () => {
      // An estimate is counted anew for the next page.
      void alarms.count();
      counters.walBytesWritten = consensus.storage.wal.bytesWritten;
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
