/** What the shell is told while a command line of `etcd` is typed. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { completeFlags, completionOutcome } from "../../src/config/complete.ts";
import { flagTable } from "../../src/config/flag-table.ts";

const texts = (...words: string[]): string[] =>
  completeFlags(words).candidates.map(({ text }) => text);

describe("completion of etcd", () => {
  test("proposes every flag of the help but the deprecated ones", () => {
    const all = texts("--");
    for (const { name, group } of flagTable) {
      const isShown = group !== "foreign" && group !== "deprecated";
      assert.equal(all.includes(`--${name}`), isShown, name);
    }
    assert.deepEqual(texts("-data-d"), ["--data-dir"]);
  });

  test("proposes the values of a flag that has a choice, and paths where one is due", () => {
    assert.deepEqual(texts("--proxy", ""), ["off", "readonly", "on"]);
    assert.deepEqual(texts("--proxy=o"), ["--proxy=off", "--proxy=on"]);
    assert.equal(completeFlags(["--data-dir", ""]).paths, "directories");
    assert.equal(completeFlags(["--trusted-ca-file=x"]).paths, "files");
    assert.equal(completeFlags(["--name", ""]).paths, undefined);
  });

  test("does not take a switch for a flag with a value", () => {
    assert.ok(texts("--force-new-cluster", "--na").includes("--name"));
  });

  test("prints the script of a shell, and names the shells for any other word", () => {
    assert.match(completionOutcome(["completion", "bash"])?.stdout ?? "", /complete -F \S+ etcd\n/);
    for (const words of [["completion"], ["completion", "tcsh"], ["completion", "zsh", "x"]]) {
      assert.deepEqual(completionOutcome(words), {
        stdout: "",
        stderr: "etcd completion: name one shell: bash, zsh, fish\n",
        status: 2,
      });
    }
    assert.equal(completionOutcome(["--name", "completion"]), undefined);
  });
});
