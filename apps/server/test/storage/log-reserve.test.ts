import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { firstToKeep } from "../../src/storage/log-reserve.ts";
import type { Reserve } from "../../src/storage/log-reserve.ts";

/** A log of entries 101 to 1000 of one size, everything applied. */
function keep(followers: Reserve["followers"], entryBytes = 10): number {
  const data = new Uint8Array(entryBytes);
  const log: Reserve["log"] = {
    firstIndex: () => 101,
    entries: (from, to) =>
      Array.from({ length: to - from }, (_, at) => ({
        term: 1,
        index: from + at,
        type: "normal",
        data,
      })),
  };
  return firstToKeep({ log, applied: 1000, catchUpEntries: 50, followers });
}

describe("what a compaction leaves of the log", () => {
  it("is the reserve, less when entries are large", () => {
    assert.equal(keep([]), 951);
    assert.equal(keep([], 1 << 20), 985);
  });

  it("begins where a follower goes on that is being sent a snapshot", () => {
    assert.equal(keep([{ state: "snapshot", match: 0, next: 401 }]), 401);
    assert.equal(keep([{ state: "probe", match: 0, next: 300 }]), 300);
    assert.equal(keep([{ state: "replicate", match: 600, next: 1001 }]), 601);
  });

  it("does not grow for a follower that needs a snapshot anyway, or too much", () => {
    assert.equal(keep([{ state: "probe", match: 7, next: 8 }]), 951);
    assert.equal(keep([{ state: "snapshot", match: 0, next: 401 }], 1 << 20), 985);
  });

  it("is the reserve for followers that keep up", () => {
    assert.equal(keep([{ state: "replicate", match: 999, next: 1001 }]), 951);
  });
});
