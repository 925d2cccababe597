/**
 * Owns the list of flags: names, kinds, defaults and help texts, in the order `--help` shows them.
 * How values are read is in flags.ts; the flags of other releases that are only tolerated are in
 * foreign-flags.ts.
 */
import { DEFAULT_PEER_URLS } from "@etcd2/member-dir";
import type { FlagGroup, FlagKind, FlagSpec } from "./flag-spec.ts";
import { foreignFlags } from "./foreign-flags.ts";

const peerUrls = DEFAULT_PEER_URLS.join(",");
const clientUrls = "http://localhost:2379,http://localhost:4001";

type More = Pick<FlagSpec, "choices" | "min" | "max" | "replacedBy">;

function row<const Name extends string>(
  name: Name,
  kind: FlagKind,
  value: string,
  help: string,
  more: More = {},
): Omit<FlagSpec, "group"> & { readonly name: Name } {
  return { name, kind, default: value, help, ...more };
}

const member = [
  row("name", "text", "default", "human-readable name of this member"),
  row("data-dir", "text", "", "data directory; <name>.etcd when not given"),
  row("wal-dir", "text", "", "separate directory for the write-ahead log"),
  row("snapshot-count", "count", "10000", "applied entries between two snapshots"),
  row(
    "snapshot-catchup-entries",
    "count",
    "5000",
    "log entries kept after a snapshot, so that slow members can catch up",
    { min: 1 },
  ),
  row("heartbeat-interval", "count", "100", "time between heartbeats, in milliseconds"),
  row(
    "election-timeout",
    "count",
    "1000",
    "time without a leader before an election, in milliseconds",
  ),
  row("listen-peer-urls", "urls", peerUrls, "URLs to listen on for other members"),
  row("listen-client-urls", "urls", clientUrls, "URLs to listen on for clients"),
  row(
    "max-snapshots",
    "count",
    "5",
    "accepted without effect: there are no snapshot files to keep",
  ),
  row(
    "max-wals",
    "count",
    "5",
    "accepted without effect: log files are removed once they are no longer needed",
  ),
  row(
    "cors",
    "text",
    "",
    "comma-separated origins that browsers may call this member from (CORS), or * for any",
  ),
  row(
    "host-whitelist",
    "text",
    "",
    "comma-separated host names that http requests may be addressed to, or * for any",
  ),
  row(
    "config-file",
    "text",
    "",
    "YAML file with flag names as keys; flags and environment variables override it",
  ),
  row(
    "watch-history",
    "count",
    "100000",
    "past events kept for watchers that start at an earlier index",
    {
      min: 1,
      max: 100_000_000,
    },
  ),
];

const clustering = [
  row(
    "initial-advertise-peer-urls",
    "urls",
    peerUrls,
    "peer URLs of this member, advertised to the other members",
  ),
  row(
    "initial-cluster",
    "text",
    `default=${peerUrls.replace(",", ",default=")}`,
    "members of a new cluster: name=URL,name=URL",
  ),
  row("initial-cluster-state", "choice", "new", "new, or existing to join a running cluster", {
    choices: ["new", "existing"],
  }),
  row(
    "initial-cluster-token",
    "text",
    "etcd-cluster",
    "token that keeps the ids of this cluster apart from those of a cluster with the same URLs",
  ),
  row(
    "advertise-client-urls",
    "urls",
    clientUrls,
    "client URLs of this member, advertised to clients",
  ),
  row("discovery", "text", "", "discovery URL to form the cluster with"),
  row("discovery-srv", "text", "", "DNS domain whose SRV records name the members"),
  row("discovery-srv-name", "text", "", "suffix of the service name in those SRV records"),
  row(
    "discovery-fallback",
    "choice",
    "proxy",
    "what to do when the discovered cluster is full: exit or proxy",
    { choices: ["exit", "proxy"] },
  ),
  row("discovery-proxy", "text", "", "HTTP proxy for traffic to the discovery service"),
  row(
    "strict-reconfig-check",
    "switch",
    "false",
    "refuse member changes that would lose the quorum",
  ),
];

const proxy = [
  row("proxy", "choice", "off", "run as a proxy: off, readonly or on", {
    choices: ["off", "readonly", "on"],
  }),
  row(
    "proxy-failure-wait",
    "count",
    "5000",
    "time before a failed endpoint is tried again, in milliseconds",
  ),
  row(
    "proxy-refresh-interval",
    "count",
    "30000",
    "time between refreshes of the endpoints, in milliseconds",
  ),
  row(
    "proxy-dial-timeout",
    "count",
    "1000",
    "time limit for connecting to an endpoint, in milliseconds (0: no limit)",
  ),
  row(
    "proxy-write-timeout",
    "count",
    "5000",
    "time limit for writing a request, in milliseconds (0: no limit)",
  ),
  row(
    "proxy-read-timeout",
    "count",
    "0",
    "time limit for reading a response, in milliseconds (0: no limit, which watches need)",
  ),
];

const bridge = [
  row(
    "v3-endpoints",
    "text",
    "",
    "serve the v2 API from the etcd v3 cluster at these URLs, and store no data here",
  ),
  row("v3-prefix", "text", "/v2", "prefix in the v3 cluster under which the v2 keys are stored"),
  row("v3-cafile", "text", "", "CA certificates used to verify the v3 cluster"),
  row("v3-certfile", "text", "", "client certificate presented to the v3 cluster"),
  row("v3-keyfile", "text", "", "its private key"),
  row("v3-username", "text", "", "user of the v3 cluster for watches and expiries"),
  row("v3-password-file", "text", "", "file with the password of that user"),
];

const security = [
  row("cert-file", "text", "", "certificate for client listeners"),
  row("key-file", "text", "", "its private key"),
  row("client-cert-auth", "switch", "false", "require a certificate from clients"),
  row("trusted-ca-file", "text", "", "CA certificates used to verify client certificates"),
  row("client-crl-file", "text", "", "revocation list for client certificates"),
  row(
    "auto-tls",
    "switch",
    "false",
    "make a self-signed certificate for client listeners when none is given",
  ),
  row("peer-cert-file", "text", "", "certificate for peer listeners and connections to peers"),
  row("peer-key-file", "text", "", "its private key"),
  row("peer-client-cert-auth", "switch", "false", "require a certificate from peers"),
  row("peer-trusted-ca-file", "text", "", "CA certificates used to verify peers"),
  row("peer-crl-file", "text", "", "revocation list for peer certificates"),
  row(
    "peer-auto-tls",
    "switch",
    "false",
    "make a self-signed certificate for peer traffic when none is given",
  ),
  row(
    "self-signed-cert-validity",
    "count",
    "1",
    "validity of those self-signed certificates, in years",
    { min: 1, max: 100 },
  ),
  row("tls-min-version", "choice", "TLS1.2", "oldest TLS version accepted: TLS1.2 or TLS1.3", {
    choices: ["", "TLS1.2", "TLS1.3"],
  }),
  row("bcrypt-cost", "count", "10", "cost of password hashes", { min: 4, max: 31 }),
  row(
    "auth-metrics",
    "switch",
    "false",
    "require root's credentials for /metrics while authentication is enabled",
  ),
  row(
    "auth-all-endpoints",
    "switch",
    "false",
    "while authentication is enabled, require credentials for everything except keys, health and version",
  ),
];

const logging = [
  row("debug", "switch", "false", "log at level DEBUG"),
  row("log-level", "choice", "info", "debug, info, warn, error, panic or fatal", {
    choices: ["debug", "info", "warn", "error", "panic", "fatal"],
  }),
  row(
    "log-package-levels",
    "text",
    "",
    "levels by package, such as etcdmain=CRITICAL,etcdserver=DEBUG",
  ),
  row("log-format", "choice", "text", "text, json, or auto: text on a terminal, json elsewhere", {
    choices: ["text", "console", "json", "auto"],
  }),
  row(
    "access-log",
    "text",
    "",
    "write one JSON line per client request to this file, or - for stdout",
  ),
];

const monitoring = [
  row("enable-pprof", "switch", "false", "serve runtime profiles under /debug/pprof"),
  row("metrics", "choice", "basic", "basic, or extensive for per-method gRPC histograms too", {
    choices: ["basic", "extensive"],
  }),
  row(
    "metrics-compat",
    "choice",
    "2.3",
    "2.3 to serve the metric names of etcd 2.3 as well, none to leave them out",
    {
      choices: ["none", "2.3"],
    },
  ),
  row("listen-metrics-urls", "urls", "", "more URLs to serve /metrics and /health on"),
  row("listen-console-urls", "urls", "", "URLs to serve the console for browsers on"),
  row(
    "enable-distributed-tracing",
    "switch",
    "false",
    "send OpenTelemetry traces, see docs/operations/tracing.md",
  ),
  row(
    "distributed-tracing-address",
    "collector",
    "localhost:4317",
    "host:port of the collector (OTLP over gRPC), with https:// before it for TLS",
  ),
  row("distributed-tracing-service-name", "text", "etcd", "service name in traces"),
  row("distributed-tracing-instance-id", "text", "", "instance id in traces; must be unique"),
  row(
    "distributed-tracing-sampling-rate",
    "count",
    "0",
    "traces started per million requests that do not already belong to one",
    {
      max: 1_000_000,
    },
  ),
];

const limits = [
  row(
    "quota-backend-bytes",
    "count",
    "0",
    "total bytes of keys and values above which writes are refused (0: no limit)",
  ),
  row(
    "disk-reserve-bytes",
    "count",
    "134217728",
    "free disk space below which writes are refused (0: not watched); at most a tenth of the disk",
  ),
  row(
    "max-connections",
    "count",
    "0",
    "most client connections at once (0: as many as the open-file limit allows)",
  ),
  row(
    "max-client-watchers",
    "count",
    "0",
    "most watches open at this member, long polls and streams together; further ones get 503 (0: no limit)",
  ),
  row(
    "state-check-interval",
    "count",
    "60",
    "minutes between comparisons of this member's state with that of the others (0: never)",
    { max: 10_080 },
  ),
  row(
    "gateway-threads",
    "count",
    "0",
    "threads that serve clients beside the one that runs consensus (0: that one serves them too)",
  ),
];

const unsafe = [
  row(
    "force-new-cluster",
    "switch",
    "false",
    "start as the only member of a new cluster, with the data of this directory",
  ),
  row("version", "switch", "false", "print the version and exit"),
];

const deprecated = [
  row("addr", "address", "", "use -advertise-client-urls", { replacedBy: "advertise-client-urls" }),
  row("bind-addr", "address", "", "use -listen-client-urls", { replacedBy: "listen-client-urls" }),
  row("peer-addr", "address", "", "use -initial-advertise-peer-urls", {
    replacedBy: "initial-advertise-peer-urls",
  }),
  row("peer-bind-addr", "address", "", "use -listen-peer-urls", { replacedBy: "listen-peer-urls" }),
  row("ca-file", "text", "", "use -trusted-ca-file and -client-cert-auth", {
    replacedBy: "trusted-ca-file and -client-cert-auth",
  }),
  row("peer-ca-file", "text", "", "use -peer-trusted-ca-file and -peer-client-cert-auth", {
    replacedBy: "peer-trusted-ca-file and -peer-client-cert-auth",
  }),
  row("peers", "unsupported", "", "use -initial-cluster"),
  row("peers-file", "unsupported", "", "use -initial-cluster"),
];

/** Names of the flags whose values count. */
export type FlagName = (
  | typeof member
  | typeof clustering
  | typeof proxy
  | typeof bridge
  | typeof security
  | typeof logging
  | typeof monitoring
  | typeof limits
  | typeof unsafe
  | typeof deprecated
)[number]["name"];

function inGroup(group: FlagGroup, rows: readonly Omit<FlagSpec, "group">[]): readonly FlagSpec[] {
  return rows.map((flag) => ({ ...flag, group }));
}

/** Every flag, group by group. */
export const flagTable: readonly FlagSpec[] = [
  ...inGroup("member", member),
  ...inGroup("clustering", clustering),
  ...inGroup("proxy", proxy),
  ...inGroup("bridge", bridge),
  ...inGroup("security", security),
  ...inGroup("logging", logging),
  ...inGroup("monitoring", monitoring),
  ...inGroup("limits", limits),
  ...inGroup("unsafe", unsafe),
  ...inGroup("deprecated", deprecated),
  ...foreignFlags,
];
