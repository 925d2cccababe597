/**
 * Starts a bridge from the configuration: its way to the v3 cluster, its listeners, its gateway. Owns
 * the order: nothing is served before the cluster has answered. Writes no files.
 */
import { CountingMeter, type Meter } from "@etcd2/observability";
import { readFileSync } from "node:fs";
import { createApp } from "@etcd2/api-v2";
import { layoutOf } from "@etcd2/member-dir";
import { Bridge, ForeignPrefixError, type TlsOptions, V3Client, V3Error } from "@etcd2/v3";
import type { BridgeConfig, ServerConfig } from "../config/server-config.ts";
import { hideCredentials } from "../config/hide-credentials.ts";
import { urlTexts } from "../config/urls.ts";
import { clientFigures, type ClientPorts, openClientPorts } from "../listeners/client-ports.ts";
import { connectionBudget, fdLimit, fdsUsed } from "../system/fd-limit.ts";
import { pageOptions } from "../listeners/page-options.ts";
import type { Logging } from "../logging/logger.ts";
import { withRequestLines } from "../logging/request-lines.ts";
import { startAccessLog } from "./start-access-log.ts";
import { messageOf } from "../base/message-of.ts";
import { portFigures, processFigures, storeFigures } from "../metrics/figures.ts";
import { createMetrics, type Metrics } from "../metrics/registry.ts";
import { asStartError, StartError } from "../base/start-error.ts";
import type { RunningServer } from "./running-server.ts";
import { certificateFigures, createTlsSides, type TlsSides } from "../tls/tls-sides.ts";
import { startTracing } from "../tracing/start-tracing.ts";
import { BridgeCounters } from "../bridge/bridge-figures.ts";
import { BridgeServer, unavailable } from "../bridge/bridge-server.ts";
import { UpstreamCluster } from "../bridge/upstream-cluster.ts";

/** Requests under way get this long when the bridge stops. */
const CLOSE_GRACE_MS = 500;

/** Loading the metrics library waits until the bridge serves. */
const METRICS_START_DELAY_MS = 1000;

export interface StartBridgeOptions {
  readonly config: ServerConfig;
  readonly logging: Logging;
}

function readFile(flag: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new StartError(`cannot read the file of --${flag}: ${messageOf(error)}`);
  }
}

function tlsOptions({ caFile, certFile, keyFile }: BridgeConfig): TlsOptions {
  return {
    ...(caFile !== "" && { ca: readFile("v3-cafile", caFile) }),
    ...(certFile !== "" && {
      cert: readFile("v3-certfile", certFile),
      key: readFile("v3-keyfile", keyFile),
    }),
  };
}

function createClient(config: BridgeConfig): V3Client {
  const { endpoints, username, passwordFile } = config;
  const password = username === "" ? "" : readFile("v3-password-file", passwordFile).toString();
  const credentials =
    username === "" ? undefined : { user: username, password: password.replace(/\r?\n$/, "") };
  return new V3Client({ endpoints, tls: tlsOptions(config), credentials });
}

/** What to do about a cluster that does not let the bridge in. */
function explain(error: unknown, { endpoints, username }: BridgeConfig): StartError {
  if (error instanceof StartError) return error;
  if (error instanceof ForeignPrefixError) return new StartError(error.message, { cause: error });
  const where = endpoints.join(",");
  if (!(error instanceof V3Error)) return asStartError(error);
  const isAuth =
    ["permissionDenied", "unauthenticated"].includes(error.code) ||
    /authentication|user name is empty/.test(error.message);
  if (isAuth) {
    const who = username === "" ? "without --v3-username" : `as ${JSON.stringify(username)}`;
    return new StartError(
      `the v3 cluster at ${where} does not let the bridge read its prefix ${who}: ${error.message}`,
      { cause: error },
    );
  }
  return new StartError(
    `cannot reach an etcd v3 cluster at ${where}: ${error.message}; check --v3-endpoints`,
    { cause: error },
  );
}

async function openBridge(
  { config, logging }: StartBridgeOptions,
  client: V3Client,
  counters: BridgeCounters,
): Promise<Bridge> {
  const log = logging.logger("bridge");
  try {
    return await Bridge.open({
      client,
      prefix: Buffer.from(config.bridge.prefix, "utf8").toString("latin1"),
      observer: counters,
      log: (level, message) => {
        log.log(level === "warn" ? "warning" : level, message);
      },
    });
  } catch (error) {
    client.close();
    throw explain(error, config.bridge);
  }
}

/** What a bridge shows of itself, while it has its ports. */
interface Observed {
  readonly ports: ClientPorts;
  readonly sides: TlsSides;
  readonly bridge: Bridge;
  readonly cluster: UpstreamCluster;
}

function bridgeMetrics(
  config: ServerConfig,
  meter: CountingMeter,
  observed: () => Observed,
): Metrics {
  const limit = fdLimit();
  meter.counter("etcd_debugging_store_reads_total").of("getRecursive");
  meter.read(() => {
    const { ports, sides, bridge, cluster } = observed();
    return {
      ...processFigures({
        fdsUsed: fdsUsed(),
        fdLimit: Number.isFinite(limit) ? limit : 0,
        certificates: certificateFigures(sides),
      }),
      ...portFigures(clientFigures(ports)),
      ...storeFigures({
        stats: bridge.stats,
        recursiveReads: meter.value("etcd_debugging_store_reads_total", "getRecursive"),
        watchers: bridge.hub.watchers,
        etcdIndex: bridge.etcdIndex,
        ...bridge.history,
        sizeBytes: cluster.state.sizeBytes,
        liveBytes: cluster.state.liveBytes,
      }),
      etcd2_bridge_watch_lag_revisions: bridge.watchLag,
      etcd2_bridge_watch_connected: bridge.isWatching,
    };
  });
  const { metricsCompat: compat, metrics: detail } = config;
  return createMetrics({ compat, detail, bridge: true }, meter);
}

async function openSides({ config, logging }: StartBridgeOptions): Promise<TlsSides> {
  if (config.clientTls.autoTls && config.clientTls.certFile === "") {
    throw new StartError(
      "a bridge has no directory for --auto-tls: give it --cert-file and --key-file",
    );
  }
  const urls = { client: [...config.listenClientUrls, ...config.listenMetricsUrls], peer: [] };
  try {
    return await createTlsSides({
      config,
      layout: layoutOf(config.dataDir, undefined),
      logging,
      urls,
    });
  } catch (error) {
    throw asStartError(error);
  }
}

async function openPorts(
  { config, logging }: StartBridgeOptions,
  sides: TlsSides,
  meter: Meter,
): Promise<ClientPorts> {
  const budget = connectionBudget(fdLimit(), config.connectionsMax);
  if (!budget.ok) throw new StartError(budget.error);
  return openClientPorts({
    config,
    tls: sides.client,
    budget,
    meter,
    log: logging.logger("etcdmain"),
    announcePrefix: "bridge: ",
  });
}

/** @throws StartError */
export async function startBridge(options: StartBridgeOptions): Promise<RunningServer> {
  const { config, logging } = options;
  const startedAt = new Date();
  const log = logging.logger("etcdmain");
  log.info(
    `bridge: serving the v2 API from the v3 cluster at ${config.bridge.endpoints.join(",")}, prefix ${JSON.stringify(config.bridge.prefix)}`,
  );
  const client = createClient(config.bridge);
  const meter = new CountingMeter();
  const bridge = await openBridge(options, client, new BridgeCounters(meter));
  const cluster = new UpstreamCluster({ client, clientUrls: urlTexts(config.advertiseClientUrls) });
  await cluster.start();
  const sides = await openSides(options);
  const metrics = bridgeMetrics(config, meter, () => ({
    ports,
    sides,
    bridge,
    cluster,
  }));
  const accessLog = await startAccessLog(config, logging, meter);
  const ports = await openPorts(options, sides, meter);
  const server = new BridgeServer({
    bridge,
    cluster,
    meter,
    startedAt,
    // etcd 2.3.8 names no character set; the text is ASCII.
    metricsPage: async () => ({
      ...(await metrics.page()),
      contentType: "text/plain; version=0.0.4",
    }),
    debugVars: () =>
      new Map<string, unknown>([
        ["cmdline", process.argv.slice(1).map(hideCredentials)],
        ["file_descriptor_limit", fdLimit()],
        ["memstats", { ...process.memoryUsage() }],
      ]),
    setLogLevel: (level) => {
      logging.setLevel(level);
    },
    log: logging.logger("etcdhttp"),
  });
  const tracing = await startTracing(config, logging);
  const app = createApp(server, {
    ...pageOptions(config),
    pprof: config.pprof,
    watchesMax: config.clientWatchersMax,
    unavailable: (method, path) => unavailable(cluster.state, method, path),
  });
  const logged = accessLog.around(app);
  const traced = tracing?.around(logged) ?? logged;
  ports.open(withRequestLines(traced, logging.logger("etcdhttp")), app);
  setTimeout(() => {
    void metrics.start();
  }, METRICS_START_DELAY_MS).unref();
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    cluster.stop();
    const closed = ports.close(CLOSE_GRACE_MS);
    bridge.close();
    await closed;
    client.close();
    await tracing?.close();
    sides.client?.close();
    sides.peer?.close();
    accessLog.close();
  };
  return { close: () => (closing ??= close()) };
}
