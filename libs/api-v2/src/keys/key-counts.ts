/** The instruments for requests of keys. Methods are GET, QGET (quorum), PUT, POST, DELETE and HEAD. */
import type { Counter, Histogram, Meter } from "@etcd2/observability";

/** What is counted about requests of keys. */
export interface KeyCounts {
  /** Parsed and authorised; watches are not counted. */
  readonly received: Counter<readonly [method: string]>;
  /** By the HTTP status they failed with. */
  readonly failed: Counter<readonly [method: string, code: string]>;
  readonly seconds: Histogram<readonly [method: string]>;
  /** Reads of whole subtrees are counted here, those of single keys by the store. */
  readonly reads: Counter<readonly [action: string]>;
  readonly watches: Counter<readonly []>;
}

/** Gets the instruments from the meter. */
export function createKeyCounts(meter: Meter): KeyCounts {
  return {
    received: meter.counter("etcd_http_received_total"),
    failed: meter.counter("etcd_http_failed_total"),
    seconds: meter.histogram("etcd_http_successful_duration_seconds"),
    reads: meter.counter("etcd_debugging_store_reads_total"),
    watches: meter.counter("etcd_debugging_store_watch_requests_total"),
  };
}
