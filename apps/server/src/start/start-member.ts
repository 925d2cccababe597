/**
 * Starts a member from its configuration: listeners first, then identity and storage, then the
 * raft member, then the gateway opens. Everything that can refuse does so before anything is
 * written. Owns this order and the order of stopping.
 */
import { CountingMeter } from "@etcd2/observability";
import { authWatch, createApp } from "@etcd2/api-v2";
import type { GatewayOptions } from "@etcd2/api-v2";
import type { DataDirLayout } from "@etcd2/member-dir";
import { formatId } from "@etcd2/member-dir";
import { RaftService } from "@etcd2/proto/raft";
import { addRaftService, GrpcTransport } from "@etcd2/raft";
import type { PeerCredentials } from "@etcd2/raft";
import { Alarms } from "../member/alarms.ts";
import { bootstrapRecord } from "../cluster/bootstrap.ts";
import type { BootstrapRecord } from "../cluster/bootstrap.ts";
import { Cluster } from "../cluster/cluster.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { ConsensusObserver } from "../consensus/consensus-observer.ts";
import { checkWritable, inspectDataDir } from "../storage/data-dir.ts";
import { addHealthService } from "../listeners/grpc-health.ts";
import { pageOptions } from "../listeners/page-options.ts";
import { decideIdentity } from "./identity.ts";
import { whileServing } from "../listeners/while-serving.ts";
import { drawId, LifeFile } from "../lives/life-file.ts";
import type { Doubt } from "../lives/life-file.ts";
import type { Logging } from "../logging/logger.ts";
import { withRequestLines } from "../logging/request-lines.ts";
import type { MemberOptions } from "../member/member-options.ts";
import type { ServerOps } from "../member/etcd-server.ts";
import type { Consensus } from "../consensus/consensus.ts";
import { Member } from "../member/member.ts";
import { MemberLocks } from "../storage/member-locks.ts";
import { MemberStorage } from "../storage/member-storage.ts";
import type { StorageOptions } from "../storage/member-storage.ts";
import { createObservers } from "./observers.ts";
import { ServerStats } from "../metrics/server-stats.ts";
import { consoleHandler } from "../console/console-handler.ts";
import { addConsoleService, MemberFigures } from "../console/figures.ts";
import { RegistrationFile } from "../discovery/registration-file.ts";
import { StartError } from "../base/start-error.ts";
import { prepareWhenNeeded, WorkerPasswordHasher } from "../passwords/passwords.ts";
import { type AccessLogging, startAccessLog } from "./start-access-log.ts";
import { peerUrlsWarning } from "../cluster/peer-urls-check.ts";
import { openListeners } from "../listeners/start-listeners.ts";
import type { Listeners } from "../listeners/start-listeners.ts";
import { startTracing } from "../tracing/start-tracing.ts";
import { announceConfig } from "./announce.ts";
import type { GatewayThreads } from "../gateways/gateway-threads.ts";
import type { RunningServer, ServerEvents } from "./running-server.ts";
import type { Tracing } from "../consensus/tracing-port.ts";
import { createTransportLog } from "../logging/transport-log.ts";
import { urlTexts } from "../config/urls.ts";
import { compatClusterVersion, compatVersion } from "../base/version.ts";

/** Requests under way get this long when the server stops. */
const CLOSE_GRACE_MS = 500;

/** Loading the metrics library waits until the member has had time to begin to serve. */
const METRICS_START_DELAY_MS = 1000;

export interface StartMemberOptions {
  readonly config: ServerConfig;
  readonly layout: DataDirLayout;
  readonly isInitialized: boolean;
  readonly logging: Logging;
  readonly events: ServerEvents;
}

interface StorageSurroundings {
  /** Undefined: they are taken here. */
  readonly locks: MemberLocks | undefined;
  readonly meter: CountingMeter;
  readonly observer: ConsensusObserver;
  readonly credentials: PeerCredentials;
}

interface OpenedStorage {
  readonly storage: MemberStorage;
  readonly life: LifeFile;
}

/** The life of a directory that has one, or gets one because it was not made by this version. */
function resumeLife(storage: MemberStorage): LifeFile {
  const { founders, incarnation } = bootstrapRecord(storage);
  const isUnused = storage.wal.log.lastIndex() === 0 && storage.machine.appliedIndex === 0;
  const unfinished =
    incarnation === undefined || !isUnused
      ? undefined
      : { incarnation, doubt: doubtOf(founders.length) };
  return LifeFile.open(storage.layout.memberDir, unfinished);
}

/** resumeLife(), with the storage closed should it be refused. */
async function resumed(storage: MemberStorage): Promise<LifeFile> {
  try {
    return resumeLife(storage);
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** Who founds a cluster with others cannot know whether it did so before. */
function doubtOf(founders: number): Doubt {
  return founders > 1 ? "founding" : "none";
}

/** Keeps other processes out of the directories; nothing of ours is written before. @throws StartError */
function lockDirectories({ layout, isInitialized }: StartMemberOptions): MemberLocks {
  if (isInitialized) {
    checkWritable(layout);
    return MemberLocks.forExisting(layout);
  }
  const locks = MemberLocks.forNew(layout);
  // What was seen before the lock was taken may be out of date.
  if (inspectDataDir(layout) === "empty") return locks;
  locks.release();
  throw new StartError(`${layout.dataDir} was taken by another process just now: start again`);
}

async function openStorage(
  options: StartMemberOptions,
  { locks: lockedBefore, meter, observer, credentials }: StorageSurroundings,
): Promise<OpenedStorage> {
  const { config, layout, logging } = options;
  const log = logging.logger("etcdserver");
  announceConfig(config, options.isInitialized, log);
  const locks = lockedBefore ?? lockDirectories(options);
  const walSyncs = meter.histogram("etcd_disk_wal_fsync_duration_seconds");
  const storageOptions: StorageOptions = {
    layout,
    locks,
    watchHistory: config.watchHistory,
    onWalSync: (seconds) => {
      walSyncs.observe(seconds);
    },
    onSlowWalSync: (seconds) => {
      observer.slowSync(seconds);
    },
    log,
  };
  if (options.isInitialized) {
    // Left behind by a crash in the moment between making the storage and settling.
    new RegistrationFile(config.dataDir).remove();
    const storage = await MemberStorage.open(storageOptions);
    log.info(
      `restarting member ${formatId(storage.memberId)} in cluster ${formatId(storage.clusterId)} ` +
        `at commit index ${storage.hardState.commit}`,
    );
    const { members } = new Cluster(() => storage.machine.reader);
    const warning = config.isAdvertisePeerUrlsDefault
      ? undefined
      : peerUrlsWarning(members, storage.memberId, urlTexts(config.advertisePeerUrls));
    if (warning !== undefined) log.warning(warning);
    const life = await resumed(storage);
    // Whoever goes on alone has nobody to ask.
    if (config.forceNewCluster) life.settle();
    return { storage, life };
  }
  const identity = await decideIdentity(config, { logging, credentials }).catch(
    (error: unknown) => {
      locks.undo();
      throw error;
    },
  );
  const { memberId, clusterId, founders, hosts } = identity;
  const incarnation = drawId();
  log.info(`starting member ${formatId(memberId)} in cluster ${formatId(clusterId)}`);
  const storage = await MemberStorage.create(
    storageOptions,
    { memberId, clusterId },
    JSON.stringify({ founders, hosts, incarnation } satisfies BootstrapRecord),
  );
  const life = LifeFile.create(layout.memberDir, { incarnation, doubt: doubtOf(founders.length) });
  identity.settle();
  return { storage, life };
}

/** What a member needs besides its storage. */
interface Surroundings {
  readonly meter: CountingMeter;
  readonly observer: ConsensusObserver;
  readonly listeners: Listeners;
  readonly alarms: Alarms;
  readonly figures: MemberFigures;
  readonly passwords: WorkerPasswordHasher;
  readonly tracing: Tracing | undefined;
  /** Undefined where this thread serves clients itself. */
  readonly threads: GatewayThreads | undefined;
}

function memberOptions(
  options: StartMemberOptions,
  { storage, life }: OpenedStorage,
  surroundings: Surroundings,
): MemberOptions {
  const { config, logging, events } = options;
  const { meter, observer, listeners, alarms, passwords, tracing } = surroundings;
  const stats = new ServerStats({
    name: config.name,
    memberId: storage.memberId,
    wallMs: Date.now,
    now: () => performance.now(),
  });
  return {
    name: config.name,
    clientURLs: urlTexts(config.advertiseClientUrls),
    ...{ storage, life, stats, passwords, meter, observer },
    peerCredentials: listeners.peerCredentials,
    tickMs: config.heartbeatMs,
    electionTicks: config.electionTicks,
    snapshotCount: config.snapshotCount,
    catchUpEntries: config.catchUpEntries,
    strictReconfigCheck: config.strictReconfigCheck,
    forceNewCluster: config.forceNewCluster,
    stateCheckMs: config.stateCheckMs,
    tracing: tracing?.member(storage.memberId),
    writeRefusal: (action) => alarms.refusal(action),
    alarm: () => alarms.reason,
    createTransport: (listener, host) => {
      const transport = new GrpcTransport({
        clusterId: storage.clusterId,
        memberId: storage.memberId,
        serverVersion: compatVersion,
        minClusterVersion: compatClusterVersion,
        listener,
        meter,
        traffic: stats,
        log: createTransportLog(logging),
        credentials: listeners.peerCredentials,
        lives: host.lives,
      });
      addRaftService(listeners.grpc, {
        transport,
        isRemoved: (id) => host.cluster.isRemoved(id),
        clusterInfo: (logIndex) => host.clusterInfo(logIndex),
      });
      return transport;
    },
    ops: (member) => serverOps(options, surroundings, member),
    log: logging.logger("etcdserver"),
    raftLog: logging.logger("raft"),
    onFatal: events.onFatal,
    onRemoved: events.onRemoved,
  };
}

/** What the process reports of itself and of the consensus it takes part in. */
function serverOps(
  { config, logging }: StartMemberOptions,
  { meter, listeners, alarms, figures, threads }: Surroundings,
  consensus: Consensus,
): ServerOps {
  figures.attach(consensus);
  const observers = createObservers(config, meter, { consensus, clients: listeners, alarms });
  setTimeout(() => {
    void observers.start();
  }, METRICS_START_DELAY_MS).unref();
  return {
    metricsPage: async () => {
      await threads?.count();
      return observers.page();
    },
    debugVars: () => observers.debugVars(),
    setLogLevel: (level) => {
      logging.setLevel(level);
      threads?.levelsChanged();
    },
    log: logging.logger("etcdhttp"),
  };
}

function createAlarms(
  { config, layout, logging, events }: StartMemberOptions,
  storage: MemberStorage,
): Alarms {
  const log = logging.logger("etcdserver");
  return new Alarms({
    paths: [layout.storeDir, layout.walDir],
    diskReserveBytes: config.diskReserveBytes,
    quotaBytes: config.quotaBytes,
    liveSize: () => storage.machine.liveSize,
    countLiveSize: () => storage.machine.countLiveBytes(),
    log,
    onFatal: (error) => {
      events.onFatal(error instanceof Error ? error : new Error(String(error)));
    },
  });
}

interface OpenedPorts {
  readonly listeners: Listeners;
  /** Undefined where opening the ports wrote nothing. */
  readonly locks: MemberLocks | undefined;
  /** Undefined where this thread serves clients itself. */
  readonly threads: GatewayThreads | undefined;
}

/** Opens all ports. Certificates made on the way are written, so the directories are locked first. */
async function openPorts(options: StartMemberOptions, meter: CountingMeter): Promise<OpenedPorts> {
  const { config, layout, logging } = options;
  const makesFiles = config.clientTls.autoTls || config.peerTls.autoTls;
  const locks = makesFiles ? lockDirectories(options) : undefined;
  try {
    const threads = await createThreads(options, meter);
    const ports = { config, layout, logging, meter, clientThreads: threads };
    return { listeners: await openListeners(ports), locks, threads };
  } catch (error) {
    if (!options.isInitialized) locks?.undo();
    throw error;
  }
}

/** What the flags say of the API, on whichever port it is served. */
function gatewayOptions(config: ServerConfig): GatewayOptions {
  return {
    ...pageOptions(config),
    pprof: config.pprof,
    metricsNeedAuth: config.metricsNeedAuth,
    allNeedAuth: config.allNeedAuth,
    watchesMax: config.clientWatchersMax,
  };
}

/** Lets the threads serve clients, if there are any. */
function openThreads(
  threads: GatewayThreads | undefined,
  { server, consensus }: Member,
  gateway: GatewayOptions,
  accessLog: AccessLogging,
): void {
  if (threads === undefined) return;
  // Which name a request may be addressed to was judged where it came in.
  const app = createApp(server, { ...gateway, hostWhitelist: ["*"] });
  const serving = whileServing(app, () => server.condemned);
  threads.open({ server, consensus, app: serving, accessLog });
}

/** Loads nothing where this thread serves clients itself. */
async function createThreads(
  { config, layout, logging, events }: StartMemberOptions,
  meter: CountingMeter,
): Promise<GatewayThreads | undefined> {
  if (config.gatewayThreads === 0) return undefined;
  const { GatewayThreads } = await import("../gateways/gateway-threads.ts");
  const { dataDir } = layout;
  return new GatewayThreads({ config, dataDir, logging, meter, onFatal: events.onFatal });
}

export async function startMember(options: StartMemberOptions): Promise<RunningServer> {
  const { config, logging } = options;
  const log = logging.logger("etcdserver");
  const meter = new CountingMeter();
  const observer = new ConsensusObserver({
    meter,
    log,
    heartbeatSeconds: config.heartbeatMs / 1000,
    now: () => performance.now(),
  });
  const accessLog = await startAccessLog(config, logging, meter);
  const tracing = await startTracing(config, logging);
  const { listeners, locks, threads } = await openPorts(options, meter);
  const passwords = new WorkerPasswordHasher({ cost: config.bcryptCost });
  let member: Member;
  let alarms: Alarms;
  let figures: MemberFigures;
  try {
    const opened = await openStorage(options, {
      locks,
      meter,
      observer,
      credentials: listeners.peerCredentials,
    });
    log.info(`starting server... [version: ${compatVersion}, cluster version: to_be_decided]`);
    alarms = createAlarms(options, opened.storage);
    await alarms.start();
    figures = new MemberFigures({ listeners, alarms, meter });
    const surroundings = {
      ...{ meter, observer, listeners, alarms, figures, passwords, tracing, threads },
    };
    member = await Member.start(memberOptions(options, opened, surroundings));
  } catch (error) {
    await listeners.close(0);
    throw error;
  }
  const { server } = member;
  const preparing = prepareWhenNeeded(passwords, authWatch(server));
  addHealthService(listeners.grpc, {
    services: [RaftService.typeName],
    isHealthy: async () => (await server.health()).healthy,
  });
  addConsoleService(listeners.grpc, figures);
  member.stateCheck.serve(listeners.grpc);
  const stateHashes = async (): Promise<string> => JSON.stringify(await member.stateCheck.check());
  const gateway = { ...gatewayOptions(config), stateHashes };
  const app = createApp(server, gateway);
  const { published } = await member.join();
  // A fresh lone member first writes what it has to say about itself; others serve reads at once.
  if (member.isAlone) await published;
  const logged = accessLog.around(app);
  const traced = tracing?.around(logged) ?? logged;
  const serving = whileServing(traced, () => server.condemned);
  listeners.open(withRequestLines(serving, logging.logger("etcdhttp")), app);
  openThreads(threads, member, gateway, accessLog);
  if (config.listenConsoleUrls.length > 0) {
    const behind = createApp(server, { ...gateway, consoleData: figures });
    listeners.openConsole(whileServing(consoleHandler(behind), () => server.condemned));
  }
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    alarms.close();
    figures.close();
    preparing.stop();
    await member.close(() => listeners.close(CLOSE_GRACE_MS));
    await passwords.close();
    await tracing?.close();
    accessLog.close();
  };
  return { close: () => (closing ??= close()) };
}
