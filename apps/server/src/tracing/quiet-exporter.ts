/**
 * Sends spans on by another exporter and keeps its troubles from everybody: failures are counted,
 * and told in one line a minute at most. Tracing never is a reason for anything else to fail.
 */
import type { Logger } from "@etcd2/observability";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace";

const LINE_INTERVAL_MS = 60_000;

export interface QuietExporterOptions {
  readonly inner: SpanExporter;
  readonly address: string;
  readonly log: Logger;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

type Done = Parameters<SpanExporter["export"]>[1];

/** How an export ended well, by the numbers of OpenTelemetry. */
const SUCCESS = 0;

export class QuietExporter implements SpanExporter {
  readonly #options: QuietExporterOptions;
  #saidAt = Number.NEGATIVE_INFINITY;
  #lost = 0;

  constructor(options: QuietExporterOptions) {
    this.#options = options;
  }

  export(spans: ReadableSpan[], done: Done): void {
    this.#options.inner.export(spans, (result) => {
      const code: number = result.code;
      if (code !== SUCCESS) this.#failed(spans.length, result.error);
      done(result);
    });
  }

  shutdown(): Promise<void> {
    return this.#options.inner.shutdown();
  }

  async forceFlush(): Promise<void> {
    await this.#options.inner.forceFlush?.();
  }

  #failed(spans: number, error: Error | undefined): void {
    this.#lost += spans;
    const now = this.#options.now();
    if (now - this.#saidAt < LINE_INTERVAL_MS) return;
    this.#saidAt = now;
    const reason = (error?.message ?? "unknown error").replace(/\s+/g, " ").slice(0, 200);
    this.#options.log.warning(
      `cannot send traces to ${this.#options.address}: ${reason} (${this.#lost} spans lost)`,
    );
    this.#lost = 0;
  }
}
