import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { jsonComplaint } from "../../src/json/json-complaint.ts";
import { seed } from "../seed.ts";

/** Texts and what etcd 3.4.23 said of them; non-ASCII bytes are shown as their characters. */
const RECORDED: readonly (readonly [string, string])[] = [
  ["", "unexpected end of JSON input"],
  ['{"peerURLs":', "unexpected end of JSON input"],
  ['{"peerURLs":x}', "invalid character 'x' looking for beginning of value"],
  ["{peerURLs:[]}", "invalid character 'p' looking for beginning of object key string"],
  ['{"peerURLs":[]} xx', "invalid character 'x' after top-level value"],
  ['{"a" 1}', "invalid character '1' after object key"],
  ['{"a":1 2}', "invalid character '2' after object key:value pair"],
  ["[1 2]", "invalid character '2' after array element"],
  ["[1,]", "invalid character ']' looking for beginning of value"],
  ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
  ['"a\\x"', "invalid character 'x' in string escape code"],
  ['"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"],
  ["-x", "invalid character 'x' in numeric literal"],
  ["1.x", "invalid character 'x' after decimal point in numeric literal"],
  ["1e", "invalid character ' ' in exponent of numeric literal"],
  ["1ex", "invalid character 'x' in exponent of numeric literal"],
  ["01", "invalid character '1' after top-level value"],
  ["tru", "invalid character ' ' in literal true (expecting 'e')"],
  ["trux", "invalid character 'x' in literal true (expecting 'e')"],
  ["nul1", "invalid character '1' in literal null (expecting 'l')"],
  ['"a\nb"', "invalid character '\\n' in string literal"],
  ["'a'", "invalid character '\\'' looking for beginning of value"],
  ['{"a":"b"', "unexpected end of JSON input"],
  ["\u0000", "invalid character '\\x00' looking for beginning of value"],
  ['{"a":}', "invalid character '\\x7f' looking for beginning of value"],
  ["Ã©", "invalid character 'Ã' looking for beginning of value"],
  ['{"a":Ã©}', "invalid character 'Ã' looking for beginning of value"],
  ["[", "unexpected end of JSON input"],
  ["{", "unexpected end of JSON input"],
  ['"abc', "unexpected end of JSON input"],
  ["-", "invalid character ' ' in numeric literal"],
  ["[1,2", "unexpected end of JSON input"],
  ["nulll", "invalid character 'l' after top-level value"],
  ['{"a":tru}', "invalid character '}' in literal true (expecting 'e')"],
  ["\\", "invalid character '\\\\' looking for beginning of value"],
  ["\t\n", "unexpected end of JSON input"],
  ['{"a":[}', "invalid character '}' looking for beginning of value"],
  ['"\\', "invalid character ' ' in string escape code"],
];

test("faults have the words of etcd 2.3.8", () => {
  for (const [text, words] of RECORDED) assert.equal(jsonComplaint(text), words, text);
});

test("there is a fault where the runtime finds one, and nowhere else", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"',
      '"a"',
      "\\",
      "\\u00e9",
      "true",
      "nul",
      "null",
    ),
    fc.constantFrom("0", "-", "1.5", "e", "E+", "12", " ", "\n", "\0", "x", "\xe9"),
  );
  const texts = fc.oneof(
    fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")),
    fc.json(),
    fc.json().chain((text) => fc.nat(text.length).map((at) => text.slice(0, at))),
  );
  fc.assert(
    fc.property(texts, (text) => {
      let isValid = true;
      try {
        JSON.parse(text);
      } catch {
        isValid = false;
      }
      assert.equal(jsonComplaint(text) === undefined, isValid, text);
    }),
    { seed, numRuns: 3000 },
  );
});
