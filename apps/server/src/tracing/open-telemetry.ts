/**
 * Tracing by OpenTelemetry, sent by OTLP over gRPC. The only file that knows the SDK and how spans
 * leave the process. It is a bundle of its own, loaded when tracing is switched on.
 */
import type { Logger } from "@etcd2/observability";
import type { IncomingMessage } from "node:http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace";
import type { RequestTrace } from "@etcd2/api-v2";
import type { TracingConfig } from "../config/server-config.ts";
import { collectorCredentials } from "./collector-credentials.ts";
import { MemberTracer } from "./member-tracer.ts";
import type { Tracing } from "../consensus/tracing-port.ts";
import { QuietExporter } from "./quiet-exporter.ts";
import { withRequestSpans } from "./request-spans.ts";
import { SpanSource } from "./span-source.ts";

/** Spans waiting to be sent; beyond it new ones are dropped. */
const QUEUE_SPANS_MAX = 8192;
const BATCH_SPANS_MAX = 512;
const SEND_INTERVAL_MS = 1000;
const EXPORT_TIMEOUT_MS = 5000;
/** What is left is sent within this time when the server stops, or not at all. */
const CLOSE_TIMEOUT_MS = 1000;

export interface OpenTelemetryOptions {
  readonly config: TracingConfig;
  readonly version: string;
  readonly log: Logger;
  readonly attach: (request: IncomingMessage, trace: RequestTrace) => void;
}

function createSpans({ config, version, log }: OpenTelemetryOptions): {
  readonly processor: BatchSpanProcessor;
  readonly spans: SpanSource;
} {
  const { collector, serviceName, instanceId } = config;
  const { scheme, authority: address } = collector;
  const exporter = new OTLPTraceExporter({
    url: `${scheme}://${address}`,
    credentials: collectorCredentials(collector, process.env, log),
    timeoutMillis: EXPORT_TIMEOUT_MS,
  });
  const now = (): number => performance.now();
  const processor = new BatchSpanProcessor({
    exporter: new QuietExporter({ inner: exporter, address, log, now }),
    maxQueueSize: QUEUE_SPANS_MAX,
    maxExportBatchSize: BATCH_SPANS_MAX,
    scheduledDelayMillis: SEND_INTERVAL_MS,
    // The exporter's own limit comes first.
    exportTimeoutMillis: 2 * EXPORT_TIMEOUT_MS,
  });
  const spans = new SpanSource({
    resource: resourceFromAttributes({
      "service.name": serviceName,
      "service.version": version,
      ...(instanceId === "" ? {} : { "service.instance.id": instanceId }),
    }),
    instrumentationScope: { name: "etcd2", version },
    onEnd: (span) => {
      processor.onEnd(span);
    },
  });
  return { processor, spans };
}

export function createTracing(options: OpenTelemetryOptions): Tracing {
  const { config, attach } = options;
  const { samplesPerMillion } = config;
  const { processor, spans } = createSpans(options);
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const sent = processor.shutdown().catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
    });
    await Promise.race([sent, late]);
    clearTimeout(timer);
  };
  return {
    around: (handler) =>
      withRequestSpans(handler, { spans, samplesPerMillion, random: Math.random, attach }),
    member: (memberId) => new MemberTracer(spans, memberId),
    close: () => (closing ??= close()),
  };
}
