/**
 * Starts a proxy from the configuration: where its peers are, its listeners, its metrics. Owns
 * the order: nothing is written before the peers are known, nothing is served before they have
 * been asked once.
 */
import { existsSync, readFileSync } from "node:fs";
import type { ServerOptions } from "node:http";
import { createSecureContext, Server as TlsServer } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import { createHttpServerOptions, prepareHttpServer } from "@etcd2/api-v2";
import { fetchClusterInfo } from "@etcd2/raft";
import type { PeerCredentials } from "@etcd2/raft";
import type { ServerConfig } from "../config.ts";
import type { DataDirLayout } from "../data-dir.ts";
import { ensureWritable } from "../data-dir.ts";
import { proxySeeds } from "../discovery/find-cluster.ts";
import { connectionBudget, fdLimit, fdsUsed } from "../fd-limit.ts";
import { ClientListeners } from "../listeners.ts";
import type { Logging } from "../logger.ts";
import { createMetrics } from "../metrics/registry.ts";
import { StartError } from "../start-error.ts";
import type { RunningServer } from "../start-server.ts";
import { createPeerCredentials } from "../tls/peer-credentials.ts";
import { createTlsSide } from "../tls/tls-side.ts";
import type { TlsSide } from "../tls/tls-side.ts";
import { Director } from "./director.ts";
import { selfTest } from "./endpoint.ts";
import { PeerFile } from "./peer-file.ts";
import { createProxyHandler } from "./proxy-handler.ts";
import { Upstream } from "./upstream.ts";

/** Requests under way get this long when the proxy stops. */
const CLOSE_GRACE_MS = 500;
const ASK_TIMEOUT_MS = 2000;

export interface StartProxyOptions {
  readonly config: ServerConfig;
  readonly layout: DataDirLayout;
  readonly logging: Logging;
}

interface TlsSides {
  readonly client: TlsSide | undefined;
  readonly peer: TlsSide | undefined;
}

async function tlsSides({ config, layout, logging }: StartProxyOptions): Promise<TlsSides> {
  const side = (name: "client" | "peer", urls: ServerConfig["listenClientUrls"]) =>
    createTlsSide({
      name,
      config: name === "client" ? config.clientTls : config.peerTls,
      log: logging.logger("etcdmain"),
      hosts: urls.map(({ host }) => host),
      autoTlsDirectory: `${layout.dataDir}/tls/${name}`,
    });
  try {
    return {
      client: await side("client", config.listenClientUrls),
      peer: await side("peer", config.advertisePeerUrls),
    };
  } catch (error) {
    throw new StartError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** How members are reached, on both of their ports: with what the peer flags name. */
interface MemberTls {
  readonly credentials: PeerCredentials;
  readonly tls: () => Pick<ConnectionOptions, "secureContext">;
}

function memberTls({ peerTls }: ServerConfig, peer: TlsSide | undefined): MemberTls {
  const { trustedCaFile, caFile } = peerTls;
  const path = trustedCaFile === "" ? caFile : trustedCaFile;
  if (peer !== undefined || path === "") {
    return {
      credentials: createPeerCredentials(peer),
      tls: () => (peer === undefined ? {} : { secureContext: peer.secureContext() }),
    };
  }
  // An authority without a certificate of our own is enough to check the members.
  try {
    const secureContext = createSecureContext({ ca: readFileSync(path) });
    const outgoing = {
      secureContext: () => secureContext,
      isSelfSigned: false,
      hasAuthority: true,
    };
    return { credentials: createPeerCredentials(outgoing), tls: () => ({ secureContext }) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`cannot read the peer authority ${path}: ${reason}`, { cause: error });
  }
}

/** The peer URLs to ask first: what the proxy itself has learned, else what the flags say. */
async function firstPeers(
  { config, logging }: StartProxyOptions,
  file: PeerFile,
): Promise<readonly string[]> {
  const log = logging.logger("etcdmain");
  const kept = file.read((message) => {
    log.warning(message);
  });
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
): Director {
  return new Director({
    peerUrls,
    // A discovery URL tells who founded the cluster, once; everything else is looked up again.
    seeds: () => (config.discovery === "" ? proxySeeds(config, logging) : Promise.resolve([])),
    fetchInfo: (url) => fetchClusterInfo(url, { timeoutMs: ASK_TIMEOUT_MS, credentials }),
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
): Promise<ClientListeners> {
  const budget = connectionBudget(fdLimit(), config.connectionsMax);
  if (!budget.ok) throw new StartError(budget.error);
  const listeners = new ClientListeners({
    urls: config.listenClientUrls,
    http: createHttpServerOptions() as ServerOptions,
    tls: client?.serverOptions(),
    onServer: (server) => {
      prepareHttpServer(server);
      if (server instanceof TlsServer) client?.attach(server);
    },
    // Each client may need a connection to a member as well.
    connectionsMax: Math.max(1, Math.floor(budget.connectionsMax / 2)),
    onShed: () => undefined,
  });
  await listeners.listen();
  for (const { text } of config.listenClientUrls) {
    logging.logger("etcdmain").info(`proxy: listening for client requests on ${text}`);
  }
  return listeners;
}

/** @throws StartError, DiscoveryError */
export async function startProxy(options: StartProxyOptions): Promise<RunningServer> {
  const { config, layout, logging } = options;
  if (existsSync(layout.memberDir)) {
    throw new StartError(
      `invalid datadir. ${layout.memberDir} was begun by a member, so this directory cannot be a proxy's: ` +
        `give the proxy a --data-dir of its own, or remove it if that member never started`,
    );
  }
  const sides = await tlsSides(options);
  const { credentials, tls } = memberTls(config, sides.peer);
  const file = new PeerFile(layout.proxyDir);
  const peers = await firstPeers(options, file);
  const listeners = await bind(options, sides);
  try {
    ensureWritable(layout.dataDir);
    file.claim();
  } catch (error) {
    await listeners.close(0);
    throw error;
  }
  const director = createDirector(options, peers, file, credentials);
  const upstream = new Upstream({
    tls,
    readTimeoutMs: config.proxy.readTimeoutMs,
  });
  const limit = fdLimit();
  const metrics = createMetrics(
    // A proxy's own families have no other names than those of etcd 2.3.
    { compat: true, detail: config.metrics },
    { fds: () => ({ used: fdsUsed(), limit: Number.isFinite(limit) ? limit : 0 }) },
  );
  await director.start();
  listeners.open(
    createProxyHandler({
      director,
      upstream,
      counters: metrics.counters,
      log: logging.logger("proxy"),
      dialTimeoutMs: config.proxy.dialTimeoutMs,
      writeTimeoutMs: config.proxy.writeTimeoutMs,
      isReadonly: config.proxy.mode === "readonly",
      cors: config.cors,
      metricsPage: () => metrics.page(),
    }),
  );
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    director.close();
    await listeners.close(CLOSE_GRACE_MS);
    upstream.close();
    sides.client?.close();
    sides.peer?.close();
  };
  return { close: () => (closing ??= close()) };
}
