/** The families about the process that prom-client does not have, or has otherwise. */
import type { MetricSpec } from "./spec.ts";

/** Families about the process. */
export const PROCESS_METRICS = {
  os_fd_used: {
    type: "gauge",
    help: "File descriptors in use.",
    read: true,
  },
  os_fd_limit: {
    type: "gauge",
    help: "File descriptors allowed.",
    read: true,
  },
  process_open_fds: {
    type: "gauge",
    help: "File descriptors in use.",
    of: "os_fd_used",
  },
  process_max_fds: {
    type: "gauge",
    help: "File descriptors allowed.",
    of: "os_fd_limit",
  },
  etcd2_tls_certificate_not_before_seconds: {
    type: "gauge",
    help: "Begin of validity of the certificate in use, in Unix seconds.",
    labels: ["side"],
    read: true,
  },
  etcd2_tls_certificate_not_after_seconds: {
    type: "gauge",
    help: "End of validity of the certificate in use, in Unix seconds.",
    labels: ["side"],
    read: true,
  },
  etcd2_tls_certificate_left_seconds: {
    type: "gauge",
    help: "Seconds until the certificate in use expires by this machine's clock; negative once it has.",
    labels: ["side"],
    read: true,
  },
  etcd2_build_info: {
    type: "gauge",
    help: "1 with the version of this server.",
    labels: ["version"],
    read: true,
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;
