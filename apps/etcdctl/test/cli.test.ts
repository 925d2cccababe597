import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { painterFor } from "../src/output/colour.ts";
import { commands } from "../src/commands.ts";
import { suggestion } from "../src/cli/suggestion.ts";
import { runInside } from "./support/run.ts";

describe("mistyped words", () => {
  const cases: [words: string[], hint: string][] = [
    [["gte", "/k"], "get"],
    [["wacth"], "watch"],
    [["clusterhealth"], "cluster-health"],
    [["GET", "/k"], "get"],
    [["snapshto"], "snapshot"],
    [["help", "updatdir"], "updatedir"],
    [["member", "lsit"], "list"],
    [["auth", "enalbe"], "enable"],
  ];
  for (const [words, hint] of cases) {
    test(`${words.join(" ")} is answered as etcdctl 2.3.8 does, with a hint on stderr`, async () => {
      const topic = words.find((word) => !["help", "member", "auth"].includes(word)) ?? "";
      assert.deepEqual(await runInside(words), {
        exit: 0,
        stdout: `No help topic for '${topic}'\n`,
        stderr: `Did you mean '${hint}'?\n`,
      });
    });
  }

  for (const [word, hint] of [
    ["put", "'put' is a command of the v3 API; here it is 'etcdctl set <key> <value>'."],
    ["del", "'del' is a command of the v3 API; here it is 'etcdctl rm <key>'."],
    ["lease", "'lease' is a command of the v3 API, which this program does not speak."],
  ] as const) {
    test(`${word}, known from the v3 API, is answered with what there is here`, async () => {
      assert.deepEqual(await runInside([word, "a", "b"]), {
        exit: 0,
        stdout: `No help topic for '${word}'\n`,
        stderr: `${hint}\n`,
      });
    });
  }

  for (const word of ["nonsense", "version", "on", "x", "", "lsx-all"]) {
    test(`"${word}" gets no hint`, () => {
      assert.equal(suggestion(word, commands), undefined);
    });
  }
});

describe("what etcdctl 2.3.8 does not have", () => {
  test("is absent from its screens", async () => {
    const screens = [["help"], ["member"], ["member", "add", "-h"], ["get", "-h"]];
    for (const words of screens) {
      const { stdout } = await runInside(words);
      assert.doesNotMatch(
        stdout,
        /promote|replace|learner|consistent|\n {3}(completion|snapshot|endpoint|move-leader)\b/,
      );
    }
  });

  test("is mentioned by the overview, to a person at a terminal alone", async () => {
    for (const words of [["help"], ["--help"], []]) {
      const shown = await runInside(words, { isTerminal: true });
      assert.match(shown.stderr, /^`etcdctl help extra` lists what is there beyond etcdctl 2/);
      assert.equal((await runInside(words)).stderr, "");
      assert.equal((await runInside(words)).stdout, shown.stdout);
    }
  });

  test("is part of the version for programs", async () => {
    const { stdout } = await runInside(["--version", "-o", "json"]);
    const version = JSON.parse(stdout) as Record<string, string>;
    assert.deepEqual(Object.keys(version), ["etcdctl", "etcd2", "gitSha", "node"]);
    assert.equal(version["etcdctl"], "2.3.8");
  });

  test("is listed by help extra", async () => {
    const { stdout, exit } = await runInside(["help", "extra"]);
    assert.equal(exit, 0);
    for (const name of [
      "completion bash\\|zsh\\|fish",
      "endpoint status",
      "endpoint health",
      "member promote <memberID>",
      "member replace",
      "move-leader",
      "snapshot save <file>",
      "get --consistent",
      "member add --learner",
    ]) {
      assert.match(stdout, new RegExp(`^   ${name}`, "m"));
    }
  });

  test("has screens of its own, options included", async () => {
    const { stdout } = await runInside(["endpoint", "status", "-h"]);
    assert.match(stdout, /--write-out, -w "simple"\toutput format/);
    const group = await runInside(["endpoint"]);
    assert.match(group.stdout, /\n {3}health\t/);
  });

  test("colours only a terminal, and never with NO_COLOR", () => {
    assert.equal(painterFor(true, {})("red", "x"), "\x1b[31mx\x1b[39m");
    assert.equal(painterFor(true, { NO_COLOR: "" })("bold", "x"), "\x1b[1mx\x1b[22m");
    assert.equal(painterFor(true, { NO_COLOR: "1" })("red", "x"), "x");
    assert.equal(painterFor(true, { TERM: "dumb" })("red", "x"), "x");
    assert.equal(painterFor(false, {})("red", "x"), "x");
  });
});
