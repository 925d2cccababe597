/** What says where a trace goes on, the names of routes, and the troubles of exporting. */
import { createLogger } from "@etcd2/observability";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SpanExporter } from "@opentelemetry/sdk-trace";
import fc from "fast-check";
import { seedOfRun } from "@etcd2/test-support";
import { QuietExporter } from "../../src/tracing/quiet-exporter.ts";
import { keyOf, routeOf } from "../../src/tracing/routes.ts";
import {
  decodeTracedEntries,
  encodeTracedEntries,
  isSampled,
  parseTraceParent,
} from "../../src/tracing/trace-parent.ts";

const seed = seedOfRun("tracing properties");
fc.configureGlobal({ seed });

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";

describe("a traceparent header", () => {
  it("names trace, parent and decision", () => {
    const of = (flags: string) => parseTraceParent(`00-${traceId}-${spanId}-${flags}`);
    assert.deepEqual(of("01"), { traceId, spanId, sampled: true });
    assert.deepEqual(of("00"), { traceId, spanId, sampled: false });
    // Other bits mean other things.
    assert.equal(of("03")?.sampled, true);
    assert.equal(of("02")?.sampled, false);
  });

  it("of a later version may have more", () => {
    const later = parseTraceParent(`cc-${traceId}-${spanId}-01-what-the-future-will-be-like`);
    assert.deepEqual(later, { traceId, spanId, sampled: true });
  });

  for (const [what, header] of [
    ["nothing", ""],
    ["a word", "yes"],
    ["upper case", `00-${traceId.toUpperCase()}-${spanId}-01`],
    ["a version that cannot be", `ff-${traceId}-${spanId}-01`],
    ["a trace of zeros", `00-${"0".repeat(32)}-${spanId}-01`],
    ["a parent of zeros", `00-${traceId}-${"0".repeat(16)}-01`],
    ["more than version 00 has", `00-${traceId}-${spanId}-01-more`],
    ["a short trace", `00-${traceId.slice(1)}-${spanId}-01`],
    ["no flags", `00-${traceId}-${spanId}`],
    ["two of them, joined", `00-${traceId}-${spanId}-01, 00-${traceId}-${spanId}-01`],
    ["a very long one", `00-${"a".repeat(100_000)}-01`],
  ] as const) {
    it(`with ${what} is ignored`, () => {
      assert.equal(parseTraceParent(header), undefined);
    });
  }

  it("is never a reason to fail", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseTraceParent(text);
      }),
    );
  });
});

describe("sampling", () => {
  it("is the caller's choice when there is one", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.nat(1_000_000), (sampled, rate) => {
        assert.equal(
          isSampled({ traceId, spanId, sampled }, rate, () => 0),
          sampled,
        );
      }),
    );
  });

  it("takes so many in a million of the others", () => {
    const takes = (rate: number, random: number) => isSampled(undefined, rate, () => random);
    assert.equal(takes(0, 0), false);
    assert.equal(takes(1, 0), true);
    assert.equal(takes(1, 0.000_001), false);
    assert.equal(takes(250_000, 0.249_999), true);
    assert.equal(takes(250_000, 0.25), false);
    assert.equal(takes(1_000_000, 1 - Number.EPSILON), true);
  });
});

const hex = (digits: number) =>
  fc
    .bigInt({ min: 1n, max: 16n ** BigInt(digits) - 1n })
    .map((value) => value.toString(16).padStart(digits, "0"));
const tracedEntry = fc.record(
  { position: fc.nat(0xffff), traceId: hex(32), spanId: hex(16) },
  { noNullPrototype: true },
);

describe("what a member says of the proposals it forwards", () => {
  it("is read as it was meant", () => {
    fc.assert(
      fc.property(fc.array(tracedEntry), (entries) => {
        assert.deepEqual(decodeTracedEntries(encodeTracedEntries(entries)), entries);
      }),
    );
  });

  it("is ignored when it has another form", () => {
    const bytes = encodeTracedEntries([{ position: 1, traceId, spanId }]);
    assert.deepEqual(decodeTracedEntries(bytes.subarray(1)), []);
    assert.deepEqual(decodeTracedEntries(Buffer.from("something else")), []);
    assert.deepEqual(decodeTracedEntries(Buffer.alloc(bytes.length)), []);
  });

  it("leaves out entries beyond what can be numbered", () => {
    assert.equal(encodeTracedEntries([{ position: 0x10000, traceId, spanId }]).length, 0);
  });
});

describe("routes", () => {
  for (const [target, route, key] of [
    ["/v2/keys", "/v2/keys", "/"],
    ["/v2/keys/a/b?value=secret", "/v2/keys", "/a/b"],
    ["/v2/keysmith", "/v2/*", undefined],
    ["/v2/members", "/v2/members", undefined],
    ["/v2/members/", "/v2/members", undefined],
    ["/v2/members/8e9e05c52164694d", "/v2/members/{id}", undefined],
    ["/v2/members/leader", "/v2/members/leader", undefined],
    ["/v2/auth/users/anna", "/v2/auth/users/{name}", undefined],
    ["/v2/auth/roles/guest", "/v2/auth/roles/{name}", undefined],
    ["/v2/stats/self?x=1", "/v2/stats/self", undefined],
    ["/v2/anything/else", "/v2/*", undefined],
    ["/metrics", undefined, undefined],
    ["/health", undefined, undefined],
    ["*", undefined, undefined],
  ] as const) {
    it(`of ${target} is ${route ?? "not traced"}`, () => {
      assert.equal(routeOf(target), route);
      assert.equal(keyOf(target), key);
    });
  }
});

type Result = Parameters<Parameters<SpanExporter["export"]>[1]>[0];

describe("an exporter that fails", () => {
  const error = new Error("14 UNAVAILABLE:\nno connection");
  const failure: Result = { ...(JSON.parse('{"code":1}') as Result), error };

  it("costs one line a minute", () => {
    const lines: string[] = [];
    let nowMs = 0;
    const exporter = new QuietExporter({
      inner: {
        export: (_spans, done) => {
          done(failure);
        },
        shutdown: () => Promise.resolve(),
      },
      address: "collector:4317",
      log: createLogger((_level, line) => lines.push(line)),
      now: () => nowMs,
    });
    for (nowMs = 0; nowMs <= 120_000; nowMs += 1000) {
      exporter.export([], () => undefined);
    }
    assert.equal(lines.length, 3);
    assert.equal(
      lines[0],
      "cannot send traces to collector:4317: 14 UNAVAILABLE: no connection (0 spans lost)",
    );
  });
});
