/** Membership arithmetic against a naive version, and the safety its quorums must have. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import {
  changeConf,
  isJoint,
  isMember,
  isVoter,
  LEAVE_JOINT,
  validateConfChange,
} from "../../../src/core/membership/confchange.ts";
import { InvariantError } from "../../../src/core/model/invariant.ts";
import { Tracker } from "../../../src/core/membership/tracker.ts";
import type { ConfChange, ConfChangeSingle, ConfState } from "../../../src/core/model/types.ts";
import { confState, decodeChange, encodeChange } from "../host.ts";
import { seeded } from "../seed.ts";

function change(words: string): ConfChange {
  return decodeChange(encodeChange(words));
}

function after(conf: ConfState, ...all: readonly string[]): ConfState {
  return all.reduce((now, words) => changeConf(now, change(words)), conf);
}

test("one change switches at once, and lists stay sorted", () => {
  const one = confState(["2"]);
  assert.deepEqual(after(one, "+1"), confState(["1", "2"]));
  assert.deepEqual(after(one, "~3"), confState(["2"], { learners: ["3"] }));
  assert.deepEqual(after(one, "~3", "+3"), confState(["2", "3"]), "a learner is promoted");
  assert.deepEqual(after(one, "+1", "~1"), confState(["2"], { learners: ["1"] }), "and demoted");
  assert.deepEqual(after(one, "+1", "-2"), confState(["1"]));
  assert.deepEqual(after(one, "-9", "=2", "+2"), one, "what is so already stays so");
});

test("several changes go through a joint configuration that leaves by itself", () => {
  const joint = after(confState(["1", "2", "3"]), "+4 -1 ~2 ~5");
  assert.deepEqual(
    joint,
    confState(["3", "4"], {
      votersOutgoing: ["1", "2", "3"],
      learners: ["5"],
      learnersNext: ["2"],
      autoLeave: true,
    }),
  );
  assert.deepEqual(changeConf(joint, LEAVE_JOINT), confState(["3", "4"], { learners: ["2", "5"] }));
});

test("a single change goes joint when asked, and stays there when asked", () => {
  const start = confState(["1"]);
  const implicit = after(start, "implicit +2");
  assert.ok(isJoint(implicit) && implicit.autoLeave);
  const explicit = after(start, "explicit +2");
  assert.ok(isJoint(explicit) && !explicit.autoLeave);
  assert.deepEqual(changeConf(explicit, LEAVE_JOINT), confState(["1", "2"]));
});

test("members are voters of either half and learners of now or later", () => {
  const conf = after(confState(["1", "2"], { learners: ["5"] }), "explicit +3 -1 ~2");
  assert.deepEqual(
    ["1", "2", "3", "4", "5"].map((id) => [isVoter(conf, id), isMember(conf, id)]),
    [
      [true, true],
      [true, true],
      [true, true],
      [false, false],
      [false, true],
    ],
  );
});

test("impossible changes have a reason, and making them anyway breaks an invariant", () => {
  const joint = after(confState(["1"]), "explicit +2");
  const table: [ConfState, ConfChange, RegExp][] = [
    [confState(["1"]), LEAVE_JOINT, /no joint configuration to leave/],
    [joint, change("+3"), /leave its joint configuration first/],
    [confState(["1"]), change("-1"), /no voter would be left/],
    [confState(["1", "2"]), change("-1 ~2"), /no voter would be left/],
    [confState([]), change("implicit +1"), /no voter to start from/],
    [confState(["1"]), change("+"), /id is empty/],
  ];
  for (const [conf, wanted, reason] of table) {
    assert.match(validateConfChange(conf, wanted) ?? "possible", reason);
    assert.throws(() => changeConf(conf, wanted), InvariantError);
  }
  assert.equal(
    validateConfChange(confState([]), change("+1")),
    undefined,
    "a first voter may come",
  );
});

const IDS = ["1", "2", "3", "4", "5"];
const single = fc.record<ConfChangeSingle>({
  type: fc.constantFrom("addVoter", "addLearner", "remove", "update"),
  nodeId: fc.constantFrom(...IDS),
});
const plainConf = fc
  .tuple(fc.subarray(IDS, { minLength: 1 }), fc.subarray(IDS))
  .map(([voters, others]) =>
    confState(voters, { learners: others.filter((id) => !voters.includes(id)) }),
  );

type Part = "voter" | "learner";

/** The naive version: everybody's part, changed one by one. */
function naive(conf: ConfState, changes: readonly ConfChangeSingle[]): Map<string, Part> {
  const parts = new Map<string, Part>();
  for (const id of conf.voters) parts.set(id, "voter");
  for (const id of conf.learners) parts.set(id, "learner");
  for (const { type, nodeId } of changes) {
    if (type === "addVoter") parts.set(nodeId, "voter");
    if (type === "addLearner") parts.set(nodeId, "learner");
    if (type === "remove") parts.delete(nodeId);
  }
  return parts;
}

function asConf(parts: ReadonlyMap<string, Part>): ConfState {
  const having = (part: Part): string[] =>
    [...parts]
      .filter(([, has]) => has === part)
      .map(([id]) => id)
      .sort();
  return confState(having("voter"), { learners: having("learner") });
}

function majorities(voters: readonly string[]): string[][] {
  return voters
    .reduce<string[][]>((all, id) => [...all, ...all.map((group) => [...group, id])], [[]])
    .filter((group) => group.length * 2 > voters.length);
}

function overlap(a: readonly string[], b: readonly string[]): boolean {
  return a.some((id) => b.includes(id));
}

test("changing at once or through a joint configuration ends where the naive version ends", (t) => {
  const changes = fc.array(single, { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(plainConf, changes, fc.boolean(), (conf, singles, isExplicit) => {
      const transition = isExplicit ? "jointExplicit" : "auto";
      const wanted: ConfChange = { ...LEAVE_JOINT, transition, changes: singles };
      const expected = asConf(naive(conf, singles));
      if (expected.voters.length === 0) {
        assert.equal(validateConfChange(conf, wanted), "no voter would be left");
        return;
      }
      const next = changeConf(conf, wanted);
      assert.equal(isJoint(next), isExplicit || singles.length > 1);
      if (isJoint(next)) {
        assert.deepEqual(next.votersOutgoing, conf.voters);
        assert.deepEqual(next.voters, expected.voters);
        assert.ok(next.learnersNext.every((id) => conf.voters.includes(id)));
        assert.ok(!overlap(next.learners, [...next.voters, ...next.votersOutgoing]));
        assert.deepEqual(changeConf(next, LEAVE_JOINT), expected);
      } else {
        assert.deepEqual(next, expected);
      }
    }),
    seeded(t),
  );
});

test("any two quorums of neighbouring configurations overlap", (t) => {
  fc.assert(
    fc.property(plainConf, fc.array(single, { minLength: 1, maxLength: 4 }), (conf, singles) => {
      const wanted: ConfChange = { ...LEAVE_JOINT, changes: singles };
      if (validateConfChange(conf, wanted) !== undefined) return;
      const next = changeConf(conf, wanted);
      // A quorum of a joint configuration holds a majority of each half.
      const old = majorities(conf.voters);
      const now = majorities(next.voters);
      const meets = (a: string[][], b: string[][]): boolean =>
        a.every((x) => b.every((y) => overlap(x, y)));
      if (isJoint(next)) assert.ok(meets(old, majorities(next.votersOutgoing)));
      else assert.ok(meets(old, now));
    }),
    seeded(t),
  );
});

test("a tracker keeps the progress of who stays and starts it for who comes", () => {
  const limits = { countMax: 4, bytesMax: 1000 };
  const tracker = new Tracker("1", confState(["1", "2", "3"]), 10, limits);
  const two = tracker.get("2");
  two?.acknowledge(7);
  tracker.setConf(confState(["1", "2"], { learners: ["4"] }), 20);
  assert.equal(tracker.get("2"), two);
  assert.equal(tracker.get("3"), undefined);
  assert.deepEqual(
    [tracker.get("4")?.next, tracker.get("4")?.isLearner, tracker.get("4")?.recentActive],
    [20, true, true],
  );
  assert.deepEqual(
    tracker.peers.map(({ id }) => id),
    ["2", "4"],
  );
  assert.equal(tracker.self?.id, "1");
});

test("learners neither commit, nor confirm reads, nor elect, nor keep a leader", () => {
  const limits = { countMax: 4, bytesMax: 1000 };
  const conf = confState(["1", "2", "3"], { learners: ["4", "5"] });
  const tracker = new Tracker("1", conf, 1, limits);
  for (const progress of tracker.all()) {
    progress.acknowledge(progress.isLearner ? 9 : 1);
    progress.readRound = progress.isLearner ? 9 : 1;
    progress.recentActive = progress.isLearner;
  }
  for (const id of ["4", "5"]) tracker.recordVote(id, true);
  assert.equal(tracker.committedIndex(), 1);
  assert.equal(tracker.confirmedReadRound(), 1);
  assert.equal(tracker.voteResult(), "pending");
  assert.equal(tracker.checkQuorumActive(), false);
});

test("only a voter's first vote counts", () => {
  const tracker = new Tracker("1", confState(["1", "2", "3"]), 1, { countMax: 1, bytesMax: 1 });
  tracker.recordVote("1", true);
  tracker.recordVote("2", false);
  tracker.recordVote("2", true);
  assert.equal(tracker.voteResult(), "pending");
  tracker.recordVote("3", true);
  assert.equal(tracker.voteResult(), "won");
});
