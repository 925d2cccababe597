/** What a configuration says once it has been read and checked. Types alone. */
import type { InitialCluster } from "./initial-cluster.ts";
import type { LogLevel } from "@etcd2/observability";
import type { CollectorAddress, SocketUrl } from "./urls.ts";

/** TLS files of one side; "" where not given. */
export interface TlsConfig {
  readonly certFile: string;
  readonly keyFile: string;
  /** Deprecated: also demands client certificates. */
  readonly caFile: string;
  readonly trustedCaFile: string;
  readonly crlFile: string;
  readonly clientCertAuth: boolean;
  readonly autoTls: boolean;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  readonly selfSignedYears: number;
}

export interface ProxyConfig {
  readonly mode: "off" | "readonly" | "on";
  readonly failureWaitMs: number;
  readonly refreshIntervalMs: number;
  /** 0 means no limit, here and below. */
  readonly dialTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly readTimeoutMs: number;
}

export interface LogConfig {
  readonly level: LogLevel;
  /** Unchecked text of --log-package-levels; a bad one only warns. */
  readonly packageLevels: string;
  /** "auto" is text on a terminal and JSON elsewhere. */
  readonly format: "text" | "json" | "auto";
}

export interface TracingConfig {
  readonly enabled: boolean;
  readonly collector: CollectorAddress;
  readonly serviceName: string;
  readonly instanceId: string;
  readonly samplesPerMillion: number;
}

/** The v3 cluster that a bridge serves from. */
export interface BridgeConfig {
  /** `http://host:port` or `https://host:port`; none when this is no bridge. */
  readonly endpoints: readonly string[];
  /** "" or "/name", without a slash at the end. */
  readonly prefix: string;
  /** File names; "" where not given, for the four below. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly passwordFile: string;
  /** "" without one. */
  readonly username: string;
}

export interface ServerConfig {
  readonly name: string;
  readonly dataDir: string;
  /** The data directory was not given; the start-up log says so. */
  readonly isDataDirDefault: boolean;
  /** "" when the log lives in the data directory. */
  readonly walDir: string;
  readonly snapshotCount: number;
  /** Entries kept for followers that lag when the log is compacted. */
  readonly catchUpEntries: number;
  readonly heartbeatMs: number;
  readonly electionMs: number;
  /** Whole heartbeats in an election timeout. */
  readonly electionTicks: number;
  readonly listenPeerUrls: readonly SocketUrl[];
  readonly listenClientUrls: readonly SocketUrl[];
  readonly listenMetricsUrls: readonly SocketUrl[];
  /** Where members serve the console; empty is off. */
  readonly listenConsoleUrls: readonly SocketUrl[];
  readonly advertisePeerUrls: readonly SocketUrl[];
  readonly advertiseClientUrls: readonly SocketUrl[];
  /** Origins of pages that may use this server; `*` stands for any. */
  readonly cors: readonly string[];
  /** Names that requests over http may be addressed to; `*` accepts any, none are a default. */
  readonly hostWhitelist: readonly string[];
  /** With discovery: this member's own entry alone. With discoverySrv: empty. */
  readonly initialCluster: InitialCluster;
  readonly isInitialClusterDefault: boolean;
  readonly isAdvertisePeerUrlsDefault: boolean;
  readonly initialClusterState: "new" | "existing";
  readonly initialClusterToken: string;
  readonly discovery: string;
  readonly discoverySrv: string;
  readonly discoverySrvName: string;
  readonly discoveryFallback: "exit" | "proxy";
  readonly discoveryProxy: string;
  readonly strictReconfigCheck: boolean;
  readonly forceNewCluster: boolean;
  readonly proxy: ProxyConfig;
  readonly bridge: BridgeConfig;
  readonly clientTls: TlsConfig;
  readonly peerTls: TlsConfig;
  readonly log: LogConfig;
  /** "" is off, "-" is stdout. */
  readonly accessLog: string;
  readonly pprof: boolean;
  readonly metrics: "basic" | "extensive";
  /** Also serve the metric names of etcd 2.3. */
  readonly metricsCompat: boolean;
  readonly metricsNeedAuth: boolean;
  readonly allNeedAuth: boolean;
  readonly tracing: TracingConfig;
  /** Events kept for watches from the past. */
  readonly watchHistory: number;
  /** Bytes of keys and values; 0 means no limit, as for the three below. */
  readonly quotaBytes: number;
  readonly diskReserveBytes: number;
  readonly connectionsMax: number;
  readonly clientWatchersMax: number;
  /** Between two comparisons of the members' states; 0 is never. */
  readonly stateCheckMs: number;
  /** Threads that serve clients; 0 to 64, 0 for none of their own. */
  readonly gatewayThreads: number;
  /** Cost of password hashes, 4 to 31. */
  readonly bcryptCost: number;
}
