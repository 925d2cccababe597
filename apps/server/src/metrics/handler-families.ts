/**
 * Owns the figures of the metrics page about itself, under the names etcd 2.3.8 had for them.
 * Quantiles are over the last scrapes, of which there are few.
 */
import type { Family, Sample } from "./family.ts";

const rememberedScrapes = 128;
const quantiles = [0.5, 0.9, 0.99];
const handler = "prometheus";

class RecentValues {
  readonly #values: number[] = [];
  #next = 0;
  #sum = 0;
  #count = 0;

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % rememberedScrapes;
    this.#sum += value;
    this.#count++;
  }

  samples(name: string): readonly Sample[] {
    const sorted = this.#values.toSorted((a, b) => a - b);
    const samples: Sample[] = quantiles.map((quantile) => {
      const at = Math.ceil(quantile * sorted.length) - 1;
      return { labels: { handler, quantile }, value: sorted[at] ?? Number.NaN };
    });
    samples.push(
      { metricName: `${name}_sum`, labels: { handler }, value: this.#sum },
      { metricName: `${name}_count`, labels: { handler }, value: this.#count },
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

  /** Families that are always served. */
  families(): readonly Family[] {
    return [
      {
        name: "etcd2_scrape_seconds",
        type: "gauge",
        help: "Seconds the last metrics page took to make.",
        samples: () => [{ labels: {}, value: this.#lastSeconds }],
      },
    ];
  }

  /** Families of etcd 2.3.8. */
  compatFamilies(): readonly Family[] {
    const summary = (name: string, help: string, values: RecentValues): Family => {
      return { name, type: "summary", help, samples: () => values.samples(name) };
    };
    return [
      {
        name: "http_requests_total",
        type: "counter",
        help: "Requests for the metrics page.",
        samples: () => [{ labels: { code: "200", handler, method: "get" }, value: this.#scrapes }],
      },
      summary(
        "http_request_duration_microseconds",
        "Microseconds that metrics pages took.",
        this.#durations,
      ),
      summary(
        "http_request_size_bytes",
        "Bytes of requests for metrics pages; bodies are not read.",
        this.#requestBytes,
      ),
      summary("http_response_size_bytes", "Bytes of metrics pages.", this.#responseBytes),
    ];
  }
}
