/**
 * Ten minutes of a member's health, a sample every five seconds: what the counters and histograms of
 * the metrics gained since the sample before. Kept by every member, so that whoever opens the console
 * sees what was before. Knows neither the wire nor the page.
 */
import type { HealthSample } from "@etcd2/proto/console";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HealthSampleSchema } from "@etcd2/proto/console";
import type { CountingHistogram, CountingMeter, HistogramName } from "@etcd2/observability";

const SAMPLE_MS = 5000;
const SAMPLES_MAX = 120;

/** How often the lateness of the event loop is looked at. */
const LOOP_LOOK_MS = 100;

/** One sample, as it is told to others. */
export type Sample = MessageInitShape<typeof HealthSampleSchema> &
  Pick<HealthSample, "atMs" | "fsyncP99Seconds" | "loopDelaySeconds">;

/** Where the figures of the moment are read. */
export interface HealthSources {
  readonly meter: CountingMeter;
  readonly storeBytes: () => number;
  readonly pendingProposals: () => number;
  /** The id of a member as people see it. */
  readonly shownId: (id: string) => string;
  readonly wallMs: () => number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** What a histogram held at the sample before. */
interface Seen {
  count: number;
  sum: number;
  cumulative: readonly number[];
}

/** What is new in a histogram: how many values, their mean and their 99th percentile. */
interface Gain {
  readonly count: number;
  readonly mean: number;
  readonly p99: number;
}

const NO_GAIN: Gain = { count: 0, mean: 0, p99: 0 };

/** Histograms by name, and what was new in them. */
class Differences {
  readonly #seen = new Map<string, Seen>();

  /** How many observations are new, their mean and 99th percentile; zeroes without any. */
  of(name: string, histogram: CountingHistogram): Gain {
    const before = this.#seen.get(name);
    const cumulative = histogram.cumulative();
    const { count, sum, bounds } = histogram;
    this.#seen.set(name, { count, sum, cumulative });
    const added = count - (before?.count ?? 0);
    if (added === 0) return NO_GAIN;
    const gained = cumulative.map((total, at) => total - (before?.cumulative[at] ?? 0));
    const mean = (sum - (before?.sum ?? 0)) / added;
    return { count: added, mean, p99: quantile(0.99, bounds, gained, added) };
  }
}

/**
 * The value below which that share of the observations lies, taken as evenly spread in each bucket;
 * the highest bound for what is beyond it.
 * @param gained Observations at or below each bound.
 */
export function quantile(
  share: number,
  bounds: readonly number[],
  gained: readonly number[],
  count: number,
): number {
  const rank = share * count;
  const at = gained.findIndex((total) => total >= rank);
  if (at < 0) return bounds.at(-1) ?? 0;
  const [low, high] = [at === 0 ? 0 : (bounds[at - 1] ?? 0), bounds[at] ?? 0];
  const below = at === 0 ? 0 : (gained[at - 1] ?? 0);
  const inside = (gained[at] ?? 0) - below;
  return inside === 0 ? high : low + ((high - low) * (rank - below)) / inside;
}

/** Takes the samples and keeps the newest. */
export class HealthSamples {
  readonly #sources: HealthSources;
  readonly #differences = new Differences();
  readonly #received = new Map<string, number>();
  #samples: Sample[] = [];
  #atMs: number;
  #loopDelayMs = 0;
  #timers: NodeJS.Timeout[] = [];

  constructor(sources: HealthSources) {
    this.#sources = sources;
    this.#atMs = sources.now();
  }

  /** Begins to take samples; neither timer keeps the process alive. */
  start(): void {
    let expectedMs = this.#sources.now() + LOOP_LOOK_MS;
    const look = setInterval(() => {
      const nowMs = this.#sources.now();
      this.#loopDelayMs = Math.max(this.#loopDelayMs, nowMs - expectedMs);
      expectedMs = nowMs + LOOP_LOOK_MS;
    }, LOOP_LOOK_MS);
    const sample = setInterval(() => {
      this.take();
    }, SAMPLE_MS);
    this.#timers = [look.unref(), sample.unref()];
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** The samples taken after that moment of the member's own clock, oldest first. */
  since(sinceMs: number): readonly Sample[] {
    return this.#samples.filter(({ atMs }) => atMs > sinceMs);
  }

  /** What a histogram without labels gained. */
  #gained(name: HistogramName): Gain {
    const [[, histogram] = []] = this.#sources.meter.histograms(name);
    return histogram === undefined ? NO_GAIN : this.#differences.of(name, histogram);
  }

  /** Takes one sample of what happened since the last. */
  take(): void {
    const { meter, storeBytes, pendingProposals, shownId, wallMs, now } = this.#sources;
    const seconds = Math.max(0.001, (now() - this.#atMs) / 1000);
    this.#atMs = now();
    const succeeded = new Map(
      meter
        .histograms("etcd_http_successful_duration_seconds")
        .map(([[method = ""], histogram]) => [
          method,
          this.#differences.of(`request ${method}`, histogram),
        ]),
    );
    const methods = meter.counts("etcd_http_received_total").map(([[method = ""], total]) => {
      const added = total - (this.#received.get(method) ?? 0);
      this.#received.set(method, total);
      const p99Seconds = succeeded.get(method)?.p99 ?? 0;
      return { method, perSecond: added / seconds, p99Seconds };
    });
    const links = meter.histograms("etcd_network_peer_round_trip_time_seconds");
    const roundTrips = links.flatMap(([[id = ""], histogram]) => {
      const { count, mean } = this.#differences.of(`round trip ${id}`, histogram);
      return count === 0 ? [] : [{ memberId: shownId(id), seconds: mean }];
    });
    const proposals = this.#gained("etcd2_proposal_duration_seconds");
    this.#samples.push({
      atMs: wallMs(),
      methods,
      fsyncP99Seconds: this.#gained("etcd_disk_wal_fsync_duration_seconds").p99,
      loopDelaySeconds: this.#loopDelayMs / 1000,
      storeBytes: storeBytes(),
      proposalsPerSecond: proposals.count / seconds,
      pendingProposals: pendingProposals(),
      roundTrips,
    });
    this.#loopDelayMs = 0;
    if (this.#samples.length > SAMPLES_MAX) this.#samples = this.#samples.slice(-SAMPLES_MAX);
  }
}
