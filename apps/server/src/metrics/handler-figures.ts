/**
 * Owns the figures of the metrics page about itself, under the names etcd 2.3.8 had for them.
 * Quantiles are over the last scrapes, of which there are few.
 */
import type { Figures, Sample } from "@etcd2/observability";

const REMEMBERED_SCRAPES = 128;
const QUANTILES = [0.5, 0.9, 0.99];
const HANDLER = "prometheus";

class RecentValues {
  readonly #values: number[] = [];
  #next = 0;
  #sum = 0;
  #count = 0;

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % REMEMBERED_SCRAPES;
    this.#sum += value;
    this.#count++;
  }

  samples(name: string): readonly Sample[] {
    const sorted = this.#values.toSorted((a, b) => a - b);
    const samples: Sample[] = QUANTILES.map((quantile) => {
      const at = Math.ceil(quantile * sorted.length) - 1;
      return { labels: { handler: HANDLER, quantile }, value: sorted[at] ?? Number.NaN };
    });
    samples.push(
      { metricName: `${name}_sum`, labels: { handler: HANDLER }, value: this.#sum },
      { metricName: `${name}_count`, labels: { handler: HANDLER }, value: this.#count },
    );
    return samples;
  }
}

/** Counts the scrapes. */
export class HandlerFigures {
  readonly #durations = new RecentValues();
  readonly #responseBytes = new RecentValues();
  readonly #requestBytes = new RecentValues();
  #scrapes = 0;
  #lastSeconds = 0;

  scraped(seconds: number, responseBytes: number): void {
    this.#scrapes++;
    this.#lastSeconds = seconds;
    this.#durations.add(seconds * 1e6);
    this.#responseBytes.add(responseBytes);
    this.#requestBytes.add(0);
  }

  /** What the page shows of itself; the page that is being made is not counted yet. */
  figures(): Figures {
    return {
      etcd2_scrape_seconds: this.#lastSeconds,
      http_requests_total: [
        { labels: { code: "200", handler: HANDLER, method: "get" }, value: this.#scrapes },
      ],
      http_request_duration_microseconds: this.#durations.samples(
        "http_request_duration_microseconds",
      ),
      http_request_size_bytes: this.#requestBytes.samples("http_request_size_bytes"),
      http_response_size_bytes: this.#responseBytes.samples("http_response_size_bytes"),
    };
  }
}
