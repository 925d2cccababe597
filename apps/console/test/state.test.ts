/** From samples to lines, and the forms of a value. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type HealthSample, knownUntil, type MemberHealth, merged } from "../src/state/health.ts";
import { byMember, newestOf, seconds } from "../src/state/series.ts";
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

function member(id: string, ...atMs: number[]): MemberHealth {
  const samples = atMs.map((at): HealthSample => ({
    ...{ atMs: at, methods: [], fsyncP99Seconds: 0, loopDelaySeconds: at / 1000 },
    ...{ storeBytes: 0, proposalsPerSecond: 0, pendingProposals: 0, roundTrips: [] },
  }));
  return { id, name: id, samples };
}

describe("what the page knows of the members' health", () => {
  it("grows by what is new, and forgets what is older than ten minutes", () => {
    const before = [member("a", 1000, 2000)];
    const [a] = merged(before, [member("a", 2000, 3000)]);
    assert.deepEqual(
      a?.samples.map(({ atMs }) => atMs),
      [1000, 2000, 3000],
    );
    const [later] = merged(before, [member("a", 601_500)]);
    assert.deepEqual(
      later?.samples.map(({ atMs }) => atMs),
      [2000, 601_500],
    );
  });

  it("is complete up to the member of which least is known, among those that answer", () => {
    assert.equal(knownUntil([member("a", 1000), member("b", 500, 900)]), 900);
    assert.equal(knownUntil([member("a", 1000), { ...member("b"), problem: "down" }]), 1000);
    assert.equal(knownUntil([]), 0);
  });

  it("is drawn by age, whatever the clocks of the members say", () => {
    const lines = byMember(
      [member("a", 5000, 10_000), member("b", 999_995_000, 1_000_000_000)],
      (sample) => sample.loopDelaySeconds,
    );
    assert.deepEqual(lines.map(newestOf), [10, 1_000_000]);
    for (const { values } of lines) {
      assert.equal(values.length, seconds.length);
      assert.equal(values.filter((value) => value !== null).length, 2);
      assert.notEqual(values.at(-2), null);
    }
  });
});
