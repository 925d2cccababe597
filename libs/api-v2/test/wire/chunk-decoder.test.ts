import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkDecoder } from "../../src/wire/chunk-decoder.ts";
import { seed } from "../seed.ts";

interface Decoded {
  readonly body: string;
  readonly used: number;
  readonly isDone: boolean;
  readonly problem: string | undefined;
}

/** Decodes bytes that come in pieces of the given sizes. */
function decode(bytes: string, sizes: readonly number[]): Decoded {
  const decoder = new ChunkDecoder();
  let body = "";
  let used = 0;
  for (let at = 0, turn = 0; at < bytes.length && !decoder.isDone; turn++) {
    const size = sizes[turn % Math.max(1, sizes.length)] ?? bytes.length;
    const part = decoder.decode(Buffer.from(bytes.slice(at, at + size), "latin1"));
    body += part.body.toString("latin1");
    used += part.used;
    at += size;
    if (decoder.problem !== undefined) break;
  }
  return { body, used, isDone: decoder.isDone, problem: decoder.problem };
}

const data = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((bytes) => Buffer.from(bytes).toString("latin1"));
const extension = fc.constantFrom("", ";a", ";a=b", ';a="b c"', ";;", "; x = y", "  ", "\t");
const trailer = fc.constantFrom("", "X: y\r\n", "X: y\r\nZ:\r\n");
const zeros = fc.constantFrom("", "0", "0000");
const split = fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 6 });

test("what was encoded comes out, however it is split, and what follows is left", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(data, extension, zeros, fc.constantFrom("\r\n", "\n")), { maxLength: 6 }),
      trailer,
      fc.constantFrom("", "GET / HTTP/1.1\r\n\r\n", "0\r\n\r\n"),
      split,
      (chunks, trailers, rest, sizes) => {
        const encoded = chunks.map(
          ([text, ext, pad, end]) => `${pad}${text.length.toString(16)}${ext}${end}${text}\r\n`,
        );
        const bytes = `${encoded.join("")}0\r\n${trailers}\r\n`;
        const result = decode(bytes + rest, sizes);
        assert.equal(result.problem, undefined);
        assert.ok(result.isDone);
        assert.equal(result.body, chunks.map(([text]) => text).join(""));
        assert.equal(result.used, bytes.length);
      },
    ),
    { seed, numRuns: 1000 },
  );
});

test("a fault is the same fault however it is split, and ends the decoding", () => {
  const piece = fc.constantFrom(
    ..."0 7 a\r\n \r \n ; : ffffffffffffffff 00000000000000000007 x value=1 \r\n\r\n g -1 0x1".split(
      " ",
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), split, (pieces, sizes) => {
      const bytes = pieces.join("");
      const whole = decode(bytes, []);
      const parts = decode(bytes, sizes);
      assert.deepEqual(parts, whole);
      assert.ok(!(whole.isDone && whole.problem !== undefined));
    }),
    { seed, numRuns: 3000 },
  );
});

test("lines and trailers are bounded, and blanks before an extension are no part of a size", () => {
  assert.equal(decode(`7;${"x".repeat(5000)}`, []).problem, "header line too long");
  const long = `0\r\n${"X: y\r\n".repeat(1000)}\r\n`;
  assert.match(decode(long, []).problem ?? "", /suspiciously long trailer/);
  assert.equal(decode("7 ;a\r\n", []).problem, "invalid byte in chunk length");
  assert.equal(decode("7 \t\r\nvalue=1\r\n0\r\n\r\n", []).body, "value=1");
});
