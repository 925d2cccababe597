/** Which reads share a round, and when they are answered. */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { RaftError } from "../../src/core/model/errors.ts";
import type { ReadCallback } from "../../src/node/ports.ts";
import { ReadRounds } from "../../src/node/read-rounds.ts";

let nowMs = 0;
let answered: string[] = [];
let reported: (readonly [seconds: number, isConfirmed: boolean])[] = [];
let rounds: ReadRounds;

beforeEach(() => {
  nowMs = 0;
  answered = [];
  reported = [];
  rounds = new ReadRounds(
    "p-",
    () => nowMs,
    (...report) => reported.push(report),
  );
});

function read(name: string): ReadCallback {
  const callback: ReadCallback = (error) => {
    answered.push(error === undefined ? name : `${name} ${error.code}`);
  };
  rounds.add(callback);
  return callback;
}

describe("reads", () => {
  it("that arrive while a round is under way share the next one", () => {
    assert.equal(rounds.begin(0), undefined, "nobody asks");
    read("a");
    read("b");
    assert.equal(rounds.begin(0), "p-1");
    read("c");
    read("d");
    assert.equal(rounds.begin(0), undefined, "one at a time");
    rounds.confirm([{ context: "p-1", index: 5 }]);
    assert.equal(rounds.begin(0), "p-2");
    rounds.answer(5);
    assert.deepEqual(answered, ["a", "b"], "the second round is not confirmed yet");
    rounds.confirm([{ context: "p-2", index: 5 }]);
    rounds.answer(5);
    assert.deepEqual(answered, ["a", "b", "c", "d"]);
  });

  it("wait until the index of their round is applied", () => {
    read("a");
    rounds.begin(0);
    rounds.confirm([{ context: "p-1", index: 7 }]);
    rounds.answer(6);
    assert.deepEqual(answered, []);
    rounds.answer(8);
    assert.deepEqual(answered, ["a"]);
  });

  it("go into another round when theirs has no answer, and a late answer confirms nothing", () => {
    read("a");
    rounds.begin(10);
    read("b");
    rounds.retry(14);
    assert.equal(rounds.begin(14), undefined);
    rounds.retry(15);
    assert.equal(rounds.begin(15), "p-2");
    rounds.confirm([{ context: "p-1", index: 1 }]);
    rounds.answer(1);
    assert.deepEqual(answered, []);
    rounds.confirm([{ context: "p-2", index: 1 }]);
    rounds.answer(1);
    assert.deepEqual(answered, ["a", "b"], "the oldest first");
  });

  it("that are abandoned are not called back, however far they have come", () => {
    const confirmed = read("confirmed");
    rounds.begin(0);
    rounds.confirm([{ context: "p-1", index: 1 }]);
    const underWay = read("under way");
    rounds.begin(0);
    const waiting = read("waiting");
    read("kept");
    for (const callback of [confirmed, underWay, waiting]) rounds.abandon(callback);
    rounds.confirm([{ context: "p-2", index: 1 }]);
    rounds.begin(0);
    rounds.confirm([{ context: "p-3", index: 1 }]);
    rounds.answer(1);
    assert.deepEqual(answered, ["kept"]);
  });

  it("are told when the node closes, wherever they are", () => {
    read("confirmed");
    rounds.begin(0);
    rounds.confirm([{ context: "p-1", index: 9 }]);
    read("under way");
    rounds.begin(0);
    read("waiting");
    rounds.end(new RaftError("stopped", "closed"));
    assert.deepEqual(answered, ["confirmed stopped", "under way stopped", "waiting stopped"]);
    assert.deepEqual(reported.length, 2);
  });
});

describe("a round", () => {
  it("is reported once, with the time since it was wanted, repetitions included", () => {
    read("a");
    nowMs = 100;
    rounds.begin(0);
    nowMs = 200;
    read("b");
    rounds.giveUpRound();
    rounds.begin(0);
    nowMs = 500;
    rounds.confirm([{ context: "p-2", index: 1 }]);
    rounds.answer(1);
    assert.deepEqual(reported, [[0.5, true]]);
    read("c");
    nowMs = 600;
    rounds.begin(0);
    rounds.confirm([{ context: "p-3", index: 1 }]);
    rounds.answer(1);
    assert.deepEqual(reported.slice(1), [[0.1, true]]);
  });
});
