/** The bytes of records: entries against the generated schema, batches, and where syncs run. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { EntrySchema, EntryType } from "@etcd2/proto/raft";
import fc from "fast-check";
import type { CompactionMarker } from "../../../src/wal/format/record.ts";
import {
  BatchWriter,
  readBatchRecord,
  RECORD_HEADER_BYTES,
} from "../../../src/wal/format/record.ts";
import { decodeRecord } from "../../../src/wal/replay.ts";
import type { WalRecordContent } from "../../../src/wal/replay.ts";
import { SyncPolicy } from "../../../src/wal/sync-policy.ts";
import * as records from "../../codec/arbitrary-records.ts";
import { METADATA, SEED } from "../wal-harness.ts";

/** The records of a batch, by their headers alone. */
function split(batch: Buffer): { type: number; payload: Buffer; offset: number }[] {
  const found: { type: number; payload: Buffer; offset: number }[] = [];
  for (let at = 0; at < batch.length;) {
    const end = at + 8 + batch.readUInt32LE(at);
    const payload = Buffer.from(batch.subarray(at + RECORD_HEADER_BYTES, end));
    found.push({ type: batch[at + 8] ?? 0, payload, offset: at });
    at = end;
  }
  return found;
}

const marker: fc.Arbitrary<CompactionMarker> = fc.record({
  snapshot: records.metadata,
  keepFrom: records.uint,
  previousTerm: records.uint,
  isReset: fc.boolean(),
});
const place = { sequence: 2 ** 40 + 3, offset: 77, synced: 50 };

describe(`records (SEED=${SEED})`, () => {
  it("an entry is the protobuf message of the schema, for every number and length", () => {
    const writer = new BatchWriter();
    fc.assert(
      fc.property(fc.array(records.entry, { maxLength: 8 }), (entries) => {
        writer.begin();
        writer.addEntries(entries);
        const [, ...written] = split(writer.finish(place, 0).bytes);
        assert.equal(written.length, entries.length);
        written.forEach(({ payload }, at) => {
          const entry = entries[at];
          assert.ok(entry !== undefined);
          const { term, index, type, data } = fromBinary(EntrySchema, payload);
          assert.equal(term, BigInt(entry.term));
          assert.equal(index, BigInt(entry.index));
          const expected = entry.type === "normal" ? EntryType.NORMAL : EntryType.CONF_CHANGE;
          assert.equal(type, expected);
          assert.ok(Buffer.from(data).equals(entry.data));
        });
      }),
      { seed: SEED },
    );
  });

  it("everything written is read back", () => {
    const writer = new BatchWriter();
    fc.assert(
      fc.property(
        fc.array(records.entry, { maxLength: 4 }),
        records.hardState,
        marker,
        (entries, hardState, compaction) => {
          writer.begin();
          writer.addMetadata(METADATA);
          writer.addEntries(entries);
          writer.addHardState(hardState);
          writer.addCompaction(compaction);
          const read = split(writer.finish(place, 99).bytes).map(decodeRecord);
          const expected: WalRecordContent[] = [
            { type: "batch" },
            { type: "metadata", metadata: METADATA },
            ...entries.map((entry) => ({ type: "entry" as const, entry })),
            { type: "hardState", hardState },
            { type: "compaction", marker: compaction },
          ];
          records.same(read, expected);
        },
      ),
      { seed: SEED },
    );
  });

  it("the rolling crc goes through every record and every batch", () => {
    const writer = new BatchWriter();
    const batch = (rollingCrc: number, bytes: number): { bytes: Buffer; rollingCrc: number } => {
      writer.begin();
      writer.addEntries([{ term: 1, index: 1, type: "normal", data: new Uint8Array(bytes) }]);
      const done = writer.finish(place, rollingCrc);
      return { bytes: Buffer.from(done.bytes), rollingCrc: done.rollingCrc };
    };
    const first = batch(0, 5);
    assert.deepEqual(batch(0, 5), first);
    const crcs = ({ bytes }: { bytes: Buffer }): number[] =>
      split(bytes).map(({ offset }) => bytes.readUInt32LE(offset + 4));
    const [a, b] = [crcs(batch(1, 5)), crcs(first)];
    assert.ok(a.every((crc, at) => crc !== b[at]));
    assert.equal(crcs(first).at(-1), first.rollingCrc);
  });

  it("a batch record is recognised at its own place and nowhere else", () => {
    const writer = new BatchWriter();
    writer.begin();
    writer.addHardState({ term: 1, vote: "", commit: 1 });
    const { bytes } = writer.finish(place, 0);
    const found = readBatchRecord(bytes, 0, place.sequence, place.offset);
    assert.deepEqual(found, { ...place, bytes: bytes.length });
    assert.equal(readBatchRecord(bytes, 0, place.sequence, place.offset + 1), undefined);
    assert.equal(readBatchRecord(bytes, 0, place.sequence + 1, place.offset), undefined);
    assert.equal(readBatchRecord(bytes, 1, place.sequence, place.offset), undefined);
  });

  it("a large batch is given back, a small one reuses its buffer", () => {
    const writer = new BatchWriter();
    const write = (bytes: number): ArrayBufferLike => {
      writer.begin();
      writer.addEntries([{ term: 1, index: 1, type: "normal", data: new Uint8Array(bytes) }]);
      return writer.finish(place, 0).bytes.buffer;
    };
    const small = write(10);
    assert.equal(write(1000), small);
    const large = write(10_000_000);
    assert.ok(large.byteLength > 10_000_000);
    assert.ok(write(10).byteLength < 100_000);
  });
});

describe("the choice of thread for a sync", () => {
  it("stays on this thread on a fast disk, also after one slow sync", () => {
    const policy = new SyncPolicy("adaptive");
    for (let sync = 0; sync < 1000; sync += 1) {
      assert.equal(policy.isInline, true);
      policy.ranInline(sync === 500 ? 3 : 0.0002);
    }
    assert.ok(policy.estimateSeconds < 0.0003);
  });

  it("leaves a slow disk after a few syncs and tries again once in a while", () => {
    const policy = new SyncPolicy("adaptive");
    let inline = 0;
    for (; inline < 20 && policy.isInline; inline += 1) policy.ranInline(0.01);
    assert.ok(inline < 20);
    let probes = 0;
    for (let sync = 0; sync < 10_000; sync += 1) {
      if (policy.isInline) {
        policy.ranInline(0.01);
        probes += 1;
      } else policy.ranOnPool(0.01);
    }
    assert.ok(probes >= 1 && probes <= 10, `${probes} probes`);
    assert.ok(policy.estimateSeconds > 0.009);
  });

  it("comes back when the disk has become fast", () => {
    const policy = new SyncPolicy("adaptive");
    for (let sync = 0; sync < 20; sync += 1) {
      if (policy.isInline) policy.ranInline(0.01);
      else policy.ranOnPool(0.01);
    }
    let onPool = 0;
    for (let sync = 0; sync < 1000; sync += 1) {
      if (policy.isInline) policy.ranInline(0.0001);
      else {
        policy.ranOnPool(0.0006);
        onPool += 1;
      }
    }
    assert.ok(onPool > 0 && onPool < 400, `${onPool} on the pool`);
    assert.equal(policy.isInline, true);
  });

  it("is never the pool when told so", () => {
    const policy = new SyncPolicy("inline");
    for (let sync = 0; sync < 100; sync += 1) {
      assert.equal(policy.isInline, true);
      policy.ranInline(1);
    }
  });
});
