/** The verdict on members that come back: with what they answered for, or without it. */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { PeerLives } from "../../src/lives/peer-lives.ts";
import type { Life, Position } from "../../src/lives/peer-lives.ts";

const ID = "000000000000000b";

function life(more: Partial<Life> = {}): Life {
  return {
    incarnation: "00000000000000a1",
    starts: 5,
    session: "00000000000000f5",
    term: 3,
    lastIndex: 40,
    isFounding: false,
    end: { term: 3, index: 40 },
    currentTerm: 3,
    ...more,
  };
}

/** The same directory, started again. */
function again(more: Partial<Life> = {}): Life {
  return life({ starts: 6, session: "00000000000000f6", ...more });
}

let starts: number;
let acknowledged: Position | undefined;
let hasRun: boolean;
let lives: PeerLives;

function fresh(remembered: PeerLives["entries"] = []): PeerLives {
  return new PeerLives({
    remembered,
    hasRun: () => hasRun,
    acknowledgedBy: () => acknowledged,
    onStart: () => {
      starts += 1;
    },
  });
}

beforeEach(() => {
  starts = 0;
  acknowledged = undefined;
  hasRun = false;
  lives = fresh();
});

describe("a member that comes back", () => {
  it("is taken as it comes the first time, unless it has run before and founds again", () => {
    hasRun = true;
    assert.equal(lives.validateLife(ID, life()), undefined);
    assert.match(lives.validateLife(ID, life({ isFounding: true })) ?? "", /empty data directory/);
    hasRun = false;
    assert.equal(lives.validateLife(ID, life({ isFounding: true })), undefined);
  });

  it("must have the directory that is known", () => {
    lives.remember(ID, life());
    assert.equal(lives.validateLife(ID, life()), undefined);
    assert.equal(lives.validateLife(ID, again()), undefined);
    const other = again({ incarnation: "00000000000000a2" });
    assert.match(lives.validateLife(ID, other) ?? "", /another data directory/);
  });

  it("must have counted every start that was seen, if it is another process", () => {
    lives.remember(ID, again());
    assert.equal(lives.validateLife(ID, again({ term: 0, lastIndex: 0 })), undefined);
    for (const count of [5, 6]) {
      const copy = life({ starts: count, session: "00000000000000e0" });
      assert.match(lives.validateLife(ID, copy) ?? "", /earlier copy/);
    }
  });

  it("must hold what it answered for: by term, then by index", () => {
    lives.remember(ID, life());
    lives.answersFor(ID, { term: 3, index: 50 });
    lives.answersFor(ID, { term: 3, index: 45 });
    lives.answersFor(ID, { term: 2, index: 99 });
    const reason = /acknowledged index 50 in term 3/;
    assert.match(lives.validateLife(ID, again({ term: 3, lastIndex: 49 })) ?? "", reason);
    assert.match(lives.validateLife(ID, again({ term: 2, lastIndex: 90 })) ?? "", reason);
    assert.equal(lives.validateLife(ID, again({ term: 3, lastIndex: 50 })), undefined);
    // A leader of a later term may have cut its log.
    assert.equal(lives.validateLife(ID, again({ term: 4, lastIndex: 10 })), undefined);
  });

  it("must hold what the leader here was told in its term", () => {
    lives.remember(ID, life());
    acknowledged = { term: 4, index: 60 };
    const reason = /acknowledged index 60 in term 4/;
    assert.match(lives.validateLife(ID, again({ term: 4, lastIndex: 59 })) ?? "", reason);
    assert.equal(lives.validateLife(ID, again({ term: 4, lastIndex: 60 })), undefined);
  });
});

describe("what is remembered", () => {
  it("keeps the latest start and the highest position, and tells of each start once", () => {
    lives.remember(ID, life());
    lives.answersFor(ID, { term: 3, index: 50 });
    lives.remember(ID, again());
    lives.remember(ID, again());
    lives.remember(ID, life());
    assert.equal(starts, 2);
    const [[, known] = []] = lives.entries;
    const { incarnation, starts: count, session } = again();
    assert.deepEqual(known, { incarnation, starts: count, session, term: 3, index: 50 });
    const later = fresh(lives.entries);
    assert.match(
      later.validateLife(ID, life({ starts: 7, session: "00000000000000f7" })) ?? "",
      /had acknowledged index 50/,
    );
  });

  it("knows nothing of strangers, and forgets the removed", () => {
    lives.answersFor(ID, { term: 9, index: 9 });
    assert.equal(lives.changes, 0);
    lives.remember(ID, life());
    lives.forget(ID);
    assert.deepEqual(lives.entries, []);
    assert.equal(lives.validateLife(ID, life({ incarnation: "00000000000000a9" })), undefined);
  });
});
