/**
 * Owns the figures that are read when /metrics is asked for rather than counted as the server works,
 * as far as members, proxies and bridges share them: from what each of them knows to the families of the
 * catalogue.
 */
import type { Figures, Sample } from "@etcd2/observability";
import type { StoreStats } from "@etcd2/store";
import { compatVersion, productVersion } from "../base/version.ts";

export interface StoreFigures {
  readonly stats: StoreStats;
  /** Of the reads in `stats`, those of whole subtrees. */
  readonly recursiveReads: number;
  readonly watchers: number;
  readonly etcdIndex: number;
  /** Oldest and newest event kept for watchers from the past. */
  readonly historyFirstIndex: number;
  readonly historyLastIndex: number;
  /** Bytes of the database on disk, and an estimate of what of it is live. */
  readonly sizeBytes: number;
  readonly liveBytes: number;
  /** Size at which writes are refused; 0 or nothing means there is no limit. */
  readonly quotaBytes?: number;
}

export interface ClientFigures {
  readonly connections: number;
  readonly connectionsMax: number;
  /** Bytes of all client connections, closed ones included. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface DiskFigures {
  readonly freeBytes: number;
  readonly reserveBytes: number;
  readonly isLow: boolean;
}

export interface CertificateFigures {
  readonly side: "client" | "peer";
  /** Begin and end of its validity, in Unix seconds. */
  readonly notBeforeSeconds: number;
  readonly notAfterSeconds: number;
}

export interface ProcessFigures {
  readonly fdsUsed: number;
  readonly fdLimit: number;
  /** The certificates this process serves with. */
  readonly certificates: readonly CertificateFigures[];
}

/** A constant 1 whose label says something; no series where there is nothing to say. */
export function info(label: string, value: string): readonly Sample[] {
  return value === "" ? [] : [{ labels: { [label]: value }, value: 1 }];
}

function byAction(totals: Readonly<Record<string, number>>): readonly Sample[] {
  return Object.entries(totals).map(([action, value]) => ({ labels: { action }, value }));
}

/** What every process shows of itself. */
export function processFigures({ fdsUsed, fdLimit, certificates }: ProcessFigures): Figures {
  const bySide = (value: (figures: CertificateFigures) => number): readonly Sample[] =>
    certificates.map((one) => ({ labels: { side: one.side }, value: value(one) }));
  const nowSeconds = Math.floor(Date.now() / 1000);
  return {
    etcd_server_version: info("server_version", compatVersion),
    etcd2_build_info: info("version", productVersion),
    os_fd_used: fdsUsed,
    os_fd_limit: fdLimit,
    etcd2_tls_certificate_not_before_seconds: bySide((one) => one.notBeforeSeconds),
    etcd2_tls_certificate_not_after_seconds: bySide((one) => one.notAfterSeconds),
    etcd2_tls_certificate_left_seconds: bySide((one) => one.notAfterSeconds - nowSeconds),
  };
}

/** What is shown of the ports of clients. */
export function portFigures(clients: ClientFigures): Figures {
  return {
    etcd_network_client_grpc_received_bytes_total: clients.receivedBytes,
    etcd_network_client_grpc_sent_bytes_total: clients.sentBytes,
    etcd2_client_connections: clients.connections,
    etcd2_client_connections_max: clients.connectionsMax,
  };
}

/** What is shown of the store, failed reads and writes included. */
export function storeFigures({ stats, recursiveReads, ...store }: StoreFigures): Figures {
  const quotaBytes = store.quotaBytes ?? 0;
  const reads = stats.getsSuccess + stats.getsFail - recursiveReads;
  return {
    etcd_debugging_store_reads_total: byAction({ get: Math.max(0, reads) }),
    etcd_debugging_store_writes_total: byAction({
      set: stats.setsSuccess + stats.setsFail,
      create: stats.createSuccess + stats.createFail,
      update: stats.updateSuccess + stats.updateFail,
      delete: stats.deleteSuccess + stats.deleteFail,
      compareAndSwap: stats.compareAndSwapSuccess + stats.compareAndSwapFail,
      compareAndDelete: stats.compareAndDeleteSuccess + stats.compareAndDeleteFail,
    }),
    etcd_debugging_store_expires_total: stats.expireCount,
    etcd_debugging_store_watchers: store.watchers,
    etcd_mvcc_db_total_size_in_bytes: store.sizeBytes,
    etcd_mvcc_db_total_size_in_use_in_bytes: store.liveBytes,
    // Without a quota there is no series: 0 would read as "over quota" in the stock alerts.
    etcd_server_quota_backend_bytes: quotaBytes === 0 ? undefined : quotaBytes,
    etcd2_store_index: store.etcdIndex,
    etcd2_watch_history_first_index: store.historyFirstIndex,
    etcd2_watch_history_last_index: store.historyLastIndex,
  };
}
