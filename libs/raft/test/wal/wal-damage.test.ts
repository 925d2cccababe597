/** What damaged files lead to: a cut tail, or a refusal that names file and offset; never wrong data. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { seededRandom } from "@etcd2/test-support";
import { FatalError } from "../../src/core/model/errors.ts";
import { dumpWal } from "../../src/wal/dump.ts";
import { readWal } from "../../src/wal/read-wal.ts";
import { BATCH_RECORD_BYTES } from "../../src/wal/format/record.ts";
import type { SimulatedDisk } from "../../src/testing/simulated-disk.ts";
import { runInline } from "../../src/wal/files/file-system.ts";
import { readSegments } from "../../src/wal/log-reader.ts";
import { createSegment } from "../../src/wal/segment-files.ts";
import { listSegments, segmentName } from "../../src/wal/format/segment.ts";
import {
  createOn,
  describeLog,
  DIRECTORY,
  entriesOf,
  errorOf,
  hardStateOf,
  installNow,
  METADATA,
  newDisk,
  openOn,
  saveNow,
  SEED,
  snapshotAt,
  upTo,
} from "./wal-harness.ts";
import { closeInline, compactInline } from "../../src/testing/inline-wal.ts";

const SEGMENT_BYTES = 900;

interface Place {
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

/** A log of several segments that was not closed, and where its batches are. */
function built(closes = false): { disk: SimulatedDisk; states: string[]; batches: Place[] } {
  const disk = newDisk();
  const wal = createOn(disk, SEGMENT_BYTES);
  const states: string[] = [];
  for (let index = 1; index <= 18; index += 2) {
    saveNow(wal, entriesOf(1, index, 2, 50), hardStateOf(1, index - 1));
    states.push(describeLog(wal, undefined));
  }
  if (closes) closeInline(wal);
  else disk.restartProcess();
  return { disk, states, batches: batchesOf(disk) };
}

function batchesOf(disk: SimulatedDisk): Place[] {
  const batches: { file: string; start: number; end: number }[] = [];
  for (const item of readWal(DIRECTORY, disk)) {
    if (item.kind !== "record") continue;
    if (item.content.type === "batch") {
      batches.push({ file: item.file, start: item.offset, end: item.offset });
    }
    const batch = batches.at(-1);
    if (batch !== undefined) batch.end = item.offset + item.bytes;
  }
  return batches;
}

function change(disk: SimulatedDisk, file: string, edit: (bytes: Buffer) => Uint8Array): void {
  const path = `${DIRECTORY}/${file}`;
  disk.writeFile(path, edit(disk.readFile(path)));
}

function segments(disk: SimulatedDisk): string[] {
  return disk
    .readDirectory(DIRECTORY)
    .filter((name) => name.endsWith(".wal"))
    .sort();
}

function lastOf<T>(values: readonly T[]): T {
  const value = values.at(-1);
  assert.ok(value !== undefined);
  return value;
}

function flipped(bytes: Buffer, offset: number): Buffer {
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x10;
  return bytes;
}

/** A log in one segment: an entry with so much data, and one more, each durable. */
function twoBatches(dataBytes: number): SimulatedDisk {
  const disk = newDisk();
  const wal = createOn(disk, 4 * 1024 * 1024);
  saveNow(wal, entriesOf(1, 1, 1, dataBytes));
  saveNow(wal, entriesOf(1, 2, 1));
  disk.restartProcess();
  return disk;
}

/** Opens and returns the refusal. */
function refusal(disk: SimulatedDisk): FatalError {
  const error = errorOf(() => openOn(disk, SEGMENT_BYTES));
  assert.ok(error instanceof FatalError, error.message);
  assert.equal(disk.openHandles, 0);
  return error;
}

describe("one flipped bit", () => {
  it(`is refused with its place, unless it is in the last batch, which is then cut (SEED=${SEED})`, () => {
    const random = seededRandom(SEED);
    const { disk: original, states, batches } = built();
    const tail = lastOf(segments(original));
    const lastBatch = lastOf(batches);
    assert.equal(lastBatch.file, tail);
    assert.ok(segments(original).length >= 3);
    let refused = 0;
    let cut = 0;
    for (const file of segments(original)) {
      const end = Math.max(...batches.filter((batch) => batch.file === file).map((b) => b.end));
      for (let offset = 0; offset < end; offset += 1) {
        const disk = original.clone(random);
        change(disk, file, (bytes) => {
          bytes[offset] = (bytes[offset] ?? 0) ^ (1 << upTo(random, 7));
          return bytes;
        });
        if (file === tail && offset >= lastBatch.start) {
          const { wal, compaction, repaired } = openOn(disk, SEGMENT_BYTES);
          assert.equal(describeLog(wal, compaction), states.at(-2), `offset ${offset}`);
          assert.equal(repaired?.offset, lastBatch.start);
          // A flip may turn the last byte into a zero, which counts as never written.
          const dropped = lastBatch.end - lastBatch.start;
          assert.ok(repaired.droppedBytes === dropped || repaired.droppedBytes === dropped - 1);
          cut += 1;
          continue;
        }
        const { message } = refusal(disk);
        const place = new RegExp(`^open wal error: ${DIRECTORY}/${file} at offset (\\d+): `);
        const named = Number(place.exec(message)?.[1] ?? Number.NaN);
        // The record is named that holds the bit, or one next to it when its length is wrong.
        assert.ok(Math.abs(named - offset) < 300, `flipped ${offset}: ${message}`);
        assert.match(message, /Rebuild the member from its peers .* or restore a backup/);
        refused += 1;
      }
    }
    assert.ok(refused > 1500 && cut > 100, `${refused} refused, ${cut} cut`);
  });

  it("in the last batch of a log that was closed in good order is refused", () => {
    const random = seededRandom(SEED);
    const { disk: original, states, batches } = built(true);
    const [data, mark] = batches.slice(-2);
    assert.ok(data !== undefined && mark !== undefined);
    assert.equal(mark.end - mark.start, BATCH_RECORD_BYTES);
    for (let offset = data.start; offset < mark.end; offset += 1) {
      const disk = original.clone(random);
      change(disk, data.file, (bytes) => {
        bytes[offset] = (bytes[offset] ?? 0) ^ 0x10;
        return bytes;
      });
      if (offset < mark.start) assert.match(refusal(disk).message, /at offset/);
      else {
        const { wal, compaction } = openOn(disk, SEGMENT_BYTES);
        assert.equal(describeLog(wal, compaction), states.at(-1));
      }
    }
  });

  it("in the last batch is refused also of a log that went on after it was closed once", () => {
    const { disk } = built(true);
    const { wal } = openOn(disk, SEGMENT_BYTES);
    saveNow(wal, entriesOf(1, 19, 2, 50), hardStateOf(1, 18));
    closeInline(wal);
    const [data, mark] = batchesOf(disk).slice(-2);
    assert.ok(data !== undefined && mark !== undefined);
    assert.equal(mark.end - mark.start, BATCH_RECORD_BYTES, "closing vouches again");
    change(disk, data.file, (bytes) => flipped(bytes, data.end - 1));
    assert.match(refusal(disk).message, /at offset/);
  });

  it("in the head of the last segment is refused, even if nothing came after the head", () => {
    const { disk: original, batches } = built();
    const tail = lastOf(segments(original));
    const head = batches.find((batch) => batch.file === tail);
    assert.ok(head !== undefined);
    for (let offset = head.start; offset < head.end; offset += 7) {
      const disk = original.clone(seededRandom(offset));
      change(disk, tail, (bytes) => flipped(bytes.subarray(0, head.end), offset));
      assert.match(refusal(disk).message, /at offset/);
    }
  });

  it("is refused wherever the batch stands that vouches for it, across reads of the file too", () => {
    const bytes = 1024 * 1024;
    const sizeOf = (data: number): number => {
      const [, batch] = batchesOf(twoBatches(data));
      assert.ok(batch !== undefined);
      return batch.end - batch.start;
    };
    const overhead = sizeOf(bytes - 100) - (bytes - 100);
    // The later batch begins so many bytes before the end of what is read at once.
    for (const before of [BATCH_RECORD_BYTES - 1, 1]) {
      const disk = twoBatches(bytes - before - overhead);
      const [, damaged, vouching] = batchesOf(disk);
      assert.ok(damaged !== undefined && vouching !== undefined);
      assert.equal(vouching.start, damaged.start + bytes - before);
      change(disk, damaged.file, (content) => flipped(content, damaged.start + 100));
      const error = errorOf(() => openOn(disk, 4 * bytes));
      assert.match(error.message, /at offset/, `${before} bytes before`);
    }
  });

  it("in the zeros after the data is cut and does no harm", () => {
    const { disk, states, batches } = built();
    const { file, end } = lastOf(batches);
    change(disk, file, (bytes) => {
      assert.ok(bytes.length > end + 30);
      bytes[end + 20] = 1;
      return bytes;
    });
    const { wal, compaction, repaired } = openOn(disk, SEGMENT_BYTES);
    assert.equal(describeLog(wal, compaction), states.at(-1));
    assert.equal(repaired?.droppedBytes, 21);
  });
});

describe("a torn tail", () => {
  it("is cut at every length, and the damaged file is kept beside the log", () => {
    const { disk: original, states, batches } = built();
    const { file, start, end } = lastOf(batches);
    for (let size = start; size < end; size += 1) {
      const disk = original.clone(seededRandom(size));
      change(disk, file, (bytes) => bytes.subarray(0, size));
      const { wal, compaction, repaired } = openOn(disk, SEGMENT_BYTES);
      assert.equal(describeLog(wal, compaction), states.at(-2), `cut to ${size}`);
      if (size === start) {
        assert.equal(repaired, undefined);
        continue;
      }
      const copy = `${DIRECTORY}/${file}.broken`;
      assert.deepEqual(repaired, {
        file: `${DIRECTORY}/${file}`,
        offset: start,
        droppedBytes: disk.readFile(copy).length - start,
        problem: repaired?.problem,
        copy,
      });
      saveNow(wal, entriesOf(1, 17, 2, 50), hardStateOf(1, 16));
      disk.restartAfterPowerLoss("none");
      const again = openOn(disk, SEGMENT_BYTES);
      assert.equal(describeLog(again.wal, again.compaction), states.at(-1));
      assert.equal(again.repaired, undefined);
    }
  });

  it("of zeros, of garbage, and of garbage behind zeros is cut", () => {
    const { disk: original, states, batches } = built();
    const { file, start, end } = lastOf(batches);
    const random = seededRandom(5);
    const fills: ((bytes: Buffer) => void)[] = [
      (bytes) => bytes.fill(0, start),
      (bytes) => bytes.fill(0, start, end - 3),
      (bytes) => bytes.fill(0xff, start),
      (bytes) => bytes.fill(0, start + 60),
      (bytes) => {
        for (let at = start; at < bytes.length; at += 1) bytes[at] = upTo(random, 255);
      },
      (bytes) => {
        bytes.fill(0, start);
        for (let at = end; at < bytes.length; at += 1) bytes[at] = upTo(random, 255);
      },
    ];
    fills.forEach((fill, which) => {
      const disk = original.clone(random);
      change(disk, file, (bytes) => {
        fill(bytes);
        return bytes;
      });
      const { wal, compaction, repaired } = openOn(disk, SEGMENT_BYTES);
      assert.equal(describeLog(wal, compaction), states.at(-2), `fill ${which}`);
      assert.equal(repaired === undefined, which === 0);
    });
  });

  it("is no reason to start for a batch that a later one proves to have been durable", () => {
    const { disk, batches } = built();
    const { file, start, end } = batches.at(-2) ?? lastOf(batches);
    assert.equal(file, lastOf(batches).file);
    change(disk, file, (bytes) => bytes.fill(0, start, end));
    const { message } = refusal(disk);
    assert.match(message, new RegExp(`${file} at offset ${start}: zeros where a batch`));
    // Nothing was touched: it is refused again, in the same words.
    assert.equal(refusal(disk).message, message);
    assert.equal(
      disk.readDirectory(DIRECTORY).some((name) => name.endsWith(".broken")),
      false,
    );
  });

  it("that holds a copy of an old batch at another place is cut all the same", () => {
    const { disk, batches, states } = built();
    const { file, start, end } = lastOf(batches);
    change(disk, file, (bytes) => {
      const copy = Buffer.from(bytes.subarray(start, end));
      bytes.fill(0, start, end);
      copy.copy(bytes, start + 100);
      return bytes;
    });
    const { wal, compaction } = openOn(disk, SEGMENT_BYTES);
    assert.equal(describeLog(wal, compaction), states.at(-2));
  });
});

describe("damaged directories", () => {
  it("a missing segment is refused, first, middle or before the last", () => {
    const { disk: original, batches } = built();
    const names = segments(original);
    assert.ok(batches.length > 0 && names.length >= 3);
    for (const name of names.slice(0, -1)) {
      const disk = original.clone(seededRandom(1));
      disk.removeFile(`${DIRECTORY}/${name}`);
      assert.match(refusal(disk).message, /a segment is missing/);
    }
  });

  it("a segment of another log is refused", () => {
    const { disk } = built();
    const other = newDisk();
    const wal = createOn(other, SEGMENT_BYTES);
    for (let index = 1; index <= 18; index += 2) {
      saveNow(wal, entriesOf(3, index, 2, 50), hardStateOf(3, index - 1));
    }
    const [, name = ""] = segments(disk);
    assert.equal(segments(other)[1], name);
    change(disk, name, () => other.readFile(`${DIRECTORY}/${name}`));
    assert.match(refusal(disk).message, new RegExp(`${name} at offset 45: the checksum chain`));
  });

  it("segments that belong to two members are refused", () => {
    const disk = newDisk();
    closeInline(createOn(disk));
    const [name = ""] = segments(disk);
    const ends = [...readSegments(disk, DIRECTORY, listSegments(disk, DIRECTORY))].filter(
      (part) => part.kind === "end",
    );
    const { end, rollingCrc } = lastOf(ends);
    change(disk, name, (bytes) => bytes.subarray(0, end));
    const store = { fileSystem: disk, directory: DIRECTORY, segmentBytes: SEGMENT_BYTES };
    const head = {
      metadata: { ...METADATA, memberId: "00000000000000ff" },
      hardState: hardStateOf(0, 0),
      marker: undefined,
    };
    runInline(disk, createSegment(store, segmentName(1, 1), rollingCrc, head));
    disk.restartProcess();
    const message =
      /0000000000000001-0{15}1.wal at offset 86: a record says member 00000000000000ff/;
    assert.match(refusal(disk).message, message);
  });

  it("a hard state that commits what is not there is refused", () => {
    const disk = newDisk();
    const wal = createOn(disk);
    saveNow(wal, entriesOf(1, 1, 3), hardStateOf(1, 4));
    closeInline(wal);
    assert.match(refusal(disk).message, /index 4 is committed, but the entries end at 3/);
  });

  it("an empty, short or foreign segment is refused, wherever it stands", () => {
    const { disk: original } = built();
    const contents: [Buffer, RegExp][] = [
      [Buffer.alloc(0), /offset 0: the file is too short for its header/],
      [Buffer.alloc(40), /offset 0: the file is too short for its header/],
      [Buffer.alloc(5000), /offset 0: not a segment: wrong magic/],
      [Buffer.from("GIF89a".repeat(100)), /offset 0: not a segment: wrong magic/],
    ];
    for (const name of segments(original)) {
      for (const [content, expected] of contents) {
        const disk = original.clone(seededRandom(1));
        change(disk, name, () => content);
        const { message } = refusal(disk);
        assert.ok(message.includes(name), message);
        assert.match(message, expected);
      }
    }
  });

  it("a format of another version is refused by its number", () => {
    const { disk } = built();
    change(disk, lastOf(segments(disk)), (bytes) => {
      bytes.writeUInt32LE(7, 8);
      bytes.writeUInt32LE(crc32(bytes.subarray(0, 28)), 28);
      return bytes;
    });
    const { message } = refusal(disk);
    assert.match(message, /format version 7, this program reads version 1\. Another release/);
    assert.doesNotMatch(message, /clear its data directory/);
  });

  it("a segment under the name of another is refused", () => {
    const { disk } = built();
    const names = segments(disk);
    const [, second = ""] = names;
    const bytes = disk.readFile(`${DIRECTORY}/${second}`);
    disk.removeFile(`${DIRECTORY}/${second}`);
    disk.writeFile(`${DIRECTORY}/${second.slice(0, 17)}00000000000000ff.wal`, bytes);
    assert.match(refusal(disk).message, /the header is that of/);
    disk.writeFile(`${DIRECTORY}/${second}`, bytes);
    refusal(disk);
  });

  it("data after the end of a segment that has a successor is refused", () => {
    const { disk } = built();
    const [first = ""] = segments(disk);
    const size = disk.readFile(`${DIRECTORY}/${first}`).length;
    change(disk, first, (bytes) => Buffer.concat([bytes, Buffer.alloc(512)]));
    const expected = new RegExp(`${first} at offset ${size}: the data ends although another`);
    assert.match(refusal(disk).message, expected);
    change(disk, first, (bytes) => bytes.subarray(0, size - 100));
    refusal(disk);
  });

  it("other files are passed over, and an unfinished segment is removed", () => {
    const { disk, states } = built();
    const stray = [
      "note.txt",
      "x.wal",
      "0000000000000009.wal",
      "00000000000000ff-0000000000000001.wal.tmp",
    ];
    for (const name of stray) disk.writeFile(`${DIRECTORY}/${name}`, Buffer.from("x"));
    const { wal, compaction } = openOn(disk, SEGMENT_BYTES);
    assert.equal(describeLog(wal, compaction), states.at(-1));
    const left = stray.filter((name) => disk.readDirectory(DIRECTORY).includes(name));
    assert.deepEqual(left, stray.slice(0, 3));
  });
});

describe("the dump", () => {
  const describeData = (data: Uint8Array): string => `first byte ${data[0] ?? -1}`;

  it("prints every record with its place, and what they add up to", () => {
    const disk = newDisk();
    const wal = createOn(disk, SEGMENT_BYTES);
    saveNow(wal, entriesOf(1, 1, 4, 20), hardStateOf(1, 2));
    saveNow(wal, [{ term: 1, index: 5, type: "normal", data: new Uint8Array(0) }]);
    compactInline(wal, snapshotAt(2, 1), 2);
    installNow(wal, snapshotAt(9, 3));
    closeInline(wal);
    const lines: string[] = [];
    const result = dumpWal(DIRECTORY, (line) => lines.push(line), {
      fileSystem: disk,
      describeData,
    });
    assert.equal(result.damage, undefined);
    const file = "0000000000000000-0000000000000001.wal";
    assert.deepEqual(lines, [
      `${file}:86  metadata member=00000000000000a1 cluster=00000000000000c1`,
      `${file}:172  entry term=1 index=1 normal 20B  first byte 32`,
      `${file}:209  entry term=1 index=2 normal 20B  first byte 33`,
      `${file}:246  entry term=1 index=3 confChange 20B  undecodable: the bytes end in the middle of a field`,
      `${file}:283  entry term=1 index=4 normal 20B  first byte 35`,
      `${file}:320  hardState term=1 vote=00000000000000a1 commit=2`,
      `${file}:392  entry term=1 index=5 normal 0B  no-op`,
      `${file}:448  compaction index=2 term=1 keepFrom=2 previousTerm=1 ` +
        "voters=00000000000000a1,00000000000000b2",
      `${file}:546  snapshot installed index=9 term=3 keepFrom=10 previousTerm=3 ` +
        "voters=00000000000000a1,00000000000000b2",
      "entries 10..9, term 3, commit 9",
    ]);
  });

  it("goes as far as the damage and says what it is", () => {
    const { disk, batches } = built();
    const [, second] = batches;
    assert.ok(second !== undefined);
    change(disk, second.file, (bytes) => {
      bytes[second.end - 1] = 0x77;
      return bytes;
    });
    const lines: string[] = [];
    const { damage } = dumpWal(DIRECTORY, (line) => lines.push(line), { fileSystem: disk });
    assert.equal(damage?.kind, "corruption");
    assert.equal(damage.file, second.file);
    assert.match(lines.join("\n"), /CORRUPTION, the member refuses to start: the checksum of a/);
  });

  it("tells a torn tail from corruption, and changes nothing", () => {
    const { disk, batches, states } = built();
    const { file, end } = lastOf(batches);
    change(disk, file, (bytes) => bytes.subarray(0, end - 1));
    const before = disk.readFile(`${DIRECTORY}/${file}`);
    const lines: string[] = [];
    const { damage } = dumpWal(DIRECTORY, (line) => lines.push(line), { fileSystem: disk });
    assert.equal(damage?.kind, "tornTail");
    assert.match(lines.at(-2) ?? "", /torn tail, cut off at the next start: the file ends in/);
    assert.match(lines.at(-1) ?? "", /^entries 1\.\.16, term 1, commit 14$/);
    assert.ok(disk.readFile(`${DIRECTORY}/${file}`).equals(before));
    const { wal } = openOn(disk, SEGMENT_BYTES);
    assert.equal(describeLog(wal, undefined), states.at(-2));
  });

  it("says when there is no log", () => {
    const lines: string[] = [];
    const result = dumpWal("/nowhere", (line) => lines.push(line), { fileSystem: newDisk() });
    assert.deepEqual(lines, ["there is no log in /nowhere"]);
    assert.equal(result.records, 0);
  });
});
