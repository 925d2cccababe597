/** The log as the protocol sees it: durable part, unstable tail, cursors, conflicts. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { InvariantError } from "../../../src/core/model/invariant.ts";
import { isUpToDate, RaftLog } from "../../../src/core/log/raft-log.ts";
import type { Entry, Term } from "../../../src/core/model/types.ts";
import { MemoryStorage } from "../../../src/testing/memory-storage.ts";
import { confState, entry, logOf } from "../host.ts";
import { seeded } from "../seed.ts";

interface LogOptions {
  readonly stable?: readonly Term[];
  readonly unstable?: readonly Term[];
  readonly compacted?: number;
  readonly committed?: number;
  readonly applied?: number;
}

function makeLog(options: LogOptions): { log: RaftLog; storage: MemoryStorage } {
  const { stable = [], unstable = [], compacted = 0, committed = 0, applied = 0 } = options;
  const storage = new MemoryStorage();
  storage.append(logOf(stable));
  const log = new RaftLog(storage, committed, applied);
  storage.compact(compacted);
  log.append(logOf(unstable, stable.length + 1));
  return { log, storage };
}

function termsOf(entries: readonly Entry[]): readonly Term[] {
  return entries.map(({ term }) => term);
}

test("both parts of the log read as one", () => {
  const { log } = makeLog({ stable: [1, 1, 2], unstable: [3, 3], compacted: 1 });
  assert.deepEqual([log.firstIndex, log.lastIndex, log.lastTerm, log.stableIndex], [2, 5, 3, 3]);
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6].map((index) => log.termAt(index)),
    [0, 1, 1, 2, 3, 3, 0],
    "0 before the compaction point and beyond the end",
  );
  assert.deepEqual(termsOf(log.entries(2, 6, Infinity)), [1, 2, 3, 3]);
  assert.deepEqual(termsOf(log.entries(4, 5, Infinity)), [3]);
  assert.deepEqual(log.entries(3, 3, Infinity), []);
});

test("a read across both parts keeps its bound", (t) => {
  const sizes = fc.array(fc.nat(4), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(sizes, fc.nat(8), fc.nat(20), (all, split, bytesMax) => {
      const entries = all.map((size, i) => entry(1, i + 1, "x".repeat(size)));
      const storage = new MemoryStorage();
      storage.append(entries.slice(0, split));
      const log = new RaftLog(storage, 0, 0);
      log.append(entries.slice(split));
      let fitting = 0;
      let bytes = 0;
      for (const { data } of entries) {
        bytes += data.length;
        if (bytes > bytesMax && fitting > 0) break;
        fitting += 1;
      }
      assert.deepEqual(log.entries(1, all.length + 1, bytesMax), entries.slice(0, fitting));
    }),
    seeded(t),
  );
});

test("the log with the later last term is more up to date, then the longer one", () => {
  const own = { index: 3, term: 2 };
  const table: [number, number, boolean][] = [
    [3, 2, true],
    [4, 2, true],
    [2, 2, false],
    [1, 3, true],
    [9, 1, false],
  ];
  for (const [index, term, expected] of table) {
    assert.equal(isUpToDate({ index, term }, own), expected, `${index} of term ${term}`);
  }
});

test("entries are taken behind a known one, and nowhere else", () => {
  const { log } = makeLog({ stable: [1, 1, 2] });
  assert.equal(log.appendAfter({ index: 4, term: 2 }, [entry(3, 5)]), -1, "a gap");
  assert.equal(log.appendAfter({ index: 3, term: 1 }, [entry(3, 4)]), -1, "another term");
  assert.equal(log.appendAfter({ index: 3, term: 2 }, [entry(3, 4), entry(3, 5)]), 5);
  assert.equal(log.appendAfter({ index: 0, term: 0 }, []), 0, "everything begins alike");
});

test("what is there already stays, what conflicts goes", () => {
  const { log } = makeLog({ stable: [1, 1], unstable: [2, 2] });
  const known = log.entries(1, 5, Infinity);
  assert.equal(log.appendAfter({ index: 1, term: 1 }, known.slice(1, 3)), 3);
  assert.equal(log.lastIndex, 4, "a late copy of old entries cuts nothing");
  assert.equal(log.appendAfter({ index: 1, term: 1 }, [entry(1, 2), entry(3, 3)]), 3);
  assert.deepEqual(termsOf(log.entries(1, 4, Infinity)), [1, 1, 3]);
  assert.deepEqual([log.lastIndex, log.stableIndex], [3, 2]);
  assert.equal(log.appendAfter({ index: 0, term: 0 }, [entry(4, 1)]), 1);
  assert.deepEqual([log.lastIndex, log.stableIndex], [1, 0], "durable entries can be cut too");
});

test("cutting a committed entry breaks an invariant", () => {
  const { log } = makeLog({ stable: [1, 1], committed: 2 });
  assert.throws(() => log.appendAfter({ index: 1, term: 1 }, [entry(2, 2)]), InvariantError);
});

test("a conflict hint is the last place with a term that is not too late", () => {
  const { log } = makeLog({ stable: [1, 1, 3, 3, 5], unstable: [5], compacted: 1 });
  const table: [number, number, number, number][] = [
    [6, 5, 6, 5],
    [9, 9, 6, 5],
    [6, 4, 4, 3],
    [5, 3, 4, 3],
    [6, 2, 2, 1],
    [3, 1, 2, 1],
    [6, 0, 1, 1],
  ];
  for (const [index, term, hintIndex, hintTerm] of table) {
    assert.deepEqual(log.lastAtMost(index, term), { index: hintIndex, term: hintTerm });
  }
});

test("only what is committed and durable is handed out for applying", () => {
  const { log, storage } = makeLog({ stable: [1, 1], unstable: [1, 1] });
  assert.equal(log.hasCommittedEntries, false);
  assert.ok(log.commitTo(3));
  assert.equal(log.commitTo(3), false);
  assert.deepEqual(
    log.committedEntries(Infinity).map(({ index }) => index),
    [1, 2],
  );
  storage.append(log.unstableEntries());
  log.stableTo(4, 1);
  assert.deepEqual(
    log.committedEntries(Infinity).map(({ index }) => index),
    [1, 2, 3],
  );
  log.appliedTo(3);
  assert.equal(log.hasCommittedEntries, false);
});

test("commit and applied stay within the log and behind each other", () => {
  const { log } = makeLog({ stable: [1, 1] });
  assert.throws(() => log.commitTo(3), InvariantError);
  assert.throws(() => {
    log.appliedTo(1);
  }, InvariantError);
  const storage = new MemoryStorage();
  assert.throws(
    () => new RaftLog(storage, 1, 0),
    InvariantError,
    "a commit whose entries are lost",
  );
});

test("a commit index that lags on disk is taken from what was applied or compacted", () => {
  assert.equal(makeLog({ stable: [1, 1, 1], applied: 2 }).log.committed, 2);
  const storage = new MemoryStorage();
  storage.append(logOf([1, 1, 1]));
  storage.compact(2);
  const log = new RaftLog(storage, 0, 0);
  assert.deepEqual([log.committed, log.applied], [2, 2]);
});

test("an acknowledgement of entries that were cut since is ignored", () => {
  const { log } = makeLog({ stable: [1], unstable: [2, 2] });
  log.appendAfter({ index: 1, term: 1 }, [entry(3, 2)]);
  log.stableTo(3, 2);
  log.stableTo(2, 2);
  assert.deepEqual([log.stableIndex, termsOf(log.unstableEntries())], [1, [3]]);
  log.stableTo(2, 3);
  assert.deepEqual([log.stableIndex, log.hasUnstableEntries], [2, false]);
});

test("handed-out entries do not change while the log goes on", () => {
  const { log } = makeLog({ unstable: [1, 1] });
  const handedOut = log.unstableEntries();
  log.append([entry(1, 3)]);
  log.append([entry(2, 2)]);
  assert.deepEqual(termsOf(handedOut), [1, 1]);
});

test("a snapshot replaces the log, and nothing is applied until it is persisted", () => {
  const { log, storage } = makeLog({ stable: [1, 1], unstable: [1] });
  const snapshot = { index: 8, term: 3, confState: confState(["1"]) };
  log.restore(snapshot);
  assert.deepEqual(
    [log.firstIndex, log.lastIndex, log.committed, log.termAt(8), log.termAt(2)],
    [9, 8, 8, 3, 0],
  );
  log.append([entry(3, 9)]);
  assert.ok(log.commitTo(9));
  assert.equal(log.hasCommittedEntries, false);
  storage.installSnapshot(snapshot);
  log.snapshotStable(7);
  assert.equal(log.pendingSnapshot, snapshot, "an older one was meant");
  log.snapshotStable(8);
  log.appliedTo(8);
  assert.deepEqual([log.pendingSnapshot, log.termAt(8), log.stableIndex], [undefined, 3, 8]);
  log.stableTo(9, 3);
  assert.equal(log.hasCommittedEntries, true);
});
