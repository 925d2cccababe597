/**
 * Starts a proxy from the configuration: where its peers are, its listeners, its metrics. Owns
 * the order: nothing is written before the peers are known, nothing is served before they have
 * been asked once.
 */
import { createProxyCounts } from "../proxy/proxy-counts.ts";
import type { ConnectionOptions } from "node:tls";
import type { DataDirLayout } from "@etcd2/member-dir";
import { CountingMeter, type Meter } from "@etcd2/observability";
import { fetchClusterInfo } from "@etcd2/raft";
import type { PeerCredentials } from "@etcd2/raft";
import type { ClientPorts } from "../listeners/client-ports.ts";
import { clientFigures, openClientPorts } from "../listeners/client-ports.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { pageOptions } from "../listeners/page-options.ts";
import { ensureWritable, isMemberBegun } from "../storage/data-dir.ts";
import { proxySeeds } from "../discovery/find-cluster.ts";
import { connectionBudget, fdLimit, fdsUsed } from "../system/fd-limit.ts";
import type { Logging } from "../logging/logger.ts";
import { portFigures, processFigures } from "../metrics/figures.ts";
import { createMetrics } from "../metrics/registry.ts";
import type { Metrics } from "../metrics/registry.ts";
import { startAccessLog } from "./start-access-log.ts";
import { StartError, asStartError } from "../base/start-error.ts";
import type { RunningServer } from "./running-server.ts";
import { outgoingTls } from "../tls/outgoing-tls.ts";
import { createPeerCredentials } from "../tls/peer-credentials.ts";
import type { TlsSide } from "../tls/tls-side.ts";
import type { TlsSides } from "../tls/tls-sides.ts";
import { certificateFigures, createTlsSides } from "../tls/tls-sides.ts";
import { Director } from "../proxy/director.ts";
import { selfTest } from "../proxy/endpoint.ts";
import { PeerFile } from "../proxy/peer-file.ts";
import { createProxyHandler } from "../proxy/proxy-handler.ts";
import { Upstream } from "../proxy/upstream.ts";

/** Requests under way get this long when the proxy stops. */
const CLOSE_GRACE_MS = 500;
const ASK_TIMEOUT_MS = 2000;

/** A member that says nothing for so long may hang; etcdctl gives a whole request a second. */
const SILENCE_MS = 500;

/** Patience with the question whether such a member answers at all. */
const PROBE_TIMEOUT_MS = 1000;

/** Members answer within five seconds and two elections; the rest is for slow machines. */
const ANSWER_TIMEOUT_MS = 8000;

export interface StartProxyOptions {
  readonly config: ServerConfig;
  readonly layout: DataDirLayout;
  readonly logging: Logging;
}

/** How members are reached, on both of their ports: with what the peer flags name. */
interface MemberTls {
  readonly credentials: PeerCredentials;
  readonly tls: () => Pick<ConnectionOptions, "secureContext">;
}

function memberTls({ peerTls }: ServerConfig, peer: TlsSide | undefined): MemberTls {
  const outgoing = outgoingTls(peerTls, peer);
  return {
    credentials: createPeerCredentials(outgoing),
    tls: () => ({ secureContext: outgoing.secureContext() }),
  };
}

/** The peer URLs to ask first: what the proxy itself has learned, else what the flags say. */
async function firstPeers(
  { config, logging }: StartProxyOptions,
  file: PeerFile,
): Promise<readonly string[]> {
  const log = logging.logger("etcdmain");
  const kept = file.read(log);
  if (kept === undefined) {
    const seeds = await proxySeeds(config, logging);
    log.info(`proxy: using peer urls [${seeds.join(" ")}]`);
    return seeds;
  }
  if (config.discovery !== "") {
    log.warning(
      `discovery token ignored since the proxy has already been initialized. Valid cluster file found at "${file.path}"`,
    );
  }
  log.info(`proxy: using peer urls [${kept.join(" ")}] from cluster file "${file.path}"`);
  return kept;
}

function createDirector(
  { config, logging }: StartProxyOptions,
  peerUrls: readonly string[],
  file: PeerFile,
  credentials: PeerCredentials,
  upstream: Upstream,
): Director {
  return new Director({
    peerUrls,
    // A discovery URL tells who founded the cluster, once; everything else is looked up again.
    seeds: () => (config.discovery === "" ? proxySeeds(config, logging) : Promise.resolve([])),
    fetchInfo: (url) => fetchClusterInfo(url, { timeoutMs: ASK_TIMEOUT_MS, credentials }),
    probe: (endpoint) => upstream.answers(endpoint, PROBE_TIMEOUT_MS),
    failureWaitMs: config.proxy.failureWaitMs,
    refreshIntervalMs: config.proxy.refreshIntervalMs,
    isSelf: selfTest(config.listenClientUrls),
    save: (urls) => {
      file.write(urls);
    },
    log: logging.logger("proxy"),
    now: () => performance.now(),
    random: () => Math.random(),
  });
}

async function bind(
  { config, logging }: StartProxyOptions,
  { client }: TlsSides,
  meter: Meter,
): Promise<ClientPorts> {
  const budget = connectionBudget(fdLimit(), config.connectionsMax);
  if (!budget.ok) throw new StartError(budget.error);
  return openClientPorts({
    config,
    tls: client,
    // Each client may need a connection to a member as well.
    budget: { ...budget, connectionsMax: Math.max(1, Math.floor(budget.connectionsMax / 2)) },
    meter,
    log: logging.logger("etcdmain"),
    announcePrefix: "proxy: ",
  });
}

/** What a proxy shows of itself, while it has its ports. */
interface Observed {
  readonly ports: ClientPorts;
  readonly sides: TlsSides;
}

function proxyMetrics(
  config: ServerConfig,
  meter: CountingMeter,
  observed: () => Observed,
): Metrics {
  const limit = fdLimit();
  meter.read(() => {
    const { ports, sides } = observed();
    return {
      ...processFigures({
        fdsUsed: fdsUsed(),
        fdLimit: Number.isFinite(limit) ? limit : 0,
        certificates: certificateFigures(sides),
      }),
      ...portFigures(clientFigures(ports)),
    };
  });
  // A proxy's own families have no other names than those of etcd 2.3.
  return createMetrics({ compat: true, detail: config.metrics }, meter);
}

async function openSides({ config, layout, logging }: StartProxyOptions): Promise<TlsSides> {
  const client = [...config.listenClientUrls, ...config.listenMetricsUrls];
  const urls = { client, peer: config.advertisePeerUrls };
  try {
    return await createTlsSides({ config, layout, logging, urls, isPeerOutgoing: true });
  } catch (error) {
    throw asStartError(error);
  }
}

/** @throws StartError, DiscoveryError */
export async function startProxy(options: StartProxyOptions): Promise<RunningServer> {
  const { config, layout, logging } = options;
  if (isMemberBegun(layout)) {
    throw new StartError(
      `invalid datadir. ${layout.memberDir} was begun by a member, so this directory cannot be a proxy's: ` +
        `give the proxy a --data-dir of its own, or remove it if that member never started`,
    );
  }
  const sides = await openSides(options);
  const { credentials, tls } = memberTls(config, sides.peer);
  const file = new PeerFile(layout.proxyDir);
  const peers = await firstPeers(options, file);
  const meter = new CountingMeter();
  const metrics = proxyMetrics(config, meter, () => ({ ports, sides }));
  const accessLog = await startAccessLog(config, logging, meter);
  const ports = await bind(options, sides, meter);
  try {
    ensureWritable(layout.dataDir);
    file.claim();
  } catch (error) {
    await ports.close(0);
    throw error;
  }
  const upstream = new Upstream({ tls, readTimeoutMs: config.proxy.readTimeoutMs });
  const director = createDirector(options, peers, file, credentials, upstream);
  await director.start();
  const handler = createProxyHandler({
    director,
    upstream,
    counts: createProxyCounts(meter),
    log: logging.logger("proxy"),
    dialTimeoutMs: config.proxy.dialTimeoutMs,
    writeTimeoutMs: config.proxy.writeTimeoutMs,
    silenceMs: SILENCE_MS,
    answerTimeoutMs: ANSWER_TIMEOUT_MS + 2 * config.electionMs,
    isReadonly: config.proxy.mode === "readonly",
    pages: pageOptions(config),
    metricsPage: () => metrics.page(),
  });
  ports.open(accessLog.around(handler), handler);
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    director.close();
    await ports.close(CLOSE_GRACE_MS);
    upstream.close();
    sides.client?.close();
    sides.peer?.close();
    accessLog.close();
  };
  return { close: () => (closing ??= close()) };
}
