/** When a member whose memory is in doubt may vote. */
import { createLogger } from "@etcd2/observability";
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { Life, LogEnd, Message } from "@etcd2/raft";
import { Admission } from "../../src/lives/admission.ts";
import type { Doubt } from "../../src/lives/life-file.ts";

let nowMs = 0;
let ownEnd: LogEnd;
/** Votes up to this term are used up; what was asked for; and whether asking makes it so at once. */
let renounced: number;
let renouncing: number[];
let isDiskFast: boolean;
let settled = 0;
let warnings: string[] = [];

function life(isFounding: boolean): Life {
  const numbers = { starts: 1, term: 1, lastIndex: 1, end: { term: 2, index: 7 } };
  return { incarnation: "a", session: "b", ...numbers, isFounding, currentTerm: 5 };
}

function admission(doubt: Doubt, size: number, self = "1"): Admission {
  const all = Array.from({ length: size }, (_, at) => String(at + 1));
  return new Admission({
    doubt,
    self,
    voters: () => all,
    logEnd: () => ownEnd,
    term: 3,
    renounceVotes: (term) => {
      renouncing.push(term);
      if (isDiskFast) renounced = term;
    },
    hasRenouncedVotes: (term) => renounced >= term,
    now: () => nowMs,
    onAdmitted: () => {
      settled += 1;
    },
    log: createLogger((_level, message) => warnings.push(message)),
    shownId: (id) => `#${id}`,
  });
}

beforeEach(() => {
  nowMs = 0;
  ownEnd = { term: 2, index: 7 };
  renounced = 0;
  renouncing = [];
  isDiskFast = true;
  settled = 0;
  warnings = [];
});

/** After which number of others that let it in the member is admitted. */
function othersNeeded(doubt: Doubt, size: number, isFounding: boolean): number {
  const asked = admission(doubt, size);
  let met = 0;
  asked.look();
  while (!asked.isAdmitted) {
    met += 1;
    asked.greeted(String(met + 1), life(isFounding));
  }
  return met;
}

describe("a founder without data", () => {
  it("waits for a majority, itself included, if one of it is past its founding", () => {
    const needed = [1, 2, 3, 4, 5, 7].map((size) => othersNeeded("founding", size, false));
    assert.deepEqual(needed, [0, 1, 1, 2, 2, 3]);
  });

  it("waits for all when all are founding, for five seconds once a majority has met", () => {
    assert.deepEqual(
      [2, 3, 5].map((size) => othersNeeded("founding", size, true)),
      [1, 2, 4],
    );
    settled = 0;
    const asked = admission("founding", 3);
    nowMs = 60_000;
    asked.look();
    asked.greeted("2", life(true));
    nowMs += 4999;
    asked.look();
    assert.deepEqual([asked.isAdmitted, settled], [false, 0]);
    nowMs += 1;
    asked.look();
    asked.look();
    assert.deepEqual([asked.isAdmitted, settled], [true, 1]);
  });

  it("never votes alone, however long it waits, and says for whom", () => {
    const asked = admission("founding", 3);
    asked.look();
    assert.deepEqual(warnings, []);
    for (; nowMs < 120_000; nowMs += 100) asked.look();
    assert.equal(asked.isAdmitted, false);
    assert.equal(warnings.length, 4);
    assert.match(warnings.join(), /no answer from #2, #3/);
  });

  it("takes members of earlier versions for founding", () => {
    const asked = admission("founding", 3);
    asked.greeted("2", undefined);
    assert.equal(asked.isAdmitted, false);
    asked.greeted("3", undefined);
    assert.equal(asked.isAdmitted, true);
  });
});

describe("a copied directory", () => {
  it("waits until one of each majority it was part of has let it in", () => {
    const needed = [1, 2, 3, 4, 5, 7].map((size) => othersNeeded("copy", size, false));
    assert.deepEqual(needed, [0, 1, 2, 2, 3, 4]);
  });

  it("votes for nobody whose log ends before theirs, until its own has come that far", () => {
    ownEnd = { term: 2, index: 5 };
    const asked = admission("copy", 3);
    const vote = (lastTerm: number, lastIndex: number): Message => {
      const from = { type: "vote", from: "2", to: "1", term: 9, force: false } as const;
      return { ...from, lastTerm, lastIndex };
    };
    const answer = { type: "voteResponse", from: "1", to: "2", term: 9, reject: false } as const;
    asked.greeted("2", life(false));
    assert.deepEqual([asked.permits(vote(9, 9)), asked.permits(answer)], [false, false]);
    asked.greeted("3", life(false));
    const permitted = [vote(9, 1), vote(2, 7), answer, vote(2, 6), vote(1, 9)];
    assert.deepEqual(
      permitted.map((message) => asked.permits(message)),
      [true, true, true, false, false],
    );
    assert.equal(asked.isAdmitted, false);
    ownEnd = { term: 2, index: 7 };
    asked.look();
    assert.deepEqual([asked.isAdmitted, asked.permits(vote(1, 1))], [true, true]);
  });

  it("votes only once its votes of the terms that have begun are durably used up", () => {
    isDiskFast = false;
    const asked = admission("copy", 3);
    const vote = { type: "vote", from: "2", to: "1", term: 9, force: false } as const;
    const permits = (): boolean => asked.permits({ ...vote, lastTerm: 9, lastIndex: 9 });
    asked.greeted("2", life(false));
    assert.deepEqual([permits(), renouncing], [false, []]);
    asked.greeted("3", { ...life(false), currentTerm: 8 });
    assert.deepEqual(
      [permits(), asked.isAdmitted, new Set(renouncing)],
      [false, false, new Set([8])],
    );
    renounced = 7;
    assert.equal(permits(), false);
    renounced = 8;
    assert.equal(permits(), true);
    asked.look();
    assert.equal(asked.isAdmitted, true);
  });

  it("takes the term it found itself in for one that has begun", () => {
    isDiskFast = false;
    const asked = admission("copy", 3);
    for (const id of ["2", "3"]) asked.greeted(id, { ...life(false), currentTerm: 1 });
    assert.deepEqual(new Set(renouncing), new Set([3]));
    assert.equal(asked.isAdmitted, false);
  });

  it("never votes before, however long it waits", () => {
    const asked = admission("copy", 3);
    asked.greeted("2", life(false));
    for (; nowMs < 60_000; nowMs += 100) asked.look();
    assert.equal(asked.isAdmitted, false);
    assert.match(warnings.join(), /is a copy.*no answer from #3/);
  });
});

describe("who is in no doubt, or has no vote", () => {
  it("is admitted at once", async () => {
    assert.equal(admission("none", 3).isAdmitted, true);
    const learner = admission("copy", 3, "9");
    learner.look();
    assert.equal(learner.isAdmitted, true);
    await learner.admitted;
  });
});
