/** Owns what a bridge counts about its way to the v3 cluster. */
import type { UpstreamObserver } from "@etcd2/v3";
import { LabelledCounts, LabelledHistograms } from "../metrics/counters.ts";
import { doublingBuckets } from "../metrics/histogram.ts";

export class BridgeCounters implements UpstreamObserver {
  /** Seconds, by kind; from half a millisecond up to eight seconds. */
  readonly calls = new LabelledHistograms(doublingBuckets(0.0005, 15));
  readonly failures = new LabelledCounts();
  retries = 0;
  conflicts = 0;

  called(kind: "read" | "write" | "lease", seconds: number, ok: boolean): void {
    this.calls.observe(kind, seconds);
    if (!ok) this.failures.add(kind);
  }

  retried(): void {
    this.retries += 1;
  }

  conflicted(): void {
    this.conflicts += 1;
  }
}
