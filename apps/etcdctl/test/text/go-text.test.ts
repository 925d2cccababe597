import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seedOfRun } from "@etcd2/test-support";
import {
  cleanPath,
  encodeForm,
  encodeFormValue,
  encodePath,
  parseDurationMs,
  parseInteger,
  parseSwitch,
  quote,
} from "../../src/text/go-text.ts";

const parameters = { seed: seedOfRun(), numRuns: 300 };

describe("integers", () => {
  const cases: [string, bigint | undefined][] = [
    ["0", 0n],
    ["12", 12n],
    ["+12", 12n],
    ["-12", -12n],
    ["0x64", 100n],
    ["-0X1f", -31n],
    ["010", 8n],
    ["9223372036854775807", 9223372036854775807n],
    ["9223372036854775808", undefined],
    ["-9223372036854775808", -9223372036854775808n],
    ["08", undefined],
    ["5s", undefined],
    ["1_000", undefined],
    ["0b1", undefined],
    ["1.5", undefined],
    [" 1", undefined],
    ["", undefined],
    ["0x", undefined],
    ["+", undefined],
  ];
  for (const [text, value] of cases) {
    test(`${JSON.stringify(text)} is ${String(value)}`, () => {
      assert.equal(parseInteger(text), value);
    });
  }

  test("every 64-bit integer is read back from its decimal and hexadecimal form", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }), (n) => {
        assert.equal(parseInteger(n.toString()), n);
        assert.equal(parseInteger(`-0x${n.toString(16)}`), -n);
      }),
      parameters,
    );
  });
});

describe("durations", () => {
  const cases: [string, number | undefined][] = [
    ["0", 0],
    ["-0", 0],
    ["1s", 1000],
    ["300ms", 300],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    ["-2s", -2000],
    [".5s", 500],
    ["1.s", 1000],
    ["10us", 0.01],
    ["10µs", 0.01],
    ["5", undefined],
    ["s", undefined],
    [".s", undefined],
    ["1 s", undefined],
    ["1d", undefined],
    ["", undefined],
    ["-", undefined],
    ["9999999999h", undefined],
  ];
  for (const [text, ms] of cases) {
    test(`${JSON.stringify(text)} is ${String(ms)} ms`, () => {
      const value = parseDurationMs(text);
      assert.equal(
        value === undefined ? undefined : Math.abs(value),
        ms === undefined ? ms : Math.abs(ms),
      );
      if (ms !== undefined && ms < 0) assert.ok((value ?? 0) < 0);
    });
  }
});

test("a switch understands the twelve words and nothing else", () => {
  for (const word of ["1", "t", "T", "TRUE", "true", "True"]) assert.equal(parseSwitch(word), true);
  for (const word of ["0", "f", "F", "FALSE", "false", "False"])
    assert.equal(parseSwitch(word), false);
  for (const word of ["yes", "tRUE", "", "on", "2"]) assert.equal(parseSwitch(word), undefined);
});

describe("quoted strings", () => {
  const cases: [string, string][] = [
    ['odd "name"', '"odd \\"name\\""'],
    ["back\\slash", '"back\\\\slash"'],
    ["a\nb\tc\x07\x00\x7f", '"a\\nb\\tc\\a\\x00\\x7f"'],
    ["é 键 ✓", '"é 键 ✓"'],
    ["soft\u00adhyphen\u2028", '"soft\\u00adhyphen\\u2028"'],
    ["\u{1f600}\u{e0001}", '"\u{1f600}\\U000e0001"'],
  ];
  for (const [text, quoted] of cases) {
    test(`${JSON.stringify(text)} becomes ${quoted}`, () => {
      assert.equal(quote(text), quoted);
    });
  }
});

describe("form and path encoding", () => {
  test("a form is sorted by name, blanks are plus signs", () => {
    assert.equal(
      encodeForm({ value: "a b&c=d/é", ttl: "5", prevValue: "x!*'()" }),
      "prevValue=x%21%2A%27%28%29&ttl=5&value=a+b%26c%3Dd%2F%C3%A9",
    );
  });

  test("bytes that are no text survive encoding", () => {
    assert.equal(encodeFormValue(Uint8Array.of(0, 0xff, 0x20, 0x41, 0x2b)), "%00%FF+A%2B");
  });

  test("text and its bytes are encoded alike", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        assert.equal(encodeFormValue(Buffer.from(text)), encodeFormValue(text));
      }),
      parameters,
    );
  });

  test("a server reads back the text from a form and a path", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        assert.equal(new URLSearchParams(encodeForm({ value: text })).get("value"), text);
        assert.equal(decodeURIComponent(encodePath(text)), text);
      }),
      parameters,
    );
  });

  test("a lone surrogate is replaced, not fatal", () => {
    assert.equal(encodeFormValue("\ud800"), "%EF%BF%BD");
  });

  test("path separators stay, characters with a meaning in addresses do not", () => {
    assert.equal(
      encodePath("/a b/c?d#e%f+g&h=i@j:k,l;m$n"),
      "/a%20b/c%3Fd%23e%25f+g&h=i@j:k,l;m$n",
    );
  });
});

describe("cleaned paths", () => {
  const cases: [string, string][] = [
    ["", "/"],
    ["/", "/"],
    ["//", "/"],
    ["a", "/a"],
    ["/a//b/", "/a/b/"],
    ["/a/./b/../c", "/a/c"],
    ["/../..", "/"],
    ["/a/..", "/"],
    ["/a/../", "/"],
  ];
  for (const [path, clean] of cases) {
    test(`${JSON.stringify(path)} becomes ${clean}`, () => {
      assert.equal(cleanPath(path), clean);
    });
  }

  test("cleaning twice changes nothing more", () => {
    const part = fc.constantFrom("a", "b", ".", "..", "", "c d");
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const once = cleanPath(parts.join("/"));
        assert.equal(cleanPath(once), once);
        assert.match(once, /^\//);
        assert.doesNotMatch(once, /\/\/|\/\.\.?(\/|$)/);
      }),
      parameters,
    );
  });
});
