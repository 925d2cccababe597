/**
 * One span, with no more than this server's spans have: it is what the exporter reads. The general
 * one of the SDK is several times as large and as slow, and a traced write has five. Knows times of
 * day and ids, and neither names nor where spans go.
 */
import type { Attributes, SpanContext, SpanKind, TraceState } from "@opentelemetry/api";
import { SpanStatusCode } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { randomFillSync } from "node:crypto";

type HrTime = ReadableSpan["startTime"];
type TimedEvent = ReadableSpan["events"][number];

/** What all spans of a process have in common, and who takes those that ended. */
export interface SpanHome {
  readonly resource: ReadableSpan["resource"];
  readonly instrumentationScope: ReadableSpan["instrumentationScope"];
  readonly onEnd: (span: ReadableSpan) => void;
}

export interface SpanStart {
  readonly name: string;
  readonly kind: SpanKind;
  readonly parent: SpanContext | undefined;
  /** Milliseconds since 1970, as all times here. */
  readonly startMs: number;
  readonly attributes: Attributes;
}

const ID_POOL_BYTES = 8192;
const SAMPLED = 1;
const pool = Buffer.alloc(ID_POOL_BYTES);
let poolAt = ID_POOL_BYTES;

/** Random hexadecimal digits, two for each byte. */
function randomId(bytes: number): string {
  if (poolAt + bytes > ID_POOL_BYTES) {
    randomFillSync(pool);
    poolAt = 0;
  }
  poolAt += bytes;
  return pool.toString("hex", poolAt - bytes, poolAt);
}

function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.min(999_999_999, Math.round((ms - seconds * 1000) * 1e6))];
}

/** Nobody links spans, and most have no events. */
const nothing: never[] = [];
const unset: ReadableSpan["status"] = { code: SpanStatusCode.UNSET };

class Position implements SpanContext {
  readonly traceId: string;
  readonly spanId = randomId(8);
  readonly traceFlags = SAMPLED;
  readonly traceState?: TraceState;

  constructor(parent: SpanContext | undefined) {
    this.traceId = parent?.traceId ?? randomId(16);
    if (parent?.traceState !== undefined) this.traceState = parent.traceState;
  }
}

export class TracedSpan implements ReadableSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly parentSpanContext?: SpanContext;
  readonly startTime: HrTime;
  readonly attributes: Attributes;
  readonly links: ReadableSpan["links"] = nothing;
  readonly droppedAttributesCount = 0;
  readonly droppedEventsCount = 0;
  readonly droppedLinksCount = 0;
  readonly #home: SpanHome;
  readonly #position: Position;
  events: TimedEvent[] = nothing;
  endTime: HrTime;
  status: ReadableSpan["status"] = unset;
  ended = false;

  constructor(home: SpanHome, { name, kind, parent, startMs, attributes }: SpanStart) {
    this.#home = home;
    this.#position = new Position(parent);
    this.name = name;
    this.kind = kind;
    if (parent !== undefined) this.parentSpanContext = parent;
    this.startTime = hrTime(startMs);
    this.endTime = this.startTime;
    this.attributes = attributes;
  }

  get resource(): ReadableSpan["resource"] {
    return this.#home.resource;
  }

  get instrumentationScope(): ReadableSpan["instrumentationScope"] {
    return this.#home.instrumentationScope;
  }

  get duration(): HrTime {
    const [seconds, nanos] = [
      this.endTime[0] - this.startTime[0],
      this.endTime[1] - this.startTime[1],
    ];
    return nanos < 0 ? [seconds - 1, nanos + 1e9] : [seconds, nanos];
  }

  spanContext(): SpanContext {
    return this.#position;
  }

  /** Nothing changes once a span has ended. */
  setAttribute(name: string, value: string | number | boolean): void {
    if (!this.ended) this.attributes[name] = value;
  }

  addEvent(name: string, ms: number): void {
    if (!this.ended) this.events = [...this.events, { name, time: hrTime(ms) }];
  }

  /** Marks it as failed, for a reason that holds nothing a user wrote. */
  fail(reason: string): void {
    if (!this.ended) this.status = { code: SpanStatusCode.ERROR, message: reason };
  }

  end(ms: number): void {
    if (this.ended) return;
    this.ended = true;
    this.endTime = hrTime(ms);
    this.#home.onEnd(this);
  }
}
