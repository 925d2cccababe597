import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { jsonString } from "../../src/json/json-text.ts";
import { seed } from "../seed.ts";

/** The rules of etcd 2.3.8, one character at a time and slowly. */
function slowJsonString(bytes: string): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = '"';
  for (let at = 0; at < bytes.length;) {
    let length = 0;
    for (const tried of [1, 2, 3, 4]) {
      const piece = Buffer.from(bytes.slice(at, at + tried), "latin1");
      try {
        if (piece.length === tried && Array.from(decoder.decode(piece)).length === 1)
          length = tried;
      } catch {
        continue;
      }
      if (length > 0) break;
    }
    const piece = bytes.slice(at, at + Math.max(1, length));
    at += piece.length;
    const character = Buffer.from(piece, "latin1").toString("utf8");
    const code = piece.charCodeAt(0);
    if (length === 0) text += "\\ufffd";
    else if (character === "\u2028") text += "\\u2028";
    else if (character === "\u2029") text += "\\u2029";
    else if (character === "\n") text += "\\n";
    else if (character === "\r") text += "\\r";
    else if (character === "\t") text += "\\t";
    else if (character === '"' || character === "\\") text += "\\" + character;
    else if (code < 0x20 || "<>&".includes(character)) {
      text += "\\u" + code.toString(16).padStart(4, "0");
    } else text += piece;
  }
  return text + '"';
}

const bytesOf = (...bytes: number[]): string => String.fromCharCode(...bytes);

test("plain text stands for itself", () => {
  assert.equal(jsonString(""), '""');
  assert.equal(jsonString("/a b/~\x7f"), '"/a b/~\x7f"');
});

test("every byte alone is written as etcd 2.3.8 writes it", () => {
  for (let byte = 0; byte < 256; byte++) {
    const text = bytesOf(byte);
    assert.equal(jsonString(text), slowJsonString(text), `byte ${String(byte)}`);
    assert.equal(jsonString(`x${text}y`), slowJsonString(`x${text}y`), `byte ${String(byte)}`);
  }
  assert.equal(jsonString("\b\f\n\r\t"), '"\\u0008\\u000c\\n\\r\\t"');
  assert.equal(jsonString("<>&\"\\/'"), '"\\u003c\\u003e\\u0026\\"\\\\/\'"');
});

test("UTF-8 stays, and each byte that is none becomes one escape", () => {
  const euro = bytesOf(0xe2, 0x82, 0xac);
  assert.equal(jsonString(euro), `"${euro}"`);
  assert.equal(jsonString(bytesOf(0xe2, 0x80, 0xa8, 0xe2, 0x80, 0xa9)), '"\\u2028\\u2029"');
  assert.equal(jsonString(bytesOf(0xef, 0xbf, 0xbd)), `"${bytesOf(0xef, 0xbf, 0xbd)}"`);
  const broken: [string, string][] = [
    [bytesOf(0xe2, 0x82), '"\\ufffd\\ufffd"'],
    [bytesOf(0xc0, 0xaf), '"\\ufffd\\ufffd"'],
    [bytesOf(0xe0, 0x80, 0xaf), '"\\ufffd\\ufffd\\ufffd"'],
    [bytesOf(0xed, 0xa0, 0x80), '"\\ufffd\\ufffd\\ufffd"'],
    [bytesOf(0xf4, 0x90, 0x80, 0x80), '"\\ufffd\\ufffd\\ufffd\\ufffd"'],
    [bytesOf(0xf0, 0x9f, 0x98) + "a", '"\\ufffd\\ufffd\\ufffda"'],
  ];
  for (const [bytes, expected] of broken) assert.equal(jsonString(bytes), expected);
});

test("any bytes are written as the slow reference writes them", () => {
  const interesting = fc.constantFrom(
    0xc2,
    0xe0,
    0xe2,
    0x80,
    0xa8,
    0xed,
    0xf0,
    0xf4,
    0x9f,
    0x22,
    0x61,
  );
  const byte = fc.oneof(interesting, fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 24 }), (bytes) => {
      const text = bytesOf(...bytes);
      assert.equal(jsonString(text), slowJsonString(text));
    }),
    { seed, numRuns: 2000 },
  );
});

test("valid text survives a round trip through a JSON parser", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 30 }), (text) => {
      const written = jsonString(Buffer.from(text, "utf8").toString("latin1"));
      assert.equal(JSON.parse(Buffer.from(written, "latin1").toString("utf8")), text);
    }),
    { seed },
  );
});
