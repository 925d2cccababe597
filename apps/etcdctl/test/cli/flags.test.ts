import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seedOfRun } from "@etcd2/test-support";
import { type FlagSpec, parseFlags, reorderWords } from "../../src/cli/flags.ts";

const seed = seedOfRun();

const specs: readonly FlagSpec[] = [
  { kind: "switch", name: "sort", usage: "" },
  { kind: "string", name: "output", alias: "o", initial: "simple", usage: "" },
  { kind: "integer", name: "ttl", initial: 0, usage: "" },
  { kind: "duration", name: "timeout", initial: "1s", usage: "" },
  { kind: "strings", name: "roles", usage: "" },
  { kind: "switch", name: "help", alias: "h", usage: "" },
];

describe("options", () => {
  test("without words every option has its initial value", () => {
    const { values, rest, isMalformed, conflict } = parseFlags(specs, []);
    assert.equal(values.isSet("sort"), false);
    assert.equal(values.string("output"), "simple");
    assert.equal(values.integer("ttl"), 0n);
    assert.equal(values.durationMs("timeout"), 1000);
    assert.deepEqual(values.strings("roles"), []);
    assert.deepEqual([rest, isMalformed, conflict], [[], false, undefined]);
  });

  for (const words of [
    ["-ttl", "5"],
    ["--ttl", "5"],
    ["-ttl=5"],
    ["--ttl=5"],
    ["--ttl", "1", "--ttl", "0x5"],
  ]) {
    test(`${words.join(" ")} sets the value`, () => {
      assert.equal(parseFlags(specs, words).values.integer("ttl"), 5n);
    });
  }

  test("a value may be empty, hold an equals sign or look like an option", () => {
    assert.equal(parseFlags(specs, ["--output="]).values.string("output"), "");
    assert.equal(parseFlags(specs, ["-o", ""]).values.string("output"), "");
    assert.equal(parseFlags(specs, ["-o=a=b"]).values.string("output"), "a=b");
    assert.equal(parseFlags(specs, ["-o", "--sort"]).values.string("output"), "--sort");
  });

  test("a switch takes a value only after an equals sign", () => {
    const parsed = parseFlags(specs, ["--sort", "false"]);
    assert.equal(parsed.values.isSet("sort"), true);
    assert.deepEqual(parsed.rest, ["false"]);
    assert.equal(parseFlags(specs, ["--sort=F"]).values.isSet("sort"), false);
  });

  test("a repeated list option collects its values, commas included", () => {
    const { values } = parseFlags(specs, ["--roles", "a", "-roles=b,c"]);
    assert.deepEqual(values.strings("roles"), ["a", "b,c"]);
  });

  test("reading stops at the first plain word, at a lone dash and behind a double dash", () => {
    assert.deepEqual(parseFlags(specs, ["--sort", "x", "--ttl", "5"]).rest, ["x", "--ttl", "5"]);
    assert.deepEqual(parseFlags(specs, ["-", "--sort"]).rest, ["-", "--sort"]);
    assert.deepEqual(parseFlags(specs, ["--", "--sort"]).rest, ["--sort"]);
    assert.deepEqual(parseFlags(specs, ["", "--sort"]).rest, ["", "--sort"]);
  });

  for (const words of [
    ["--nonsense"],
    ["---sort"],
    ["--=x"],
    ["-=x"],
    ["--ttl"],
    ["--ttl", "5s"],
    ["--timeout", "5"],
    ["--sort=maybe"],
    ["--sort="],
  ]) {
    test(`${words.join(" ")} is malformed`, () => {
      assert.equal(parseFlags(specs, words).isMalformed, true);
    });
  }

  test("two spellings of one option conflict, even beside a malformed one", () => {
    const complaint = "Cannot use two forms of the same flag: o output";
    assert.equal(parseFlags(specs, ["-o", "a", "--output", "b"]).conflict, complaint);
    assert.equal(parseFlags(specs, ["--output=b", "-o=a", "--nonsense"]).conflict, complaint);
    assert.equal(parseFlags(specs, ["-o", "a", "-o", "b"]).conflict, undefined);
  });

  test("asking for an option that is not declared is an error of the program", () => {
    assert.throws(() => parseFlags(specs, []).values.string("nonsense"), TypeError);
  });
});

describe("the order of words", () => {
  const cases: [string, string][] = [
    ["/k v", "/k v"],
    ["/k --sort", "--sort /k"],
    ["/k --ttl 5 v", "--ttl 5 v /k"],
    ["/k -- -7", "/k -- -7"],
    ["-- /k -5", "-- /k -5"],
    ["/r --recursive -- sh -c x", "--recursive /r -- sh -c x"],
    ["/k - v", "- v /k"],
    ["", ""],
  ];
  for (const [given, read] of cases) {
    test(`"${given}" is read as "${read}"`, () => {
      const split = (text: string): string[] => (text === "" ? [] : text.split(" "));
      assert.deepEqual(reorderWords(split(given)), split(read));
    });
  }

  test("no word is lost or invented, and what follows the double dash keeps its place", () => {
    const word = fc.constantFrom("a", "b", "-x", "--y", "-", "--", "c=d");
    fc.assert(
      fc.property(fc.array(word), (words) => {
        const read = reorderWords(words);
        assert.deepEqual([...read].sort(), [...words].sort());
        const end = words.indexOf("--");
        if (end >= 0) assert.deepEqual(read.slice(end), words.slice(end));
      }),
      { seed, numRuns: 500 },
    );
  });
});
