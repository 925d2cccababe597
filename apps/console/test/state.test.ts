/** From samples to lines, and the forms of a value. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatted, hexDump, mayBeBinary, textOf } from "../src/state/value-forms.ts";

describe("the forms of a value", () => {
  it("lay JSON and YAML out, or say why not", async () => {
    assert.equal(await formatted('{"a":1}', "json"), '{\n  "a": 1\n}');
    assert.equal(await formatted("a:   [1,2]\n", "yaml"), "a: [ 1, 2 ]\n");
    for (const [value, form] of [
      ["{", "json"],
      ["a: [1", "yaml"],
    ] as const) {
      const result = await formatted(value, form);
      assert.ok(typeof result !== "string" && result.problem !== "", value);
    }
    assert.equal(await formatted("a: 1", "plain"), "a: 1");
    assert.equal(await formatted("", "yaml"), "");
  });

  it("show bytes with their offsets and what is printable", () => {
    const dump = hexDump(Uint8Array.of(0, 65, 255, ...Array.from({ length: 14 }, () => 97)));
    assert.deepEqual(dump.split("\n"), [
      "00000000  00 41 ff 61 61 61 61 61 61 61 61 61 61 61 61 61  .A.aaaaaaaaaaaaa",
      "00000010  61                                               a",
    ]);
    assert.match(hexDump(new Uint8Array(65_540)), /… 4$/);
  });

  it("tell text that holds the replacement character from bytes that are none", () => {
    assert.equal(mayBeBinary("plain"), false);
    assert.equal(mayBeBinary("a\ufffd"), true);
    assert.equal(textOf(Uint8Array.of(0xef, 0xbf, 0xbd)), "\ufffd");
    assert.equal(textOf(Uint8Array.of(0xff)), undefined);
  });
});
