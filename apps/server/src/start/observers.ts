/**
 * Wires what is counted and measured to the metrics page and to /debug/vars: who reads which
 * figure of a running member. The counters themselves are in metrics/.
 */
import { formatId } from "@etcd2/member-dir";
import type { TransportMetrics } from "@etcd2/raft";
import type { Alarms } from "../member/alarms.ts";
import { clientFigures } from "../listeners/client-ports.ts";
import type { ServerConfig } from "../config/config.ts";
import { hideCredentials } from "../config/hide-credentials.ts";
import { fdLimit, fdsUsed } from "../system/fd-limit.ts";
import type { Member } from "../member/member.ts";
import type { ServerCounters } from "../metrics/counters.ts";
import { createMetrics } from "../metrics/registry.ts";
import type { Metrics } from "../metrics/registry.ts";
import type { CertificateFigures, MetricSources } from "../metrics/sources.ts";

export interface Observers {
  readonly counters: ServerCounters;
  readonly transport: TransportMetrics;
  attach(observed: Observed): void;
  /** Begins measurements that load code; call when serving. */
  start(): Promise<void>;
  page(): Promise<{ contentType: string; body: string }>;
  debugVars(): ReadonlyMap<string, unknown>;
}

/** What the figures are about, once it exists. */
export interface Observed {
  readonly member: Member;
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

function raftStatus(member: Member): unknown {
  const status = member.node.status();
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

function memberSources(config: ServerConfig, observed: () => Observed): MetricSources {
  const member = (): Member => observed().member;
  const limit = shownFdLimit();
  return {
    identity: () => ({
      memberId: formatId(member().storage.memberId),
      clusterId: formatId(member().storage.clusterId),
      clusterVersion: member().cluster.version,
    }),
    raft: () => {
      const { node, storage, server } = member();
      return {
        hasLeader: node.leader !== "",
        isLeader: node.isLeader,
        isLearner: member().cluster.get(storage.memberId)?.isLearner === true,
        leaderChanges: member().leaderChanges,
        term: node.term,
        committed: node.committed,
        applied: node.applied,
        firstIndex: storage.wal.log.firstIndex(),
        lastIndex: storage.wal.log.lastIndex(),
        pendingProposals: server.pendingProposals,
      };
    },
    store: () => {
      const { machine } = member().storage;
      return {
        stats: machine.reader.stats,
        watchers: member().hub.watchers,
        etcdIndex: machine.reader.etcdIndex,
        historyFirstIndex: machine.history.firstIndex,
        historyLastIndex: machine.history.lastIndex,
        sizeBytes: machine.approximateSizeBytes,
        liveBytes: machine.liveSize.bytes,
        quotaBytes: config.quotaBytes,
      };
    },
    peers: () =>
      member()
        .cluster.members.filter(({ id }) => id !== member().storage.memberId)
        .map(({ id }) => ({ id, isActive: member().transport.activeSince(id) > 0 })),
    clients: () => clientFigures(observed().clients),
    certificates: () => observed().clients.certificates,
    disk: () => observed().alarms.disk,
    alarms: () => observed().alarms.names,
    fds: () => ({ used: fdsUsed(), limit }),
  };
}

export function createObservers(config: ServerConfig): Observers {
  let attached: Observed | undefined;
  const observed = (): Observed => {
    if (attached === undefined) throw new Error("no member is attached yet");
    return attached;
  };
  const metrics: Metrics = createMetrics(
    { compat: config.metricsCompat, detail: config.metrics },
    memberSources(config, observed),
  );
  const { counters } = metrics;
  return {
    counters,
    transport: {
      onFrameSent: (to, bytes, messages, seconds, appends) => {
        counters.onFrameSent(to, bytes, messages, seconds);
        if (appends > 0) attached?.member.stats.appendsSent(to, appends, bytes);
      },
      onFrameReceived: (from, bytes, messages, appends) => {
        counters.onFrameReceived(from, bytes, messages);
        if (appends > 0) attached?.member.stats.appendsReceived(appends, bytes);
      },
      onSendFailed: (to, messages) => {
        counters.onSendFailed(to, messages);
        if (attached?.member.node.isLeader === true) attached.member.stats.followerFailed(to);
      },
      onRoundTrip: (to, seconds) => {
        counters.onRoundTrip(to, seconds);
        if (attached?.member.node.isLeader === true)
          attached.member.stats.followerAnswered(to, seconds);
      },
      onSnapshotBytesSent: (to, bytes) => {
        counters.onSnapshotBytesSent(to, bytes);
      },
      onSnapshotBytesReceived: (from, bytes) => {
        counters.onSnapshotBytesReceived(from, bytes);
      },
    },
    attach: (running) => {
      attached = running;
    },
    start: () => metrics.start(),
    // The original names no character set; the text is ASCII.
    page: async () => {
      // An estimate is counted anew for the next page.
      void observed().alarms.count();
      counters.walBytesWritten = observed().member.storage.wal.bytesWritten;
      return { ...(await metrics.page()), contentType: "text/plain; version=0.0.4" };
    },
    debugVars: () =>
      new Map<string, unknown>([
        ["cmdline", process.argv.slice(1).map(hideCredentials)],
        ["file_descriptor_limit", shownFdLimit()],
        ["memstats", { ...process.memoryUsage() }],
        ["raft.status", raftStatus(observed().member)],
      ]),
  };
}
