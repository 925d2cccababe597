/**
 * Makes spans of what was measured elsewhere: times on the monotonic clock become times of day,
 * parents become contexts. All names of spans and attributes are here. Knows OpenTelemetry's
 * interfaces, and neither what sends spans nor what the server does.
 */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { Attributes, Context, Span, Tracer, TraceState } from "@opentelemetry/api";
import type { TraceParent } from "./trace-parent.ts";

export const attribute = {
  method: "http.request.method",
  route: "http.route",
  status: "http.response.status_code",
  key: "etcd.key",
  etcdIndex: "etcd.index",
  errorCode: "etcd.error_code",
  memberId: "etcd.member.id",
  leaderId: "etcd.leader.id",
  raftIndex: "etcd.raft.index",
  raftTerm: "etcd.raft.term",
  forwarded: "etcd.forwarded",
  batchEntries: "etcd.batch.entries",
  quorumMember: "etcd.quorum.member.id",
  watch: "etcd.watch",
  aborted: "etcd.aborted",
} as const;

/** Where new spans hang, and how the two clocks relate for the spans of this request. */
export interface SpanParent {
  readonly context: Context;
  /** Time of day minus monotonic time, in milliseconds. */
  readonly offsetMs: number;
}

export interface Times {
  /** Monotonic milliseconds. */
  readonly startMs: number;
  readonly endMs: number;
}

/** The two clocks at this moment; taken once per request, so that its spans nest. */
export function clockOffset(): number {
  return Date.now() - performance.now();
}

/** What other systems have to say about a trace: carried along, never looked at. */
class CarriedTraceState implements TraceState {
  readonly #text: string;

  constructor(text: string) {
    this.#text = /^[ -~]{1,512}$/.test(text) ? text : "";
  }

  get(): undefined {
    return undefined;
  }

  set(): TraceState {
    return this;
  }

  unset(): TraceState {
    return this;
  }

  serialize(): string {
    return this.#text;
  }
}

/** A caller outside this process, as the context its spans are made in. */
export function remoteContext(
  { traceId, spanId }: Pick<TraceParent, "traceId" | "spanId">,
  traceState?: string,
): Context {
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: 1,
    isRemote: true,
    ...(traceState === undefined ? {} : { traceState: new CarriedTraceState(traceState) }),
  });
}

/** The parent of what happens within a span. */
export function within(span: Span, offsetMs: number): SpanParent {
  return { context: trace.setSpan(ROOT_CONTEXT, span), offsetMs };
}

export class SpanSource {
  readonly #tracer: Tracer;
  readonly now = (): number => performance.now();

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** A request of a client. */
  request(name: string, parent: SpanParent, startMs: number, attributes: Attributes): Span {
    return this.#tracer.startSpan(
      name,
      { kind: SpanKind.SERVER, startTime: parent.offsetMs + startMs, attributes },
      parent.context,
    );
  }

  /** Something under way. */
  begin(name: string, parent: SpanParent, startMs: number, attributes: Attributes): Span {
    return this.#tracer.startSpan(
      name,
      { startTime: parent.offsetMs + startMs, attributes },
      parent.context,
    );
  }

  /** Something that is over. */
  record(name: string, parent: SpanParent, times: Times, attributes: Attributes): void {
    const span = this.begin(name, parent, times.startMs, attributes);
    span.end(parent.offsetMs + Math.max(times.startMs, times.endMs));
  }
}

/** Marks a span as failed, for a reason that holds nothing a user wrote. */
export function fail(span: Span, reason: string): void {
  span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
}
