/**
 * Makes spans of what was measured elsewhere: times on the monotonic clock become times of day,
 * callers become parents. All names of attributes are here. Knows neither what sends spans nor
 * what the server does.
 */
import { SpanKind } from "@opentelemetry/api";
import type { Attributes, SpanContext, TraceState } from "@opentelemetry/api";
import type { TraceParent } from "./trace-parent.ts";
import { TracedSpan } from "./traced-span.ts";
import type { SpanHome } from "./traced-span.ts";

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
  /** undefined for the first span of a trace. */
  readonly span: SpanContext | undefined;
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

/** A caller outside this process. */
export function remoteCaller(
  { traceId, spanId }: Pick<TraceParent, "traceId" | "spanId">,
  traceState?: string,
): SpanContext {
  return {
    traceId,
    spanId,
    traceFlags: 1,
    isRemote: true,
    ...(traceState === undefined ? {} : { traceState: new CarriedTraceState(traceState) }),
  };
}

/** The parent of what happens within a span. */
export function within(span: TracedSpan, offsetMs: number): SpanParent {
  return { span: span.spanContext(), offsetMs };
}

export class SpanSource {
  readonly #home: SpanHome;
  readonly now = (): number => performance.now();

  constructor(home: SpanHome) {
    this.#home = home;
  }

  /** A request of a client. */
  request(name: string, parent: SpanParent, startMs: number, attributes: Attributes): TracedSpan {
    return this.#start(name, SpanKind.SERVER, parent, startMs, attributes);
  }

  /** Something under way. */
  begin(name: string, parent: SpanParent, startMs: number, attributes: Attributes): TracedSpan {
    return this.#start(name, SpanKind.INTERNAL, parent, startMs, attributes);
  }

  /** Something that is over. */
  record(name: string, parent: SpanParent, times: Times, attributes: Attributes): void {
    const span = this.begin(name, parent, times.startMs, attributes);
    span.end(parent.offsetMs + Math.max(times.startMs, times.endMs));
  }

  #start(
    name: string,
    kind: SpanKind,
    { span: parent, offsetMs }: SpanParent,
    startMs: number,
    attributes: Attributes,
  ): TracedSpan {
    return new TracedSpan(this.#home, {
      name,
      kind,
      parent,
      startMs: offsetMs + startMs,
      attributes,
    });
  }
}
