/**
 * Owns the server's configuration: one readonly record from flags, variables, file and defaults,
 * and the checks that need nothing but these. It reads no process state: arguments, environment
 * and file access are passed in, and what should be printed or logged is handed back.
 */
import { parseUrl, portOf, UrlError } from "@etcd2/net-url";
import { isIP } from "node:net";
import { completionOutcome } from "./complete.ts";
import { applyConfigFile } from "./config-file.ts";
import type { Environment } from "./env.ts";
import { applyEnvironment } from "./env.ts";
import type { FlagName } from "./flag-table.ts";
import type { Notice } from "./flags.ts";
import { FlagSet, parseArgv } from "./flags.ts";
import { flagsText, usageText } from "./help.ts";
import type { InitialCluster } from "./initial-cluster.ts";
import { defaultInitialCluster } from "@etcd2/member-dir";
import { parseInitialCluster } from "./initial-cluster.ts";
import type { LogLevel } from "@etcd2/observability";
import type { SocketUrl } from "./urls.ts";
import type {
  TlsConfig,
  ProxyConfig,
  LogConfig,
  BridgeConfig,
  ServerConfig,
} from "./server-config.ts";
import { addressToUrl } from "./urls.ts";
import { versionLines } from "../base/version.ts";

/**
 * What to do: run, or print and leave. Notices are to be logged, in order, as soon as there is a
 * logger; stdout and stderr are written as they are.
 */
export type ConfigOutcome =
  | { readonly kind: "run"; readonly config: ServerConfig; readonly notices: readonly Notice[] }
  | {
      readonly kind: "exit";
      readonly status: number;
      readonly stdout: string;
      readonly stderr: string;
      readonly notices: readonly Notice[];
    };

function leave(
  status: number,
  output: { stdout?: string; stderr?: string; notices?: readonly Notice[] },
): ConfigOutcome {
  const { stdout = "", stderr = "", notices = [] } = output;
  return { kind: "exit", status, stdout, stderr, notices };
}

/** The status for a setting that cannot be used, wherever it was made: no later start can do better. */
const BAD_SETTING_STATUS = 2;

/** Thrown inside this file alone; parseConfig turns it into log lines and status 1. */
class ConfigProblem extends Error {
  override readonly name: string = "ConfigProblem";
  readonly lines: readonly Notice[];
  readonly status: number = 1;
  constructor(level: LogLevel, ...lines: readonly string[]) {
    super(lines[0]);
    this.lines = lines.map((message) => ({ level, pkg: "etcdmain", message }));
  }
}

/** A variable or the configuration file has a setting that a flag could not have either. */
class BadSetting extends ConfigProblem {
  override readonly name = "BadSetting";
  override readonly status = BAD_SETTING_STATUS;
  constructor(message: string) {
    super("critical", message);
  }
}

/** A violated rule among flags that are well-formed each for itself. */
function wrong(reason: string, ...more: readonly string[]): ConfigProblem {
  return new ConfigProblem(
    "error",
    `error verifying flags, ${reason}. See 'etcd --help'.`,
    ...more,
  );
}

/**
 * Reads the whole configuration.
 * @param argv arguments after the program's name
 * @param readFile reads the configuration file as text, or throws
 */
export async function parseConfig(
  argv: readonly string[],
  env: Environment,
  readFile: (path: string) => string,
): Promise<ConfigOutcome> {
  const completion = completionOutcome(argv);
  if (completion !== undefined) return leave(completion.status, { ...completion, notices: [] });
  const flags = new FlagSet();
  const outcome = parseArgv(argv, flags);
  const { notices } = flags;
  if (outcome.kind === "help") {
    return leave(0, { stdout: `${usageText}\n${flagsText()}`, notices });
  }
  if (outcome.kind === "error") {
    return leave(BAD_SETTING_STATUS, {
      stdout: usageText,
      stderr: `${outcome.message}\n`,
      notices,
    });
  }
  try {
    const word = outcome.words[0];
    if (word !== undefined) throw wrong(`'${word}' is not a valid flag`);
    if (flags.on("version")) return leave(0, { stdout: `${versionLines().join("\n")}\n`, notices });
    const badVariable = applyEnvironment(env, flags);
    if (badVariable !== undefined) throw new BadSetting(badVariable);
    const file = flags.text("config-file");
    const badFile = file === "" ? undefined : await applyConfigFile(file, readFile, flags);
    if (badFile !== undefined) throw new BadSetting(badFile);
    const config = buildConfig(flags);
    const isBridge = config.bridge.endpoints.length > 0;
    return {
      kind: "run",
      config,
      notices: isBridge ? [...notices, ...uselessFlags(flags)] : notices,
    };
  } catch (error) {
    if (!(error instanceof ConfigProblem)) throw error;
    return leave(error.status, { notices: [...notices, ...error.lines] });
  }
}

function buildConfig(flags: FlagSet): ServerConfig {
  checkBootstrapFlags(flags);
  const clientTls = tlsConfig(flags, "");
  const peerTls = tlsConfig(flags, "peer-");
  const urls = memberUrls(flags, clientTls, peerTls);
  checkAdvertised(flags);
  const timing = timingConfig(flags);
  const name = flags.text("name");
  const dataDir = flags.text("data-dir");
  return {
    name,
    dataDir: dataDir === "" ? `${name}.etcd` : dataDir,
    isDataDirDefault: dataDir === "",
    walDir: flags.text("wal-dir"),
    snapshotCount: flags.count("snapshot-count") || 10000,
    catchUpEntries: flags.count("snapshot-catchup-entries"),
    ...timing,
    ...urls,
    listenMetricsUrls: flags.urls("listen-metrics-urls"),
    listenConsoleUrls: flags.urls("listen-console-urls"),
    cors: corsOrigins(flags),
    hostWhitelist: hostWhitelist(flags),
    ...clusterConfig(flags, urls.advertisePeerUrls),
    strictReconfigCheck: flags.on("strict-reconfig-check"),
    forceNewCluster: flags.on("force-new-cluster"),
    proxy: proxyConfig(flags),
    bridge: bridgeConfig(flags),
    clientTls,
    peerTls,
    log: logConfig(flags),
    accessLog: flags.text("access-log"),
    pprof: flags.on("enable-pprof"),
    metrics: flags.text("metrics") === "extensive" ? "extensive" : "basic",
    metricsCompat: flags.text("metrics-compat") === "2.3",
    metricsNeedAuth: flags.on("auth-metrics"),
    allNeedAuth: flags.on("auth-all-endpoints"),
    tracing: {
      enabled: flags.on("enable-distributed-tracing"),
      collector: flags.collector("distributed-tracing-address"),
      serviceName: flags.text("distributed-tracing-service-name") || "etcd",
      instanceId: flags.text("distributed-tracing-instance-id"),
      samplesPerMillion: flags.count("distributed-tracing-sampling-rate"),
    },
    watchHistory: flags.count("watch-history"),
    quotaBytes: flags.count("quota-backend-bytes"),
    diskReserveBytes: flags.count("disk-reserve-bytes"),
    connectionsMax: flags.count("max-connections"),
    clientWatchersMax: flags.count("max-client-watchers"),
    stateCheckMs: flags.count("state-check-interval") * 60_000,
    gatewayThreads: gatewayThreads(flags),
    bcryptCost: flags.count("bcrypt-cost"),
  };
}

function checkBootstrapFlags(flags: FlagSet): void {
  const ways = ["initial-cluster", "discovery", "discovery-srv"] as const;
  if (ways.filter((way) => flags.isSet(way)).length > 1) {
    throw wrong(
      "multiple discovery or bootstrap flags are set. " +
        'Choose one of "initial-cluster", "discovery" or "discovery-srv"',
    );
  }
}

function tlsConfig(flags: FlagSet, prefix: "" | "peer-"): TlsConfig {
  const tls = {
    certFile: flags.text(`${prefix}cert-file`),
    keyFile: flags.text(`${prefix}key-file`),
    caFile: flags.text(`${prefix}ca-file`),
    trustedCaFile: flags.text(`${prefix}trusted-ca-file`),
    crlFile: flags.text(prefix === "" ? "client-crl-file" : "peer-crl-file"),
    clientCertAuth: flags.on(prefix === "" ? "client-cert-auth" : "peer-client-cert-auth"),
    autoTls: flags.on(`${prefix}auto-tls`),
    minVersion: flags.text("tls-min-version") === "TLS1.3" ? "TLSv1.3" : "TLSv1.2",
    selfSignedYears: flags.count("self-signed-cert-validity"),
  } as const;
  if ((tls.certFile === "") !== (tls.keyFile === "")) {
    throw new ConfigProblem(
      "critical",
      `KeyFile and CertFile must both be present[key: ${tls.keyFile}, cert: ${tls.certFile}]`,
    );
  }
  return tls;
}

function hasTls(tls: TlsConfig): boolean {
  return tls.certFile !== "" || tls.autoTls;
}

/** The URLs of one purpose: from the flag, or from its predecessor of etcd 0.4. */
function urlsOf(
  flags: FlagSet,
  name: FlagName,
  old: { readonly name: FlagName; readonly isUsed: boolean },
  url: SocketUrl | undefined,
): readonly SocketUrl[] {
  if (!old.isUsed || url === undefined) return flags.urls(name);
  if (flags.isSet(name)) throw wrong(`Set only one of flags -${name} and -${old.name}`);
  return [url];
}

function memberUrls(flags: FlagSet, clientTls: TlsConfig, peerTls: TlsConfig) {
  const side = (prefix: "" | "peer-", tls: TlsConfig) => {
    const scheme = hasTls(tls) ? "https" : "http";
    const addr = flags.address(`${prefix}addr`);
    // An old address to advertise without one to listen on listens on every interface.
    const bound = flags.address(`${prefix}bind-addr`);
    const bind = bound ?? (addr === undefined ? undefined : { ip: "::", port: addr.port });
    return {
      addr: addr === undefined ? undefined : addressToUrl(addr, scheme),
      bind: bind === undefined ? undefined : addressToUrl(bind, scheme),
    };
  };
  const client = side("", clientTls);
  const peer = side("peer-", peerTls);
  const use = (name: FlagName, old: FlagName, url: SocketUrl | undefined) =>
    urlsOf(flags, name, { name: old, isUsed: url !== undefined }, url);
  return {
    listenPeerUrls: use("listen-peer-urls", "peer-bind-addr", peer.bind),
    advertisePeerUrls: use("initial-advertise-peer-urls", "peer-addr", peer.addr),
    listenClientUrls: use("listen-client-urls", "bind-addr", client.bind),
    advertiseClientUrls: use("advertise-client-urls", "addr", client.addr),
  };
}

function checkAdvertised(flags: FlagSet): void {
  const mayFallBack = flags.isSet("discovery") && flags.text("discovery-fallback") === "proxy";
  if (flags.text("proxy") !== "off" || mayFallBack) return;
  if (flags.isSet("listen-client-urls") && !flags.isSet("advertise-client-urls")) {
    throw wrong(
      "-advertise-client-urls is required when -listen-client-urls is set explicitly",
      "When listening on specific address(es), this etcd process must advertise accessible url(s) to each connected client.",
    );
  }
}

function timingConfig(flags: FlagSet) {
  const heartbeatMs = flags.count("heartbeat-interval");
  const electionMs = flags.count("election-timeout");
  const election = `-election-timeout[${electionMs.toFixed(0)}ms]`;
  const heartbeat = `-heartbeat-interval[${heartbeatMs.toFixed(0)}ms]`;
  if (heartbeatMs === 0) throw wrong(`${heartbeat} should be greater than 0`);
  if (5 * heartbeatMs > electionMs) {
    throw wrong(`${election} should be at least as 5 times as ${heartbeat}`);
  }
  if (electionMs > 50000) {
    throw wrong(`${election} is too long, and should be set less than 50000ms`);
  }
  return { heartbeatMs, electionMs, electionTicks: Math.floor(electionMs / heartbeatMs) };
}

/** Origins are compared as text; what has no scheme can be none. */
function isOrigin(text: string): boolean {
  try {
    return parseUrl(text).scheme !== "";
  } catch (error) {
    if (error instanceof UrlError) return false;
    throw error;
  }
}

function commaList(
  flags: FlagSet,
  name: "cors" | "host-whitelist" | "v3-endpoints",
): readonly string[] {
  return flags
    .text(name)
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function corsOrigins(flags: FlagSet): readonly string[] {
  const origins = commaList(flags, "cors");
  for (const origin of origins) {
    if (origin !== "*" && !isOrigin(origin)) {
      throw wrong(`invalid value ${JSON.stringify(origin)} for -cors: not an origin`);
    }
  }
  return origins;
}

function hostWhitelist(flags: FlagSet): readonly string[] {
  const names = commaList(flags, "host-whitelist");
  for (const name of names) {
    // A host name or an address as the Host header has it, IPv6 with or without its brackets.
    const isName = name === "*" || isIP(name.replace(/^\[(.*)\]$/, "$1")) !== 0;
    if (!isName && !/^[a-zA-Z0-9._~%-]+$/.test(name)) {
      throw wrong(
        `invalid value ${JSON.stringify(name)} for -host-whitelist: not a host name (give names without scheme and port)`,
      );
    }
  }
  return names;
}

function clusterConfig(flags: FlagSet, advertisePeerUrls: readonly SocketUrl[]) {
  const name = flags.text("name");
  const discovery = flags.text("discovery");
  const discoverySrv = flags.text("discovery-srv");
  const isSet = flags.isSet("initial-cluster");
  const text = isSet ? flags.text("initial-cluster") : defaultInitialCluster(name);
  const parsed = parseInitialCluster(text);
  if (!parsed.ok) {
    throw new ConfigProblem("critical", `error setting up initial cluster: ${parsed.error}`);
  }
  const usesDiscovery = discovery !== "";
  const usesSrv = !usesDiscovery && discoverySrv !== "";
  const initialCluster: InitialCluster = usesDiscovery
    ? new Map([[name, advertisePeerUrls]])
    : usesSrv
      ? new Map()
      : parsed.value;
  return {
    initialCluster,
    isInitialClusterDefault: text === defaultInitialCluster(name),
    isAdvertisePeerUrlsDefault:
      !flags.isSet("initial-advertise-peer-urls") && !flags.isSet("peer-addr"),
    initialClusterState: flags.text("initial-cluster-state") === "existing" ? "existing" : "new",
    initialClusterToken: flags.text("initial-cluster-token"),
    discovery,
    discoverySrv,
    discoverySrvName: flags.text("discovery-srv-name"),
    discoveryFallback: flags.text("discovery-fallback") === "exit" ? "exit" : "proxy",
    discoveryProxy: flags.text("discovery-proxy"),
  } as const;
}

function proxyConfig(flags: FlagSet): ProxyConfig {
  const mode = flags.text("proxy");
  return {
    mode: mode === "on" || mode === "readonly" ? mode : "off",
    failureWaitMs: flags.count("proxy-failure-wait"),
    refreshIntervalMs: flags.count("proxy-refresh-interval"),
    dialTimeoutMs: flags.count("proxy-dial-timeout"),
    writeTimeoutMs: flags.count("proxy-write-timeout"),
    readTimeoutMs: flags.count("proxy-read-timeout"),
  };
}

const GATEWAY_THREADS_MAX = 64;

function gatewayThreads(flags: FlagSet): number {
  const threads = flags.count("gateway-threads");
  if (threads === 0) return 0;
  if (threads > GATEWAY_THREADS_MAX) {
    throw wrong(
      `invalid value "${threads.toFixed(0)}" for -gateway-threads: at most ${GATEWAY_THREADS_MAX.toFixed(0)}`,
    );
  }
  if (flags.on("enable-distributed-tracing")) {
    throw wrong("-gateway-threads and -enable-distributed-tracing exclude each other");
  }
  const isMember = flags.text("proxy") === "off" && flags.text("v3-endpoints") === "";
  if (!isMember)
    throw wrong("-gateway-threads is for members: leave it out with -proxy and -v3-endpoints");
  return threads;
}

/** The flags that need `--v3-endpoints`. */
const bridgeFlags = [
  "v3-cafile",
  "v3-certfile",
  "v3-keyfile",
  "v3-username",
  "v3-password-file",
] as const;

function bridgeConfig(flags: FlagSet): BridgeConfig {
  const endpoints = commaList(flags, "v3-endpoints").map(endpointOf);
  if (endpoints.length === 0) {
    const lonely = bridgeFlags.find((name) => flags.text(name) !== "");
    if (lonely !== undefined) throw wrong(`-${lonely} is of no use without -v3-endpoints`);
  }
  if (endpoints.length > 0) checkAlone(flags);
  const prefix = flags.text("v3-prefix").replace(/\/+$/, "");
  if (prefix !== "" && (!prefix.startsWith("/") || prefix.includes("//"))) {
    throw wrong(`invalid value ${JSON.stringify(prefix)} for -v3-prefix: not a path like /v2`);
  }
  const [certFile, keyFile] = [flags.text("v3-certfile"), flags.text("v3-keyfile")];
  if ((certFile === "") !== (keyFile === "")) {
    throw wrong("-v3-certfile and -v3-keyfile must be given together");
  }
  const [username, passwordFile] = [flags.text("v3-username"), flags.text("v3-password-file")];
  if ((username === "") !== (passwordFile === "")) {
    throw wrong("-v3-username and -v3-password-file must be given together");
  }
  const caFile = flags.text("v3-cafile");
  return { endpoints, prefix, caFile, certFile, keyFile, passwordFile, username };
}

/**
 * Flags that say how a member keeps data and meets its peers, or how a proxy asks members. They stand in
 * the unit files and variables that a bridge inherits from the member it replaces, so that they are named
 * and not refused.
 */
const withoutEffectOnBridge = [
  ...["name", "data-dir", "wal-dir", "snapshot-count", "snapshot-catchup-entries"],
  ...["heartbeat-interval", "election-timeout", "listen-peer-urls", "watch-history"],
  ...["initial-advertise-peer-urls", "initial-cluster", "initial-cluster-state"],
  ...["initial-cluster-token", "discovery-srv-name", "discovery-fallback", "discovery-proxy"],
  ...["strict-reconfig-check", "proxy-failure-wait", "proxy-refresh-interval"],
  ...["proxy-dial-timeout", "proxy-write-timeout", "proxy-read-timeout"],
  ...["bcrypt-cost", "listen-console-urls", "quota-backend-bytes", "disk-reserve-bytes"],
] as readonly FlagName[];

function uselessFlags(flags: FlagSet): readonly Notice[] {
  const useless = withoutEffectOnBridge.filter((name) => flags.isSet(name));
  if (useless.length === 0) return [];
  const names = useless.map((name) => `-${name}`).join(", ");
  const have = useless.length === 1 ? "has" : "have";
  const message = `a bridge is no member: ${names} ${have} no effect beside -v3-endpoints`;
  return [{ level: "warning", pkg: "etcdmain", message }];
}

/** A bridge is no member and no proxy. */
function checkAlone(flags: FlagSet): void {
  if (flags.text("proxy") !== "off") throw wrong("-proxy and -v3-endpoints exclude each other");
  const others = ["discovery", "discovery-srv", "force-new-cluster"] as const;
  const other = others.find((name) => flags.isSet(name));
  if (other !== undefined) throw wrong(`-${other} and -v3-endpoints exclude each other`);
  const guards = ["auth-metrics", "auth-all-endpoints"] as const;
  const guard = guards.find((name) => flags.on(name));
  if (guard !== undefined)
    throw wrong(`-${guard} cannot be kept beside -v3-endpoints: leave it out`);
}

/** The port that no connection goes beyond. */
const PORT_MAX = 65_535;

/** Scheme, host and port and no more; a final slash is left out. The host is judged by the resolver alone. */
function endpointOf(given: string): string {
  const fault = (why: string): ConfigProblem =>
    wrong(`invalid value ${JSON.stringify(given)} for -v3-endpoints: ${why}`);
  try {
    const url = parseUrl(given);
    const isBare = (url.path === "" || url.path === "/") && !/[?#]/.test(url.text);
    const isHttp = url.scheme === "http" || url.scheme === "https";
    if (!isHttp || !isBare || url.hostname === "" || url.user !== undefined) {
      throw fault("not a URL like http://host:port");
    }
    if (portOf(url) > PORT_MAX || portOf(url) === 0) throw fault("no connection has such a port");
    return url.text.replace(/\/$/, "");
  } catch (error) {
    if (error instanceof UrlError) throw fault(error.message);
    throw error;
  }
}

const levelOfName: Readonly<Record<string, LogLevel>> = {
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
  panic: "critical",
  fatal: "critical",
};

function logFormat(text: string): LogConfig["format"] {
  return text === "json" || text === "auto" ? text : "text";
}

function logConfig(flags: FlagSet): LogConfig {
  return {
    level: flags.on("debug") ? "debug" : (levelOfName[flags.text("log-level")] ?? "info"),
    packageLevels: flags.text("log-package-levels"),
    format: logFormat(flags.text("log-format")),
  };
}
