/** The hand-written codec against the generated one, in both directions. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import * as pb from "@etcd2/proto/raft";
import fc from "fast-check";
import { seedOfRun } from "@etcd2/test-support";
import * as codec from "../../src/codec/records.ts";
import * as frames from "../../src/codec/frames.ts";
import * as messages from "../../src/codec/messages.ts";
import { WireReader } from "../../src/codec/wire-reader.ts";
import { append, base, big, confChange, confState, data, entry } from "./arbitrary-records.ts";
import {
  hardState,
  message,
  id,
  metadata,
  same,
  uint,
  unknownFields,
} from "./arbitrary-records.ts";
import { pbConfChange, pbConfState, pbEntry, pbMessage, pbMetadata } from "./arbitrary-records.ts";

const seed = seedOfRun("codec properties");
fc.configureGlobal({ seed, numRuns: 300 });

describe("records of the log", () => {
  it("are written byte for byte as the generated code writes them", () => {
    fc.assert(
      fc.property(entry, confState, (e, state) => {
        same(codec.encodeEntry(e), toBinary(pb.EntrySchema, pbEntry(e)));
        same(codec.encodeConfState(state), toBinary(pb.ConfStateSchema, pbConfState(state)));
      }),
    );
    fc.assert(
      fc.property(metadata, (m) => {
        const expected = toBinary(pb.SnapshotMetadataSchema, pbMetadata(m));
        same(codec.encodeWith(codec.writeSnapshotMetadata, m), expected);
      }),
    );
    fc.assert(
      fc.property(confChange, (change) => {
        const expected = toBinary(pb.ConfChangeSchema, pbConfChange(change));
        same(codec.encodeConfChange(change), expected);
      }),
    );
    fc.assert(
      fc.property(hardState, (state) => {
        const { term, vote, commit } = state;
        const record = create(pb.HardStateSchema, { term: big(term), vote, commit: big(commit) });
        same(codec.encodeHardState(state), toBinary(pb.HardStateSchema, record));
      }),
    );
  });

  it("come back as they were", () => {
    fc.assert(
      fc.property(entry, (e) => {
        same(codec.decodeEntry(codec.encodeEntry(e)), e);
      }),
    );
    fc.assert(
      fc.property(hardState, (s) => {
        same(codec.decodeHardState(codec.encodeHardState(s)), s);
      }),
    );
    fc.assert(
      fc.property(confState, (s) => {
        same(codec.decodeConfState(codec.encodeConfState(s)), s);
      }),
    );
    fc.assert(
      fc.property(confChange, (c) => {
        same(codec.decodeConfChange(codec.encodeConfChange(c)), c);
      }),
    );
    fc.assert(
      fc.property(metadata, (m) => {
        const bytes = codec.encodeWith(codec.writeSnapshotMetadata, m);
        same(codec.readSnapshotMetadata(new WireReader(bytes)), m);
      }),
    );
  });

  it("survive unknown fields", () => {
    const more = unknownFields();
    fc.assert(
      fc.property(entry, confChange, (e, c) => {
        same(codec.decodeEntry(Buffer.concat([more, codec.encodeEntry(e), more])), e);
        same(codec.decodeConfChange(Buffer.concat([codec.encodeConfChange(c), more])), c);
      }),
    );
  });

  it("share the bytes they were decoded from", () => {
    const bytes = codec.encodeEntry({
      term: 1,
      index: 2,
      type: "normal",
      data: Buffer.from("abc"),
    });
    const decoded = codec.decodeEntry(bytes);
    assert.equal(decoded.data.buffer, bytes.buffer);
  });
});

describe("messages", () => {
  it("are written byte for byte as the generated code writes them", () => {
    fc.assert(
      fc.property(message, (m) => {
        same(messages.encodeMessage(m), toBinary(pb.MessageSchema, pbMessage(m)));
      }),
      { numRuns: 1000 },
    );
  });

  it("of the generated code are read as they were meant", () => {
    fc.assert(
      fc.property(message, (m) => {
        same(messages.decodeMessage(toBinary(pb.MessageSchema, pbMessage(m))), m);
      }),
      { numRuns: 1000 },
    );
  });

  it("travel in batch frames, in order", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 10 }), (batch) => {
        const frame = frames.encodeBatchFrame(batch);
        const generated = fromBinary(pb.StreamFrameSchema, frame);
        assert.equal(generated.frame.case, "batch");
        same(toBinary(pb.StreamFrameSchema, generated), frame);
        same(frames.decodeStreamFrame(frame), { kind: "batch", messages: batch });
      }),
    );
  });

  it("survive unknown fields at every depth", () => {
    const more = unknownFields();
    fc.assert(
      fc.property(message, (m) => {
        const generated = pbMessage(m);
        const extra = [
          { no: 600, wireType: WireType.LengthDelimited, data: Uint8Array.of(2, 1, 2) },
        ];
        generated.$unknown = extra;
        for (const e of generated.entries) e.$unknown = extra;
        if (generated.snapshot?.confState !== undefined)
          generated.snapshot.confState.$unknown = extra;
        const bytes = Buffer.concat([more, toBinary(pb.MessageSchema, generated)]);
        same(messages.decodeMessage(bytes), m);
      }),
    );
  });

  it("are estimated at no less than half and no more than twice their size when large", () => {
    fc.assert(
      fc.property(append, (m) => {
        const real = messages.encodeMessage(m).length;
        const estimate = messages.messageSizeEstimate(m);
        assert.ok(estimate >= real * 0.75 && estimate <= real * 2 + 128, `${estimate} for ${real}`);
      }),
    );
  });
});

/** What a greeting says of a data directory, read by the generated code. */
function livesOf({ life }: pb.Hello): unknown {
  if (life === undefined) return undefined;
  const { incarnation, session, isFounding } = life;
  return {
    ...{ incarnation, starts: Number(life.starts), session, term: Number(life.term) },
    ...{ lastIndex: Number(life.lastIndex), isFounding },
    end: { term: Number(life.endTerm), index: Number(life.endIndex) },
    currentTerm: Number(life.currentTerm),
  };
}

describe("frames", () => {
  const label = fc.stringMatching(/^[!-~]{0,64}$/);
  const life = fc.record({
    incarnation: id,
    starts: uint,
    session: id,
    term: uint,
    lastIndex: uint,
    isFounding: fc.boolean(),
    end: fc.record({ term: uint, index: uint }),
    currentTerm: uint,
  });
  /** Members of earlier versions say nothing of their data directories. */
  const hello = fc.record(
    {
      clusterId: label,
      from: id,
      to: id,
      serverVersion: label,
      minClusterVersion: label,
      life,
    },
    { requiredKeys: ["clusterId", "from", "to", "serverVersion", "minClusterVersion"] },
  );

  it("of every kind come back and are valid to the generated code", () => {
    fc.assert(
      fc.property(hello, uint, uint, (h, n, index) => {
        same(frames.decodeStreamFrame(frames.encodeHelloFrame(h)), { kind: "hello", hello: h });
        same(frames.decodeStreamFrame(frames.encodePingFrame(n)), { kind: "ping", sentNs: n });
        same(frames.decodeStreamFrame(frames.encodePongFrame(n)), { kind: "pong", sentNs: n });
        const ping = fromBinary(pb.StreamFrameSchema, frames.encodePingFrame(n));
        assert.equal(ping.frame.case === "ping" && ping.frame.value.sentNs, big(n));
        const greeting = fromBinary(pb.StreamFrameSchema, frames.encodeHelloFrame(h));
        assert.ok(greeting.frame.case === "hello");
        assert.equal(greeting.frame.value.clusterId, h.clusterId);
        same(livesOf(greeting.frame.value), h.life);
        const told = { term: n, index };
        const position = frames.encodePositionFrame(told);
        same(frames.decodeStreamFrame(position), { kind: "position", position: told });
        const generatedPosition = fromBinary(pb.StreamFrameSchema, position).frame;
        assert.ok(generatedPosition.case === "position");
        const { term, index: at } = generatedPosition.value;
        assert.deepEqual([term, at], [big(n), big(index)]);
      }),
    );
  });

  it("of an unknown kind are skipped, not refused", () => {
    assert.equal(frames.decodeStreamFrame(unknownFields()), undefined);
  });

  it("of a snapshot transfer come back and are valid to the generated code", () => {
    const crc = fc.integer({ min: 0, max: 0xffffffff });
    const snapshot = fc.record({
      type: fc.constant("snapshot" as const),
      ...base,
      snapshot: metadata,
    });
    fc.assert(
      fc.property(hello, snapshot, uint, crc, data, (h, m, bytes, crc32, chunk) => {
        const header = frames.encodeSnapshotHeader(h, m);
        same(frames.decodeSnapshotChunk(header), { kind: "header", hello: h, message: m });
        const trailer = frames.encodeSnapshotTrailer(bytes, crc32);
        same(frames.decodeSnapshotChunk(trailer), { kind: "trailer", bytes, crc32 });
        const generated = fromBinary(pb.SnapshotChunkSchema, trailer);
        assert.equal(generated.chunk.case === "trailer" && generated.chunk.value.crc32, crc32);
        const parsed = fromBinary(pb.SnapshotChunkSchema, header);
        assert.equal(parsed.chunk.case === "header" && parsed.chunk.value.message?.to, m.to);
        if (chunk.length === 0) return;
        const body = frames.encodeSnapshotData(chunk);
        same(frames.decodeSnapshotChunk(body), { kind: "data", data: chunk });
        same(fromBinary(pb.SnapshotChunkSchema, body).chunk, { case: "data", value: chunk });
      }),
    );
    assert.equal(frames.decodeSnapshotResult(frames.encodeSnapshotResult(12345)), 12345);
  });

  it("of cluster info come back", () => {
    const info = {
      clusterId: "a",
      memberId: "000000000000000b",
      leaderId: "",
      serverVersion: "2.4.0",
      clusterVersion: "2.4.0",
      members: [
        {
          id: "000000000000000c",
          name: "n",
          peerUrls: ["http://x:1"],
          clientUrls: [],
          isLearner: true,
        },
      ],
      removedIds: ["000000000000000d"],
    };
    same(frames.decodeClusterInfo(frames.encodeClusterInfo(info)), info);
  });
});
