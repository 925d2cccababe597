/**
 * Starts a member from its configuration: listeners first, then identity and storage, then the
 * raft member, then the gateway opens. Everything that can refuse does so before anything is
 * written. Owns this order and the order of stopping.
 */
import type { ServerOptions } from "node:http";
import { createApp, createHttpServerOptions, prepareHttpServer } from "@etcd2/api-v2";
import { addRaftService, createPeerServer, GrpcTransport } from "@etcd2/raft";
import type { PeerServer } from "@etcd2/raft";
import type { ServerConfig } from "./config.ts";
import type { DataDirLayout } from "./data-dir.ts";
import { ensureWritable } from "./data-dir.ts";
import { decideIdentity } from "./identity.ts";
import { formatId } from "./ids.ts";
import { ClientListeners } from "./listeners.ts";
import type { Logging } from "./logger.ts";
import type { MemberLog } from "./member.ts";
import { Member } from "./member.ts";
import { MemberStorage } from "./member-storage.ts";
import type { StorageOptions } from "./member-storage.ts";
import { createObservers } from "./observers.ts";
import type { Observers } from "./observers.ts";
import { createPasswords } from "./passwords.ts";
import { StartError } from "./start-error.ts";
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

interface Listening {
  readonly peers: PeerServer;
  readonly clients: ClientListeners;
}

async function listen(config: ServerConfig, logging: Logging): Promise<Listening> {
  const log = logging.logger("etcdmain");
  const peers = await createPeerServer({ addresses: urlTexts(config.listenPeerUrls) }).catch(
    (error: unknown) => {
      throw new StartError(error instanceof Error ? error.message : String(error), {
        cause: error,
      });
    },
  );
  for (const url of config.listenPeerUrls) log.info(`listening for peers on ${url.text}`);
  const clients = new ClientListeners({
    urls: config.listenClientUrls,
    // The listeners need not know the classes requests and responses are made of.
    http: createHttpServerOptions() as ServerOptions,
    tls: undefined,
    onServer: prepareHttpServer,
    connectionsMax: config.connectionsMax === 0 ? Number.POSITIVE_INFINITY : config.connectionsMax,
    onShed: () => undefined,
  });
  try {
    await clients.listen();
  } catch (error) {
    await peers.close();
    for (const url of config.listenPeerUrls)
      log.info(`stopping listening for peers on ${url.text}`);
    throw error;
  }
  for (const url of config.listenClientUrls) {
    log.info(`listening for client requests on ${url.text}`);
  }
  return { peers, clients };
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
  const identity = await decideIdentity(config, { logging });
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
  const { peers, clients } = await listen(config, logging);
  let member: Member;
  const observers = createObservers(config);
  try {
    const storage = await openStorage(options, observers);
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
        });
        addRaftService(peers.grpc, {
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
    await clients.close(0);
    await peers.close();
    throw error;
  }
  const running = member;
  observers.attach(running, () => clients.connections);
  const app = createApp(member.server, { cors: config.cors, pprof: config.pprof });
  const { published } = await member.join();
  // A fresh lone member first writes what it has to say about itself; others serve reads at once.
  if (member.isAlone) await published;
  clients.open(app);
  setTimeout(() => {
    void observers.start();
  }, METRICS_START_DELAY_MS).unref();
  let closing: Promise<void> | undefined;
  return {
    close: () => {
      closing ??= closeAll(member, clients, peers);
      return closing;
    },
  };
}

async function closeAll(
  member: Member,
  clients: ClientListeners,
  peers: PeerServer,
): Promise<void> {
  await member.close();
  await clients.close(CLOSE_GRACE_MS);
  await peers.close();
}
