/** The instruments of a proxy, by the method of the request. */
import type { Counter, Histogram, Meter } from "@etcd2/observability";

export interface ProxyCounts {
  readonly requests: Counter<readonly [method: string]>;
  /** By the status of the member's answer. */
  readonly handled: Counter<readonly [method: string, code: string]>;
  /** By what hindered the proxy, in the words of etcd 2.3.8. */
  readonly dropped: Counter<readonly [method: string, error: string]>;
  readonly seconds: Histogram<readonly [method: string]>;
}

/** Gets the instruments from the meter. */
export function createProxyCounts(meter: Meter): ProxyCounts {
  return {
    requests: meter.counter("etcd_proxy_requests_total"),
    handled: meter.counter("etcd_proxy_handled_total"),
    dropped: meter.counter("etcd_proxy_dropped_total"),
    seconds: meter.histogram("etcd_proxy_handling_duration_seconds"),
  };
}
