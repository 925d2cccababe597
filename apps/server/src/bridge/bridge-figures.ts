/** Counts what a bridge does on its way to the v3 cluster. */
import type { Counter, Histogram, Meter } from "@etcd2/observability";
import type { UpstreamObserver } from "@etcd2/v3";

export class BridgeCounters implements UpstreamObserver {
  readonly #seconds: Histogram<readonly [kind: string]>;
  readonly #failures: Counter<readonly [kind: string]>;
  readonly #retries: Counter<readonly []>;
  readonly #conflicts: Counter<readonly []>;

  constructor(meter: Meter) {
    this.#seconds = meter.histogram("etcd2_bridge_upstream_duration_seconds");
    this.#failures = meter.counter("etcd2_bridge_upstream_failures_total");
    this.#retries = meter.counter("etcd2_bridge_upstream_retries_total");
    this.#conflicts = meter.counter("etcd2_bridge_conflicts_total");
  }

  called(kind: "read" | "write" | "lease", seconds: number, ok: boolean): void {
    this.#seconds.observe(seconds, kind);
    if (!ok) this.#failures.add(1, kind);
  }

  retried(): void {
    this.#retries.add(1);
  }

  conflicted(): void {
    this.#conflicts.add(1);
  }
}
