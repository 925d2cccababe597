/** Following writes through one member, without a member: what it is told is made up here. */
import assert from "node:assert/strict";
import { ServerResponse, IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { beforeEach, describe, it } from "node:test";
import type { DurableLog, Entry, Message, Transport, TransportListener } from "@etcd2/raft";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace";
import { MemberTracer } from "../../src/tracing/member-tracer.ts";
import { RequestSpan } from "../../src/tracing/request-spans.ts";
import { SpanSource } from "../../src/tracing/span-source.ts";
import { encodeTracedEntries } from "../../src/tracing/trace-parent.ts";

const [me, other] = ["000000000000000a", "000000000000000b"];
const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";

const exporter = new InMemorySpanExporter();
let tracer: MemberTracer;
let spans: SpanSource;
let log: DurableLog;
let transport: Transport;
let listener: TransportListener;
let committed: number;
let sent: readonly Message[];
/** What the node does with messages. */
let step: () => void;

function ignore(): never {
  throw new Error("not asked for in these tests");
}

beforeEach(() => {
  exporter.reset();
  committed = 0;
  sent = [];
  step = () => undefined;
  spans = new SpanSource({
    resource: resourceFromAttributes({}),
    instrumentationScope: { name: "test" },
    onEnd: (span) => {
      exporter.export([span], () => undefined);
    },
  });
  tracer = new MemberTracer(spans, me);
  log = tracer.aroundLog({ save: () => undefined, installSnapshot: () => undefined });
  transport = tracer.aroundTransport({
    send: (messages) => (sent = messages),
    addPeer: ignore,
    removePeer: ignore,
    updatePeer: ignore,
    activeSince: ignore,
    close: ignore,
  });
  listener = tracer.aroundListener(
    {
      onMessages: () => {
        step();
      },
      onUnreachable: ignore,
      onConnectionLost: ignore,
      onSnapshotSent: ignore,
      openSnapshotSink: ignore,
      openSnapshotSource: ignore,
      onRemoved: ignore,
      onDisowned: ignore,
    },
    () => ({ leader: me, committed }),
  );
});

function entry(index: number, data: Uint8Array, term = 1): Entry {
  return { type: "normal", term, index, data };
}

/** A traced write of this member; returns what ends it. */
function propose(data: Uint8Array): () => void {
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  const parent = { span: undefined, offsetMs: 0 };
  const request = new RequestSpan(spans.request("PUT", parent, 0, {}), response, 0);
  const settle = tracer.proposed(request, data, () => undefined);
  return () => {
    settle({ event: undefined, raftIndex: 1, raftTerm: 1 });
  };
}

function applied(index: number, term = 1): void {
  tracer.runApplied([{ index, term, command: undefined, pending: undefined }], 0, 1);
}

/** A proposal of the other member, saying that it is traced. */
function forwarded(data: Uint8Array): Message {
  const trace = encodeTracedEntries([{ position: 0, traceId, spanId }]);
  return { type: "propose", to: me, from: other, term: 1, entries: [entry(0, data)], trace };
}

const names = (): readonly string[] => exporter.getFinishedSpans().map(({ name }) => name);

describe("a followed write", () => {
  it("names the member whose answer made it final, and only that one", () => {
    const answer: Message = {
      ...{ type: "appendResponse", to: me, from: other, term: 1, index: 2 },
      ...{ reject: false, rejectHint: 0, rejectTerm: 0 },
    };
    const data = [Buffer.from("1"), Buffer.from("2")] as const;
    const ends = data.map(propose);
    void log.save([entry(1, data[0]), entry(2, data[1])], undefined, true);
    // The first became final by the own sync, the second by the answer.
    committed = 1;
    step = () => (committed = 2);
    listener.onMessages([answer]);
    applied(1);
    applied(2);
    for (const end of ends) end();
    const quorum = exporter
      .getFinishedSpans()
      .filter(({ name }) => name === "raft.replicate")
      .map(({ attributes }) => attributes["etcd.quorum.member.id"]);
    assert.deepEqual(quorum, [undefined, other]);
    assert.equal(tracer.followed, 0);
  });

  it("is not mistaken for what took its place in the log", () => {
    const data = Buffer.from("mine");
    const end = propose(data);
    void log.save([entry(1, data)], undefined, true);
    applied(1, 2);
    assert.deepEqual(names(), ["wal.fsync"]);
    end();
    assert.equal(tracer.followed, 0);
  });

  it("says so when it is forwarded, beside others that are not traced", () => {
    const [plain, traced] = [Buffer.from("plain"), Buffer.from("traced")];
    const end = propose(traced);
    const entries = [entry(0, plain), entry(0, traced)];
    const message: Message = { type: "propose", to: other, from: me, term: 1, entries };
    const untraced: Message = { ...message, entries: [entry(0, plain)] };
    transport.send([message, untraced]);
    end();
    const span = exporter.getFinishedSpans().find(({ name }) => name === "raft.propose");
    const context = span?.spanContext() ?? assert.fail();
    const trace = encodeTracedEntries([{ position: 1, ...context }]);
    assert.deepEqual(sent, [{ ...message, trace }, untraced]);
  });
});

describe("a write of another member", () => {
  it("joins the trace it belongs to, until it is applied", () => {
    const data = Buffer.from("theirs");
    listener.onMessages([forwarded(data)]);
    void log.save([entry(7, data)], undefined, true);
    applied(7);
    assert.deepEqual(names(), ["wal.fsync", "raft.replicate", "store.apply"]);
    for (const span of exporter.getFinishedSpans()) {
      assert.equal(span.spanContext().traceId, traceId);
      assert.equal(span.parentSpanContext?.spanId, spanId);
    }
    assert.equal(tracer.followed, 0);
  });

  it("that never comes to anything makes way for later ones", () => {
    for (let i = 0; i < 5000; i += 1) listener.onMessages([forwarded(Buffer.from(`${i}`))]);
    assert.equal(tracer.followed, 2000);
  });

  it("is left alone when what is said of it makes no sense", () => {
    const message = forwarded(Buffer.from("x"));
    const beyond = encodeTracedEntries([{ position: 9, traceId, spanId }]);
    listener.onMessages([
      { ...message, trace: Buffer.from("nonsense") } as Message,
      { ...message, trace: beyond } as Message,
    ]);
    assert.equal(tracer.followed, 0);
  });
});
