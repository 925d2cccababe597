/**
 * Puts a span around every sampled request of the client port: who calls, which route, how it
 * ended. It wraps the handler, so a server without it pays nothing. Of a request it tells method,
 * route and key, never the query, a body, a value or a password.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { RequestTrace } from "@etcd2/api-v2";
import { watchIndex } from "../logging/response-index.ts";
import { keyOf, routeOf } from "./routes.ts";
import type { SpanParent, SpanSource } from "./span-source.ts";
import { attribute, clockOffset, remoteCaller, within } from "./span-source.ts";
import type { TraceParent } from "./trace-parent.ts";
import type { TracedSpan } from "./traced-span.ts";
import { isSampled, parseTraceParent } from "./trace-parent.ts";

/** Longer ones are cut, as every attribute has to be carried to the collector. */
const KEY_LENGTH_MAX = 1024;

/** The span of one request, from its arrival until its response is complete. */
export class RequestSpan implements RequestTrace {
  readonly #span: TracedSpan;
  readonly #response: ServerResponse;
  /** For the spans of what is done on behalf of this request. */
  readonly below: SpanParent;
  #isOver = false;

  constructor(span: TracedSpan, response: ServerResponse, offsetMs: number) {
    this.#span = span;
    this.#response = response;
    this.below = within(span, offsetMs);
  }

  /** The span ends with the headers: how long a watch lasts says nothing about the server. */
  watching(): void {
    this.#span.setAttribute(attribute.watch, true);
    this.#end();
  }

  sawIndex(index: string): void {
    if (/^\d{1,16}$/.test(index)) this.#span.setAttribute(attribute.etcdIndex, Number(index));
  }

  closed(): void {
    if (this.#isOver) return;
    if (!this.#response.writableFinished) this.#span.setAttribute(attribute.aborted, true);
    this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { statusCode } = this.#response;
    this.#span.setAttribute(attribute.status, statusCode);
    if (statusCode >= 500) this.#span.fail(`status ${statusCode}`);
    this.#span.end(this.below.offsetMs + performance.now());
  }
}

export interface RequestSpansOptions {
  readonly spans: SpanSource;
  readonly samplesPerMillion: number;
  readonly random: () => number;
  /** Hands the span along with the request, to where its work is proposed. */
  readonly attach: (request: IncomingMessage, trace: RequestTrace) => void;
}

/** The handler with spans around the sampled requests to the v2 API. */
export function withRequestSpans(
  handler: RequestListener,
  options: RequestSpansOptions,
): RequestListener {
  const { samplesPerMillion, random } = options;
  return (request, response) => {
    const { traceparent } = request.headers;
    // Nobody asks for a trace, and none is made unasked.
    if (traceparent !== undefined || samplesPerMillion > 0) {
      const parent = typeof traceparent === "string" ? parseTraceParent(traceparent) : undefined;
      if (isSampled(parent, samplesPerMillion, random)) begin(options, request, response, parent);
    }
    handler(request, response);
  };
}

function begin(
  { spans, attach }: RequestSpansOptions,
  request: IncomingMessage,
  response: ServerResponse,
  parent: TraceParent | undefined,
): void {
  const route = routeOf(request.url ?? "");
  if (route === undefined) return;
  const startMs = performance.now();
  const offsetMs = clockOffset();
  const method = request.method ?? "_OTHER";
  const state = request.headers["tracestate"];
  const caller =
    parent === undefined
      ? undefined
      : remoteCaller(parent, typeof state === "string" ? state : undefined);
  const key = keyOf(request.url ?? "")?.slice(0, KEY_LENGTH_MAX);
  const span = spans.request(`${method} ${route}`, { span: caller, offsetMs }, startMs, {
    [attribute.method]: method,
    [attribute.route]: route,
    ...(key === undefined ? {} : { [attribute.key]: key }),
  });
  const traced = new RequestSpan(span, response, offsetMs);
  attach(request, traced);
  watchIndex(response, (index) => {
    traced.sawIndex(index);
  });
  response.once("close", () => {
    traced.closed();
  });
}
