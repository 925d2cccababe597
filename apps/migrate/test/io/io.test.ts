import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { crc32c } from "../../src/crc32c.ts";
import { cleanKey, fromByteString, toByteString } from "@etcd2/store";
import { seedOfRun } from "@etcd2/test-support";
import { FileCursor } from "../../src/io/file-cursor.ts";
import { FormatError } from "../../src/io/format-error.ts";
import { nanosToMs, parseGoTime } from "../../src/io/go-time.ts";
import type { JsonValue } from "../../src/io/json-scanner.ts";
import { JsonScanner } from "../../src/io/json-scanner.ts";
import { ProtoReader } from "../../src/io/proto-reader.ts";
import { normalizeFlags } from "../../src/cli/go-flags.ts";
import { bytesField, numberField, varint } from "../support/old-formats.ts";
import { TempDir } from "../support/temp-dir.ts";

const parameters = { seed: seedOfRun() };

/** The textbook form, one bit at a time. */
function slowCrc32c(data: Uint8Array): number {
  let crc = ~0;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

describe("crc32c", () => {
  it("gives the published check value", () => {
    assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  });

  it("equals the bitwise definition, whole or in two parts", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (data, cut) => {
        assert.equal(crc32c(data), slowCrc32c(data));
        assert.equal(crc32c(data.subarray(cut), crc32c(data.subarray(0, cut))), crc32c(data));
      }),
      parameters,
    );
  });

  it("is fast enough for a log of gigabytes", () => {
    const data = Buffer.alloc(32 << 20, 0x5a);
    crc32c(data.subarray(0, 1 << 20));
    // Time of this thread, so that a busy machine does not count.
    const start = process.threadCpuUsage();
    crc32c(data);
    const { user, system } = process.threadCpuUsage(start);
    const megabytesPerSecond = data.length / (user + system);
    assert.ok(megabytesPerSecond > 200, `${megabytesPerSecond.toFixed(0)} MB/s`);
  });
});

describe("FileCursor", () => {
  it("hands out the same bytes whatever the window and the order of calls", () => {
    using dir = new TempDir();
    const content = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 251));
    writeFileSync(dir.at("f"), content);
    const step = fc.record({ kind: fc.constantFrom("peek", "take", "seek"), n: fc.nat(1500) });
    fc.assert(
      fc.property(fc.nat(300), fc.array(step, { maxLength: 40 }), (window, steps) => {
        const cursor = new FileCursor(dir.at("f"), window);
        let at = 0;
        for (const { kind, n } of steps) {
          if (kind === "seek") {
            at = n * 3;
            cursor.seek(at);
            continue;
          }
          const bytes = kind === "peek" ? cursor.peek(n) : cursor.take(n);
          assert.deepEqual(bytes, content.subarray(at, at + n));
          if (kind === "take") at += bytes.length;
          assert.equal(cursor.position, at);
        }
        cursor.close();
      }),
      parameters,
    );
  });

  it("tells whether only zeros follow", () => {
    using dir = new TempDir();
    writeFileSync(dir.at("f"), Buffer.concat([Buffer.from("abc"), Buffer.alloc(3000)]));
    const cursor = new FileCursor(dir.at("f"), 64);
    assert.equal(cursor.isZeroFrom(3), true);
    assert.equal(cursor.isZeroFrom(2), false);
    assert.equal(cursor.position, 0);
    cursor.close();
  });
});

describe("ProtoReader", () => {
  it("reads numbers, ids, signed numbers and bytes", () => {
    const message = Buffer.concat([
      numberField(1, Number.MAX_SAFE_INTEGER),
      numberField(2, 0xca98ea979c418069n),
      numberField(3, -5n),
      bytesField(4, "höher"),
      numberField(5, 1),
    ]);
    const reader = new ProtoReader(message);
    assert.ok(reader.next());
    assert.equal(reader.number(), Number.MAX_SAFE_INTEGER);
    assert.ok(reader.next());
    assert.equal(reader.id(), "ca98ea979c418069");
    assert.ok(reader.next());
    assert.equal(reader.signed(), -5n);
    assert.ok(reader.next());
    assert.equal(fromByteString(reader.byteString()), "höher");
    assert.ok(reader.next());
    reader.skip();
    assert.equal(reader.next(), false);
  });

  it("refuses numbers beyond the safe range and lengths beyond the message", () => {
    const big = new ProtoReader(numberField(1, 2n ** 60n));
    big.next();
    assert.throws(() => big.number(), FormatError);
    const long = new ProtoReader(Buffer.concat([varint((1 << 3) | 2), varint(100), Buffer.of(1)]));
    long.next();
    assert.throws(() => long.bytes(), FormatError);
  });

  it("ends in a FormatError or normally on any bytes, never otherwise", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          const reader = new ProtoReader(Buffer.from(bytes));
          while (reader.next()) reader.skip();
        } catch (error) {
          assert.ok(error instanceof FormatError);
        }
      }),
      parameters,
    );
  });
});

describe("JsonScanner", () => {
  /** A decoded document with text instead of bytes, as JSON.parse gives it. */
  function plain(value: JsonValue): unknown {
    if (typeof value === "string") return fromByteString(value);
    if (value instanceof Map) {
      const members = [...(value as ReadonlyMap<string, JsonValue>)];
      return Object.fromEntries(members.map(([k, v]) => [fromByteString(k), plain(v)]));
    }
    return Array.isArray(value) ? value.map(plain) : value;
  }

  it("reads any document as JSON.parse does, however it is cut into chunks", () => {
    fc.assert(
      fc.property(fc.json(), fc.integer({ min: 1, max: 9 }), (json, size) => {
        const bytes = Buffer.from(json, "utf8");
        const chunks: Buffer[] = [];
        for (let i = 0; i < bytes.length; i += size) chunks.push(bytes.subarray(i, i + size));
        const scanner = new JsonScanner(chunks);
        const value = plain(scanner.value());
        scanner.end();
        assert.deepEqual(JSON.stringify(value), JSON.stringify(JSON.parse(json)));
      }),
      parameters,
    );
  });

  it("refuses what is cut short", () => {
    const json = '{"a":[1,"x\\u00e9",true,null],"b":{"c":"d"}}';
    for (let end = 0; end < json.length; end++) {
      const scanner = new JsonScanner([Buffer.from(json.slice(0, end))]);
      assert.throws(() => {
        scanner.value();
        scanner.end();
      }, FormatError);
    }
  });

  it("keeps raw strings as they come", () => {
    const scanner = new JsonScanner(['"abc', 'def"', ",1"].map((text) => Buffer.from(text)));
    assert.equal(Buffer.concat([...scanner.rawString()]).toString(), "abcdef");
    scanner.expect(",");
    assert.equal(scanner.number(), 1);
  });

  it("turns text into bytes and back", () => {
    assert.equal(toByteString("é"), "\u00c3\u00a9");
    assert.equal(fromByteString(toByteString("值 ü")), "值 ü");
  });
});

describe("Go times", () => {
  it("keep nanoseconds and zones", () => {
    assert.equal(parseGoTime("2026-11-23T22:32:04.232667357Z"), 1795473124232667357n);
    assert.equal(parseGoTime("1970-01-01T01:00:00.5+01:00"), 500_000_000n);
    assert.equal(parseGoTime("1969-12-31T22:00:00-02:00"), 0n);
  });

  it("know the zero time in any zone", () => {
    assert.equal(parseGoTime("0001-01-01T00:00:00Z"), undefined);
    assert.equal(parseGoTime("0001-01-01T01:00:00+01:00"), undefined);
    assert.notEqual(parseGoTime("0001-01-01T00:00:00.1Z"), undefined);
  });

  it("refuse what is no time", () => {
    assert.throws(() => parseGoTime("yesterday"), FormatError);
  });

  it("round down to milliseconds, before 1970 too", () => {
    assert.equal(nanosToMs(1_999_999n), 1);
    assert.equal(nanosToMs(-1n), -1);
    assert.equal(nanosToMs(-1_000_000n), -1);
  });
});

describe("cleanKey", () => {
  it("does what the old stores did to paths", () => {
    assert.equal(cleanKey("/a/b"), "/a/b");
    assert.equal(cleanKey("/a//b/./c/../d/"), "/a/b/d");
    assert.equal(cleanKey("/"), "/");
    assert.equal(cleanKey("/.."), "/");
    assert.equal(cleanKey("/a/.hidden"), "/a/.hidden");
  });
});

describe("normalizeFlags", () => {
  it("takes long options with one dash and leaves values alone", () => {
    assert.deepEqual(normalizeFlags(["-data-dir", "x", "-name=n", "--wal-dir", "-", "-h"]), [
      "--data-dir",
      "x",
      "--name=n",
      "--wal-dir",
      "-",
      "-h",
    ]);
    assert.deepEqual(normalizeFlags(["--", "-data-dir"]), ["--", "-data-dir"]);
  });
});
