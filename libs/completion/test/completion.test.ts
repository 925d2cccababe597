/** What a program says to the scripts, and which options it proposes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  behindEquals,
  completionText,
  optionCandidates,
  splitOption,
  startingWith,
  valueCompletion,
} from "../src/index.ts";

describe("the lines for a script", () => {
  test("are the candidates with what they mean, and a line that begins with a colon", () => {
    const candidates = [{ text: "get", usage: "retrieve\ta value\n" }, { text: "ls" }];
    assert.equal(completionText({ candidates }), "get\tretrieve a value \nls\t\n:\n");
  });

  test("say whether the shell adds file names and whether the word goes on", () => {
    assert.equal(completionText({ candidates: [], paths: "files" }), ": files\n");
    const open = completionText({ candidates: [{ text: "/a/" }], isOpen: true });
    assert.equal(open, "/a/\t\n: open\n");
  });

  test("leave out what does not fit in one line", () => {
    const candidates = ["a\nb", "a\tb", "a\u0000", "", "ü b"].map((text) => ({ text }));
    assert.equal(completionText({ candidates }), "ü b\t\n:\n");
  });
});

describe("options", () => {
  const options = [
    { name: "data-dir", usage: "where" },
    { name: "debug", usage: "more" },
    { name: "d", usage: "short" },
    { name: "dull", usage: "old", isHidden: true },
  ];
  const texts = (word: string): string[] => optionCandidates(word, options).map(({ text }) => text);

  test("are proposed by what was typed of them, with one dash or two", () => {
    assert.deepEqual(texts("--d"), ["--data-dir", "--debug"]);
    assert.deepEqual(texts("-da"), ["--data-dir"]);
    assert.deepEqual(texts("-"), ["--data-dir", "--debug", "-d"]);
  });

  test("are split into name and value", () => {
    assert.deepEqual(splitOption("--name=a=b"), { name: "name", value: "a=b" });
    assert.deepEqual(splitOption("-o"), { name: "o" });
    assert.deepEqual(splitOption("--o="), { name: "o", value: "" });
    for (const word of ["", "-", "--", "name", "--=x", "---x"]) {
      assert.equal(splitOption(word), undefined, word);
    }
  });

  test("keep their name in front of the proposed values", () => {
    const values = valueCompletion("s", ["simple", "json"]);
    assert.deepEqual(behindEquals("--output=s", values).candidates, [{ text: "--output=simple" }]);
  });

  test("propose paths where their value is one, and nothing where it can be anything", () => {
    assert.deepEqual(valueCompletion("x", "files"), { candidates: [], paths: "files" });
    assert.deepEqual(valueCompletion("x", "anything"), { candidates: [] });
  });
});

test("candidates are those that begin with the word", () => {
  const all = [{ text: "set" }, { text: "setdir" }, { text: "get" }];
  assert.deepEqual(startingWith("set", all), [{ text: "set" }, { text: "setdir" }]);
});
