/** The span itself, and the table of the writes that are followed. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import { resourceFromAttributes } from "@opentelemetry/resources";
import type { Followed } from "../../src/tracing/followed-table.ts";
import { FollowedTable } from "../../src/tracing/followed-table.ts";
import { TracedSpan } from "../../src/tracing/traced-span.ts";

const ended: ReadableSpan[] = [];
const home = {
  resource: resourceFromAttributes({ "service.name": "x" }),
  instrumentationScope: { name: "test" },
  onEnd: (span: ReadableSpan) => {
    ended.push(span);
  },
};

function start(parent?: TracedSpan, startMs = 1_700_000_000_999.75): TracedSpan {
  const context = parent?.spanContext();
  return new TracedSpan(home, {
    ...{ name: "n", kind: SpanKind.INTERNAL, parent: context, startMs, attributes: {} },
  });
}

describe("a span", () => {
  it("has ids of the right form, of its own, in the trace of its parent", () => {
    const spans = Array.from({ length: 3000 }, () => start());
    const ids = new Set<string>();
    for (const span of spans) {
      const { traceId, spanId, traceFlags } = span.spanContext();
      assert.match(`${traceId}-${spanId}-${traceFlags}`, /^[0-9a-f]{32}-[0-9a-f]{16}-1$/);
      ids.add(traceId).add(spanId);
    }
    assert.equal(ids.size, 6000);
    const [root = assert.fail()] = spans;
    const child = start(root);
    assert.equal(child.spanContext().traceId, root.spanContext().traceId);
    assert.equal(child.parentSpanContext?.spanId, root.spanContext().spanId);
    assert.equal(root.parentSpanContext, undefined);
  });

  it("keeps times as whole seconds and nanoseconds, across a second and at its edge", () => {
    const span = start();
    span.end(1_700_000_001_000.25);
    assert.deepEqual(span.startTime, [1_700_000_000, 999_750_000]);
    assert.deepEqual(span.endTime, [1_700_000_001, 250_000]);
    assert.deepEqual(span.duration, [0, 500_000]);
    const edge = start(undefined, 1_999.999_999_9);
    assert.ok(edge.startTime[1] < 1e9);
  });

  it("is handed on once, and does not change afterwards", () => {
    ended.length = 0;
    const span = start();
    span.setAttribute("a", 1);
    span.addEvent("e", 1_700_000_001_000);
    span.end(1_700_000_001_000);
    span.end(1_700_000_009_000);
    span.setAttribute("a", 2);
    span.addEvent("late", 1_700_000_009_000);
    span.fail("late");
    assert.deepEqual(ended, [span]);
    assert.deepEqual({ ...span.attributes }, { a: 1 });
    assert.deepEqual(
      span.events.map(({ name }) => name),
      ["e"],
    );
    assert.equal(span.status.code, SpanStatusCode.UNSET);
    assert.deepEqual(span.endTime, [1_700_000_001, 0]);
  });
});

describe("the table of followed writes", () => {
  const follow = (data: Uint8Array): Followed => {
    const below = { span: undefined, offsetMs: 0 };
    const times = { sinceMs: 0, appendedMs: 0, committedMs: 0 };
    const place = { index: 0, term: 0, quorumMember: "" };
    return { data, below, span: undefined, ...times, ...place, isOver: false, next: undefined };
  };

  it("finds writes by the very bytes, equal ones and those of one bucket apart", () => {
    const table = new FollowedTable();
    const same = Array.from({ length: 5 }, () => follow(Uint8Array.of(1, 2, 3)));
    for (const followed of same) table.add(followed);
    for (const followed of same) assert.equal(table.byData(followed.data), followed);
    const [first, , third] = same;
    for (const followed of [third, first]) {
      assert.ok(followed !== undefined);
      table.remove(followed);
      table.remove(followed);
      assert.equal(table.byData(followed.data), undefined);
    }
    assert.equal(table.size, 3);
    assert.equal(same.filter(({ data }) => table.byData(data) !== undefined).length, 3);
    assert.equal(table.byData(Uint8Array.of(1, 2, 3)), undefined);
  });

  it("tells of every commit once, and again where a later term took the place", () => {
    const table = new FollowedTable();
    const [a, b] = [follow(Uint8Array.of(1)), follow(Uint8Array.of(2))];
    for (const followed of [a, b]) table.add(followed);
    table.place(a, 100_001, 1);
    table.place(b, 100_002, 1);
    assert.deepEqual([...table.commit(100_001)], [a]);
    assert.deepEqual([...table.commit(100_001)], []);
    // The second was lost with its leader, and is appended again.
    table.place(b, 100_005, 2);
    assert.equal(table.at(100_002), undefined);
    assert.equal(table.at(100_005), b);
    assert.deepEqual([...table.commit(100_009)], [b]);
    // Far on, where places come around again.
    assert.deepEqual([...table.commit(100_005 + 16_384 * 3)], []);
    table.remove(b);
    assert.equal(table.at(100_005), undefined);
  });
});
