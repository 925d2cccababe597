/** The codec against garbage, and the primitives it is made of. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import * as pb from "@etcd2/proto/raft";
import fc from "fast-check";
import { seedOfRun } from "@etcd2/test-support";
import { CodecError } from "../../src/codec/codec-error.ts";
import type { CodecErrorCode } from "../../src/codec/codec-error.ts";
import * as codec from "../../src/codec/records.ts";
import type { Message } from "../../src/core/model/types.ts";
import * as frames from "../../src/codec/frames.ts";
import * as messages from "../../src/codec/messages.ts";
import { WireReader } from "../../src/codec/wire-reader.ts";
import { WireWriter } from "../../src/codec/wire-writer.ts";
import { id, message, same, uint } from "./arbitrary-records.ts";

const seed = seedOfRun("codec properties");
fc.configureGlobal({ seed, numRuns: 300 });

function codeOf(run: () => unknown): CodecErrorCode | "none" {
  try {
    run();
    return "none";
  } catch (error) {
    assert.ok(error instanceof CodecError, `not a CodecError: ${String(error)}`);
    return error.code;
  }
}

describe("invalid input", () => {
  it("of random bytes gives a record or a CodecError, and never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const decode of [
          codec.decodeEntry,
          codec.decodeHardState,
          codec.decodeConfState,
          codec.decodeConfChange,
          (b: Uint8Array) => codec.readSnapshotMetadata(new WireReader(b)),
          messages.decodeMessage,
          (b: Uint8Array) => messages.readMessageBatch(new WireReader(b)),
          frames.decodeStreamFrame,
          frames.decodeSnapshotChunk,
          frames.decodeSnapshotResult,
          frames.decodeClusterInfo,
        ]) {
          codeOf(() => decode(bytes));
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("of damaged messages never reads outside and never crashes", () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (m, at, flip) => {
        const frame = frames.encodeBatchFrame([m]);
        const position = at % frame.length;
        frame[position] = (frame[position] ?? 0) ^ flip;
        codeOf(() => frames.decodeStreamFrame(frame));
      }),
      { numRuns: 3000 },
    );
  });

  it("cut off anywhere inside a batch frame is reported as truncated", () => {
    fc.assert(
      fc.property(message, fc.nat(), (m, at) => {
        const frame = frames.encodeBatchFrame([m]);
        const cut = frame.subarray(0, 1 + (at % (frame.length - 1)));
        assert.equal(
          codeOf(() => frames.decodeStreamFrame(cut)),
          "truncated",
        );
      }),
    );
  });

  it("a nested length beyond the message is refused even when the buffer is longer", () => {
    const w = new WireWriter();
    w.raw(Uint8Array.of(0x0a, 2, 0x12, 5, 1, 2, 3, 4, 5));
    assert.equal(
      codeOf(() => messages.readMessageBatch(new WireReader(w.finish()))),
      "truncated",
    );
  });

  const good: Message = {
    type: "append",
    to: "000000000000000a",
    from: "000000000000000b",
    term: 5,
    prevIndex: 7,
    prevTerm: 4,
    commit: 6,
    entries: [{ term: 5, index: 8, type: "normal", data: new Uint8Array(0) }],
  };
  const hello = {
    clusterId: "c",
    from: good.from,
    to: good.to,
    serverVersion: "2.4.0",
    minClusterVersion: "2.3.0",
  };
  const life = {
    ...{ incarnation: good.from, session: good.from, starts: 1, term: 1, lastIndex: 1 },
    ...{ isFounding: false, end: { term: 1, index: 1 }, currentTerm: 1 },
  };
  /** A greeting whose numbers only the generated code would write. */
  const greetWith = (change: MessageInitShape<typeof pb.LifeSchema>): unknown => {
    const { incarnation, session } = life;
    const text = { incarnation, session, ...change };
    const frame = { case: "hello" as const, value: { ...hello, life: text } };
    return frames.decodeStreamFrame(
      toBinary(pb.StreamFrameSchema, create(pb.StreamFrameSchema, { frame })),
    );
  };
  const greet = (change: Partial<frames.Hello>): unknown =>
    frames.decodeStreamFrame(frames.encodeHelloFrame({ ...hello, ...change }));
  const info = {
    clusterId: "c",
    memberId: good.from,
    leaderId: "",
    serverVersion: "2.4.0",
    clusterVersion: "2.4.0",
    members: [],
    removedIds: [],
  };
  const table: readonly (readonly [string, () => unknown])[] = [
    ["a hello from nobody", () => greet({ from: "" })],
    ["a hello to no id", () => greet({ to: "0000" })],
    ["a hello of a cluster with a line break", () => greet({ clusterId: "a\nb" })],
    ["a hello with an endless version", () => greet({ serverVersion: "9".repeat(65) })],
    [
      "a hello of a directory without incarnation",
      () => greet({ life: { ...life, incarnation: "" } }),
    ],
    ["a hello of a process without name", () => greet({ life: { ...life, session: "x" } })],
    ...(["starts", "term", "lastIndex", "endTerm", "endIndex", "currentTerm"] as const).map(
      (field) =>
        [`a hello whose ${field} is too large`, () => greetWith({ [field]: 2n ** 53n })] as const,
    ),
    [
      "cluster info of a removed member that is no id",
      () => frames.decodeClusterInfo(frames.encodeClusterInfo({ ...info, removedIds: ["x"] })),
    ],
    [
      "a negative term",
      () => codec.encodeEntry({ term: -1, index: 1, type: "normal", data: new Uint8Array() }),
    ],
    [
      "a fractional index",
      () => codec.encodeEntry({ term: 1, index: 1.5, type: "normal", data: new Uint8Array() }),
    ],
    ["a term beyond 2^53 - 1", () => codec.encodeHardState({ term: 2 ** 53, vote: "", commit: 0 })],
    ["NaN", () => codec.encodeHardState({ term: Number.NaN, vote: "", commit: 0 })],
    [
      "an upper-case vote",
      () => codec.encodeHardState({ term: 1, vote: "000000000000000A", commit: 0 }),
    ],
    [
      "a short voter id",
      () =>
        codec.encodeConfState({
          voters: ["1"],
          learners: [],
          votersOutgoing: [],
          learnersNext: [],
          autoLeave: false,
        }),
    ],
    ["an empty sender", () => messages.encodeMessage({ ...good, from: "" })],
    [
      "an empty transferee",
      () =>
        messages.encodeMessage({
          type: "transferLeader",
          to: good.to,
          from: good.from,
          term: 1,
          transferee: "",
        }),
    ],
    [
      "a wire integer beyond 2^53 - 1",
      () =>
        codec.decodeHardState(
          toBinary(pb.HardStateSchema, create(pb.HardStateSchema, { term: 2n ** 53n })),
        ),
    ],
    [
      "a wire vote that is no id",
      () =>
        codec.decodeHardState(
          toBinary(pb.HardStateSchema, create(pb.HardStateSchema, { vote: "not hexadecimal!" })),
        ),
    ],
    ["a wire entry of unknown type", () => codec.decodeEntry(Uint8Array.of(0x18, 9))],
    ["a wire entry without a type", () => codec.decodeEntry(new Uint8Array(0))],
    [
      "a wire message without a type",
      () =>
        messages.decodeMessage(
          toBinary(pb.MessageSchema, create(pb.MessageSchema, { to: good.to, from: good.from })),
        ),
    ],
    [
      "a wire message without a receiver",
      () =>
        messages.decodeMessage(
          toBinary(pb.MessageSchema, create(pb.MessageSchema, { type: 14, from: good.from })),
        ),
    ],
    [
      "a wire snapshot without metadata",
      () =>
        messages.decodeMessage(
          toBinary(
            pb.MessageSchema,
            create(pb.MessageSchema, { type: 9, to: good.to, from: good.from }),
          ),
        ),
    ],
    [
      "an append with a gap",
      () => messages.decodeMessage(messages.encodeMessage({ ...good, prevIndex: 6 })),
    ],
    [
      "an append with a falling term",
      () => messages.decodeMessage(messages.encodeMessage({ ...good, prevTerm: 6, term: 7 })),
    ],
    [
      "an append with an entry of a later term",
      () => messages.decodeMessage(messages.encodeMessage({ ...good, term: 4 })),
    ],
  ];
  for (const [what, run] of table) {
    it(`refuses ${what} as out of range`, () => {
      assert.equal(codeOf(run), "outOfRange");
    });
  }

  /** A field of bytes, as it is on the wire. */
  function nested(tag: number, ...parts: readonly Uint8Array[]): Buffer {
    const w = new WireWriter(64);
    w.raw(Buffer.concat(parts));
    w.nestedField(tag, 0);
    return w.finish();
  }

  function times(count: number, part: Uint8Array): Buffer {
    return Buffer.concat(Array.from({ length: count }, () => part));
  }

  const tinyEntries = (count: number): Buffer => times(count, Buffer.of(0x3a, 2, 0x18, 1));
  const propose = toBinary(
    pb.MessageSchema,
    create(pb.MessageSchema, { type: 12, to: good.to, from: good.from }),
  );
  const frame = (...records: readonly Uint8Array[]): Buffer =>
    nested(0x12, ...records.map((record) => nested(0x0a, record)));

  it("takes as many entries and messages in a frame as members send, and a few more", () => {
    const full = Buffer.concat([propose, tinyEntries(60_000)]);
    const decoded = frames.decodeStreamFrame(frame(full, full));
    assert.equal(decoded?.kind === "batch" && decoded.messages.length, 2);
    const many = frames.decodeStreamFrame(nested(0x12, times(10_000, nested(0x0a, propose))));
    assert.equal(many?.kind === "batch" && many.messages.length, 10_000);
  });

  const heavy: readonly (readonly [string, () => unknown])[] = [
    [
      "one message with very many entries",
      () => frames.decodeStreamFrame(frame(Buffer.concat([propose, tinyEntries(140_000)]))),
    ],
    [
      "messages with very many entries together",
      () => {
        const part = Buffer.concat([propose, tinyEntries(50_000)]);
        return frames.decodeStreamFrame(frame(part, part, part));
      },
    ],
    [
      "very many messages",
      () => frames.decodeStreamFrame(nested(0x12, times(17_000, nested(0x0a, propose)))),
    ],
    [
      "a conf state with very many members",
      () => codec.decodeConfState(times(5000, nested(0x0a, Buffer.from(good.to)))),
    ],
    [
      "a hello with very many unknown fields",
      () => frames.decodeStreamFrame(nested(0x0a, times(5000, Buffer.of(0x70, 1)))),
    ],
    [
      "a request with very many unknown fields",
      () => frames.decodeClusterInfoRequest(times(5000, Buffer.of(0x70, 1))),
    ],
  ];
  for (const [what, run] of heavy) {
    it(`refuses ${what}`, () => {
      assert.equal(codeOf(run), "outOfRange");
    });
  }

  it("refuses a frame of two kinds", () => {
    const two = Buffer.concat([frames.encodePingFrame(1), frames.encodePingFrame(2)]);
    assert.equal(
      codeOf(() => frames.decodeStreamFrame(two)),
      "malformed",
    );
  });

  it("leaves the encoder usable after an error half-way", () => {
    codeOf(() => messages.encodeMessage({ ...good, to: "nobody" }));
    same(messages.decodeMessage(messages.encodeMessage(good)), good);
  });
});

describe("wire primitives", () => {
  it("write and read every unsigned safe integer as the generated code does", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          uint,
          fc.nat(53).map((bits) => Math.min(2 ** bits, 2 ** 53 - 1)),
        ),
        (n) => {
          const w = new WireWriter(8);
          w.varint(n);
          const bytes = w.finish();
          same(bytes, new BinaryWriter().uint64(n).finish());
          assert.equal(new WireReader(bytes).uint(), n);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("grow the writer without losing what is written", () => {
    const w = new WireWriter(1);
    w.raw(new Uint8Array(5000).fill(2));
    w.raw(new Uint8Array(3000).fill(1));
    const bytes = w.finish();
    assert.equal(bytes.length, 8000);
    assert.equal(bytes.indexOf(2), 3000);
  });

  it("remember more ids than the reader's table holds", () => {
    fc.assert(
      fc.property(fc.array(id, { minLength: 20, maxLength: 40 }), (voters) => {
        const state = {
          voters,
          learners: [],
          votersOutgoing: [],
          learnersNext: [],
          autoLeave: false,
        };
        same(codec.decodeConfState(codec.encodeConfState(state)).voters, voters);
      }),
    );
  });
});
