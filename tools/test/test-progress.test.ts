/** What `npm test` says of how far it is. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";

interface Progress {
  readonly totals: { pass: number; fail: number; skipped: number };
  announcement(): string;
  read(line: string): string | undefined;
}

const tools = join(import.meta.dirname, "..");
// Plain JavaScript: it also runs before the pinned runtime is there.
const { testedPackages, TestProgress } = (await import(join(tools, "test-progress.mjs"))) as {
  testedPackages: (root: string) => string[];
  TestProgress: new (names: string[], last: number | undefined, now: () => number) => Progress;
};

describe("the progress of npm test", () => {
  it("is said after each package, with its counts and the time since the start", () => {
    let now = 1000;
    const progress = new TestProgress(["@etcd2/a", "@etcd2/b"], undefined, () => now);
    const feed = (text: string): string[] =>
      text.split("\n").flatMap((line) => progress.read(line) ?? []);
    assert.deepEqual(feed("> nx run @etcd2/a:build\n\n> tsc -b\nℹ duration_ms 3"), []);
    now = 1012.3;
    const summary = "ℹ tests 12\nℹ pass 12\nℹ fail 0\nℹ skipped 1\nℹ todo 0\nℹ duration_ms 1234.5";
    assert.deepEqual(feed(`> nx run @etcd2/a:test\n✔ it works (3ms)\n${summary}`), [
      "== 1 of 2: @etcd2/a: 12 passed, 0 failed (12 s so far)",
    ]);
    now = 1489.1;
    const cached = "> nx run @etcd2/b:test  [existing outputs match the cache, left as is]";
    assert.deepEqual(feed(`${cached}\nℹ pass 3\nℹ fail 2\nℹ duration_ms 7\n\n✖ failing tests:`), [
      "== 2 of 2: @etcd2/b: 3 passed, 2 failed (8 min 9 s so far)",
    ]);
    assert.deepEqual(progress.totals, { pass: 15, fail: 2, skipped: 1 });
  });

  it("begins with how long it takes: the last time here, or usually", () => {
    const of = (last: number | undefined): string =>
      new TestProgress(["@etcd2/a"], last, () => 0).announcement();
    assert.match(of(undefined), /^Running the tests of 1 packages; usually within ten minutes/);
    assert.match(of(489), /the last whole run here took 8 min 9 s/);
  });

  it("has no total where packages were chosen", () => {
    const progress = new TestProgress([], undefined, () => 0);
    assert.equal(progress.announcement(), "Running the tests of the chosen packages.");
    progress.read("> nx run @etcd2/a:test");
    assert.match(progress.read("ℹ duration_ms 7") ?? "", /^== 1: @etcd2\/a: 0 passed/);
  });

  it("counts every package that has tests", () => {
    const names = testedPackages(join(tools, ".."));
    for (const name of ["@etcd2/raft", "@etcd2/server", "@etcd2/tools"]) {
      assert.ok(names.includes(name), `${name} in ${names.join(" ")}`);
    }
  });
});
