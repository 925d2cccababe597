/**
 * Owns the flags of other releases that are tolerated so that their start scripts keep working:
 * switches of etcd 0.4 and the flags of etcd 3.x that mean nothing here. Flags whose silent loss
 * would weaken security are refused instead.
 */
import type { FlagSpec } from "./flag-spec.ts";

/** Switches of etcd 0.4: a value must be attached with "=". */
const ignored = [
  "cluster-active-size",
  "cluster-remove-delay",
  "cluster-sync-interval",
  "config",
  "force",
  "max-result-buffer",
  "max-retry-attempts",
  "peer-heartbeat-interval",
  "peer-election-timeout",
  "retry-interval",
  "snapshot",
  "v",
  "vv",
];

/** Flags of etcd 3.x that take a value; the text is a hint for the reader of the warning. */
const valued: Readonly<Record<string, string>> = {
  logger: "Use --log-format=json for structured logs.",
  "log-output": "Logs go to stderr.",
  "log-outputs": "Logs go to stderr.",
  "log-rotation-config-json": "",
  "auto-compaction-retention": "",
  "auto-compaction-mode": "",
  "backend-batch-interval": "",
  "backend-batch-limit": "",
  "backend-bbolt-freelist-type": "",
  "max-txn-ops": "",
  "max-request-bytes": "Request bodies may have 10 MiB, as in etcd 2.3.",
  "max-concurrent-streams": "",
  "max-learners": "",
  "grpc-keepalive-min-time": "",
  "grpc-keepalive-interval": "",
  "grpc-keepalive-timeout": "",
  "auth-token": "",
  "auth-token-ttl": "",
  "v2-deprecation": "",
  "feature-gates": "",
  "corrupt-check-time": "",
  "compact-hash-check-time": "",
  "compaction-batch-limit": "",
  "compaction-sleep-interval": "",
  "watch-progress-notify-interval": "",
  "warning-apply-duration": "",
  "warning-unary-request-duration": "",
  "downgrade-check-time": "",
  "bootstrap-defrag-threshold-megabytes": "",
  "experimental-gRPC-addr": "",
  "experimental-auto-compaction-retention": "",
  "experimental-corrupt-check-time": "",
  "experimental-compact-hash-check-time": "",
  "experimental-enable-v2v3": "",
  "experimental-backend-bbolt-freelist-type": "",
  "experimental-bootstrap-defrag-threshold-megabytes": "",
  "experimental-compaction-batch-limit": "",
  "experimental-compaction-sleep-interval": "",
  "experimental-downgrade-check-time": "",
  "experimental-max-learners": "",
  "experimental-warning-apply-duration": "",
  "experimental-warning-unary-request-duration": "",
  "experimental-watch-progress-notify-interval": "",
};

/** Switches of etcd 3.x. */
const switches: Readonly<Record<string, string>> = {
  "enable-v2": "The v2 API is always served.",
  "enable-grpc-gateway": "",
  "enable-log-rotation": "",
  "initial-election-tick-advance": "",
  "pre-vote": "There is always a pre-vote.",
  "socket-reuse-port": "",
  "socket-reuse-address": "",
  "unsafe-no-fsync": "Every acknowledged write is synced.",
  "initial-corrupt-check": "",
  "compact-hash-check-enabled": "",
  "memory-mlock": "",
  "stop-grpc-service-on-defrag": "",
  "experimental-v3demo": "There is no v3 API.",
  "experimental-initial-corrupt-check": "",
  "experimental-compact-hash-check-enabled": "",
  "experimental-enable-lease-checkpoint": "",
  "experimental-enable-lease-checkpoint-persist": "",
  "experimental-memory-mlock": "",
  "experimental-peer-skip-client-san-verification": "",
  "experimental-stop-grpc-service-on-defrag": "",
  "experimental-txn-mode-write-with-shared-buffer": "",
};

/** Flags of etcd 3.x that restrict access; the value is the default, which is harmless. */
const refused: Readonly<Record<string, string>> = {
  "client-cert-allowed-hostname": "",
  "peer-cert-allowed-cn": "",
  "peer-cert-allowed-hostname": "",
  "client-cert-file": "",
  "client-key-file": "",
  "peer-client-cert-file": "",
  "peer-client-key-file": "",
  "cipher-suites": "",
  "tls-max-version": "",
};

/** Flags that bore this prefix while they were experiments. */
const onceExperimental: Readonly<Record<string, FlagSpec["kind"]>> = {
  "enable-distributed-tracing": "switch",
  "distributed-tracing-address": "collector",
  "distributed-tracing-service-name": "text",
  "distributed-tracing-instance-id": "text",
};

function rows(
  kind: FlagSpec["kind"],
  texts: Readonly<Record<string, string>>,
): readonly FlagSpec[] {
  return Object.entries(texts).map(([name, help]) => {
    return { name, kind, group: "foreign", default: "", help };
  });
}

/** All of them. */
export const foreignFlags: readonly FlagSpec[] = [
  ...ignored.map((name): FlagSpec => {
    return { name, kind: "ignored", group: "foreign", default: "", help: "" };
  }),
  ...rows("noop", valued),
  ...rows("noopSwitch", switches),
  ...Object.entries(refused).map(([name, value]): FlagSpec => {
    return { name, kind: "refused", group: "foreign", default: value, help: "" };
  }),
  ...Object.entries(onceExperimental).map(([name, kind]): FlagSpec => {
    const experimental = `experimental-${name}`;
    return { name: experimental, kind, group: "foreign", default: "", help: "", aliasOf: name };
  }),
  {
    name: "experimental-distributed-tracing-sampling-rate",
    kind: "count",
    group: "foreign",
    default: "0",
    max: 1_000_000,
    help: "",
    aliasOf: "distributed-tracing-sampling-rate",
  },
  {
    name: "experimental-snapshot-catchup-entries",
    kind: "count",
    group: "foreign",
    default: "5000",
    min: 1,
    help: "",
    aliasOf: "snapshot-catchup-entries",
  },
];
