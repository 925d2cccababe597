/**
 * Starts a member from its configuration: listeners first, then identity and storage, then the
 * raft member, then the gateway opens. Everything that can refuse does so before anything is
 * written. Owns this order and the order of stopping.
 */
import { createApp } from "@etcd2/api-v2";
import { addRaftService, GrpcTransport } from "@etcd2/raft";
import type { PeerCredentials } from "@etcd2/raft";
import type { ServerConfig } from "./config.ts";
import type { DataDirLayout } from "./data-dir.ts";
import { ensureWritable } from "./data-dir.ts";
import { decideIdentity } from "./identity.ts";
import { formatId } from "./ids.ts";
import type { Logging } from "./logger.ts";
import type { MemberLog } from "./member.ts";
import { Member } from "./member.ts";
import { MemberStorage } from "./member-storage.ts";
import type { StorageOptions } from "./member-storage.ts";
import { createObservers } from "./observers.ts";
import type { Observers } from "./observers.ts";
import { createPasswords } from "./passwords.ts";
import { openListeners } from "./start-listeners.ts";
import type { Listeners } from "./start-listeners.ts";
import { announceConfig } from "./start-server.ts";
import type { RunningServer, ServerEvents } from "./start-server.ts";
import { createTransportLog } from "./transport-log.ts";
import { urlTexts } from "./urls.ts";
import { compatClusterVersion, compatVersion } from "./version.ts";

/** Requests under way get this long when the server stops. */
const CLOSE_GRACE_MS = 500;

/** Loading the metrics library waits until the member serves. */
const METRICS_START_DELAY_MS = 1000;

export interface StartMemberOptions {
  readonly config: ServerConfig;
  readonly layout: DataDirLayout;
  readonly isInitialized: boolean;
  readonly logging: Logging;
  readonly events: ServerEvents;
}

function memberLog(logging: Logging): MemberLog {
  const raft = logging.logger("raft");
  const server = logging.logger("etcdserver");
  return {
    raft: (message) => {
      raft.info(message);
    },
    server: (message) => {
      server.info(message);
    },
    warn: (message) => {
      server.warning(message);
    },
    error: (message) => {
      server.error(message);
    },
  };
}

async function openStorage(
  options: StartMemberOptions,
  observers: Observers,
  credentials: PeerCredentials,
): Promise<MemberStorage> {
  const { config, layout, logging } = options;
  const log = logging.logger("etcdserver");
  const storageOptions: StorageOptions = {
    layout,
    watchHistory: config.watchHistory,
    onWalSync: (seconds) => {
      observers.counters.walSynced(seconds);
    },
    warn: (message) => {
      log.warning(message);
    },
  };
  announceConfig(config, options.isInitialized, log);
  if (options.isInitialized) {
    const storage = await MemberStorage.open(storageOptions);
    log.info(
      `restarting member ${formatId(storage.memberId)} in cluster ${formatId(storage.clusterId)} ` +
        `at commit index ${storage.hardState.commit}`,
    );
    return storage;
  }
  ensureWritable(layout.dataDir);
  const identity = await decideIdentity(config, { logging, credentials });
  const { memberId, clusterId } = identity;
  log.info(`starting member ${formatId(memberId)} in cluster ${formatId(clusterId)}`);
  const storage = await MemberStorage.create(
    storageOptions,
    { memberId, clusterId },
    JSON.stringify({ founders: identity.founders, hosts: identity.hosts }),
  );
  identity.settle();
  return storage;
}

export async function startMember(options: StartMemberOptions): Promise<RunningServer> {
  const { config, logging, events } = options;
  const log = logging.logger("etcdserver");
  const observers = createObservers(config);
  const { counters } = observers;
  const listeners = await openListeners({
    config,
    layout: options.layout,
    logging,
    onConnection: () => (counters.connectionsAccepted += 1),
    onShed: () => (counters.connectionsShed += 1),
  });
  const { peerCredentials } = listeners;
  let member: Member;
  try {
    const storage = await openStorage(options, observers, peerCredentials);
    log.info(`starting server... [version: ${compatVersion}, cluster version: to_be_decided]`);
    member = await Member.start({
      name: config.name,
      clientURLs: urlTexts(config.advertiseClientUrls),
      storage,
      tickMs: config.heartbeatMs,
      electionTicks: config.electionTicks,
      snapshotCount: config.snapshotCount,
      catchUpEntries: config.catchUpEntries,
      strictReconfigCheck: config.strictReconfigCheck,
      forceNewCluster: config.forceNewCluster,
      passwords: createPasswords({ cost: config.bcryptCost }),
      metrics: observers.counters,
      counters: observers.counters,
      writeRefusal: () => undefined,
      alarm: () => "",
      createTransport: (listener, self) => {
        const transport = new GrpcTransport({
          clusterId: storage.clusterId,
          memberId: storage.memberId,
          serverVersion: compatVersion,
          minClusterVersion: compatClusterVersion,
          listener,
          metrics: observers.transport,
          log: createTransportLog(logging),
          credentials: peerCredentials,
        });
        addRaftService(listeners.grpc, {
          transport,
          isRemoved: (id) => self.cluster.isRemoved(id),
          clusterInfo: () => self.clusterInfo(),
        });
        return transport;
      },
      ops: () => ({
        metricsPage: () => observers.page(),
        debugVars: () => observers.debugVars(),
        setLogLevel: (level) => {
          logging.setLevel(level);
        },
        log: (level, message) => {
          logging.logger("etcdhttp").log(level === "warn" ? "warning" : level, message);
        },
      }),
      log: memberLog(logging),
      onFatal: events.onFatal,
      onRemoved: events.onRemoved,
      onSoftState: () => undefined,
    });
  } catch (error) {
    await listeners.close(0);
    throw error;
  }
  const running = member;
  observers.attach(running, listeners);
  const app = createApp(member.server, { cors: config.cors, pprof: config.pprof });
  const { published } = await member.join();
  // A fresh lone member first writes what it has to say about itself; others serve reads at once.
  if (member.isAlone) await published;
  listeners.open(app, app);
  setTimeout(() => {
    void observers.start();
  }, METRICS_START_DELAY_MS).unref();
  let closing: Promise<void> | undefined;
  return {
    close: () => {
      closing ??= closeAll(member, listeners);
      return closing;
    },
  };
}

async function closeAll(member: Member, listeners: Listeners): Promise<void> {
  await member.close();
  await listeners.close(CLOSE_GRACE_MS);
}
