/** The hand-over between the core and its host: what ready.ts promises, and what step() ignores. */
import assert from "node:assert/strict";
import test from "node:test";
import { parseConfig } from "../../src/core/model/config.ts";
import { InvariantError } from "../../src/core/model/invariant.ts";
import { RawNode } from "../../src/core/raw-node.ts";
import { RaftError } from "../../src/core/model/errors.ts";
import { MemoryStorage } from "../../src/testing/memory-storage.ts";
import { Cluster } from "./cluster.ts";
import {
  accepted,
  append,
  follower,
  heartbeat,
  leader,
  snapshotMessage,
  THREE,
  typesOf,
} from "./given.ts";
import { bytes, confState, encodeChange, entry, Host, logOf } from "./host.ts";

test("a Ready is handed out once and acknowledged once", () => {
  const host = leader();
  host.propose("x");
  const ready = host.raw.ready();
  assert.equal(host.raw.hasReady(), false, "none while one is outstanding");
  assert.throws(() => host.raw.ready(), InvariantError);
  assert.throws(() => {
    host.raw.advance({ ...ready });
  }, InvariantError);
  host.persist(ready);
  host.raw.advance(ready);
  assert.throws(() => {
    host.raw.advance(ready);
  }, InvariantError);
});

test("hasReady says whether ready has anything to say", () => {
  const host = leader();
  assert.equal(host.raw.hasReady(), false);
  host.tick();
  assert.equal(host.raw.hasReady(), true);
  assert.deepEqual(typesOf(host.workOnce().messages), ["heartbeat", "heartbeat"]);
  assert.equal(host.raw.hasReady(), false);
});

test("a leader's appends leave at once, in parallel with its own write", () => {
  const host = leader();
  host.propose("a", "b");
  const ready = host.raw.ready();
  assert.deepEqual(typesOf(ready.messages), ["append", "append"]);
  assert.deepEqual(ready.messagesAfterPersist, []);
  assert.equal(ready.entries.length, 2);
});

test("append and vote responses wait for the write they promise", () => {
  const host = follower();
  host.step(append(host, [1], 0));
  const appended = host.raw.ready();
  assert.deepEqual(typesOf(appended.messagesAfterPersist), ["appendResponse"]);
  assert.deepEqual([appended.messages, appended.mustSync], [[], true]);

  const voter = new Host({ id: "1", conf: THREE });
  const request = { from: "3", to: "1", term: 4, lastIndex: 0, lastTerm: 0, force: false };
  voter.step({ ...request, type: "vote" });
  const voted = voter.raw.ready();
  assert.deepEqual(typesOf(voted.messagesAfterPersist), ["voteResponse"]);
  assert.deepEqual(voted.hardState, { term: 4, vote: "3", commit: 0 });
  assert.deepEqual([voted.messages, voted.mustSync], [[], true]);
});

test("a candidate asks for votes, and counts its own, only when that is durable", () => {
  const alone = new Host({ id: "1", conf: confState(["1"]), preVote: false });
  alone.raw.campaign();
  const ready = alone.raw.ready();
  assert.equal(alone.raw.role, "candidate");
  assert.deepEqual(ready.messagesAfterPersist, [], "its vote for itself is no message to send");
  alone.persist(ready);
  alone.raw.advance(ready);
  assert.equal(alone.raw.role, "leader");

  const host = new Host({ id: "1", conf: THREE, preVote: false });
  host.raw.campaign();
  const asked = host.raw.ready();
  assert.deepEqual(asked.messages, []);
  assert.deepEqual(typesOf(asked.messagesAfterPersist), ["vote", "vote"]);
});

/** Two members ask a third for its vote in one term; it forgets the first vote in between. */
function leadersOfOneTerm(beforeSecondVote: (voter: Host) => void): readonly Host[] {
  const [first, second] = ["1", "2"].map((id) => new Host({ id, conf: THREE, preVote: false }));
  const voter = (): Host => new Host({ id: "3", conf: THREE });
  assert.ok(first !== undefined && second !== undefined);
  const [asks, asksToo] = [first, second].map((candidate) => {
    candidate.raw.campaign();
    return candidate.work().messages.filter(({ to }) => to === "3");
  });
  first.feed(...voter().feed(...(asks ?? [])).messages);
  const copy = voter();
  beforeSecondVote(copy);
  second.feed(...copy.feed(...(asksToo ?? [])).messages);
  assert.equal(first.raw.term, second.raw.term);
  return [first, second].filter(({ raw }) => raw.role === "leader");
}

test("a voter put back to an earlier state elects two leaders, unless it renounces its vote", () => {
  assert.equal(leadersOfOneTerm(() => undefined).length, 2);
  const leaders = leadersOfOneTerm((copy) => {
    copy.raw.renounceVotes(1);
    copy.work();
  });
  assert.deepEqual(
    leaders.map(({ id }) => id),
    ["1"],
  );
});

test("a renounced vote is durable, disturbs no leader of its term, and leaves later terms alone", () => {
  const host = follower();
  const { term } = host.raw;
  host.feed(heartbeat(host, term));
  host.raw.renounceVotes(term);
  assert.equal(host.raw.hasRenouncedVotes(term), false, "nothing is written yet");
  const ready = host.raw.ready();
  assert.deepEqual([ready.hardState?.vote, ready.mustSync], [host.id, true]);
  host.persist(ready);
  host.raw.advance(ready);
  assert.equal(host.raw.hasRenouncedVotes(term), true);
  assert.deepEqual([host.raw.role, host.raw.leader, host.raw.term], ["follower", "2", term]);
  host.restart();
  assert.equal(host.raw.hasRenouncedVotes(term), true);
  const request = { from: "3", to: host.id, lastIndex: 99, lastTerm: term, force: true } as const;
  const answers = [term, term + 1].map((asked) => {
    const { messages } = host.feed({ ...request, type: "vote", term: asked });
    return messages.map((answer) => answer.type === "voteResponse" && answer.reject);
  });
  assert.deepEqual(answers, [[true], [false]]);
  host.raw.renounceVotes(term);
  assert.equal(host.raw.term, term + 1);
});

test("a vote for itself that became durable too late counts for nothing", () => {
  const host = new Host({ id: "1", conf: confState(["1", "2"]), preVote: false });
  host.raw.campaign();
  const ready = host.raw.ready();
  host.step(heartbeat(host, 7));
  host.persist(ready);
  host.raw.advance(ready);
  assert.deepEqual([host.raw.role, host.raw.term, host.raw.leader], ["follower", 7, "2"]);
});

test("a leader's own entries count towards its quorum when they are durable", () => {
  const host = leader();
  host.propose("x");
  const index = host.raw.lastIndex;
  const ready = host.raw.ready();
  assert.equal(host.raw.committed, index - 1);
  host.step(accepted(host, "2", index));
  assert.equal(host.raw.committed, index - 1, "one of three so far");
  host.persist(ready);
  host.raw.advance(ready);
  assert.equal(host.raw.committed, index);
});

test("what is proposed while a Ready is outstanding is not durable with it", () => {
  const host = leader();
  host.propose("x");
  const index = host.raw.lastIndex;
  const ready = host.raw.ready();
  host.propose("y");
  host.step(accepted(host, "2", index + 1));
  host.persist(ready);
  host.raw.advance(ready);
  assert.equal(host.raw.committed, index, "member 2 has y, and nobody else yet");
  host.workOnce();
  assert.equal(host.raw.committed, index + 1);
});

test("a quorum without the leader's own disk commits, but nothing is applied here yet", () => {
  const host = leader();
  host.propose("x");
  const index = host.raw.lastIndex;
  const ready = host.raw.ready();
  for (const from of ["2", "3"]) host.step(accepted(host, from, index));
  assert.equal(host.raw.committed, index);
  assert.deepEqual(ready.committedEntries, []);
  host.persist(ready);
  host.raw.advance(ready);
  const next = host.raw.ready();
  assert.deepEqual(
    next.committedEntries.map((one) => one.index),
    [index],
  );
});

test("a lone voter commits in the Ready after the one that stored the entry", () => {
  const cluster = Cluster.ledByFirst(1);
  const host = cluster.host("1");
  host.propose("x");
  const first = host.workOnce();
  assert.deepEqual([first.entries.length, first.committedEntries.length], [1, 0]);
  const second = host.workOnce();
  assert.deepEqual([second.entries.length, second.committedEntries.length], [0, 1]);
});

test("neither applied entries nor the stored commit run ahead of what is durable here", () => {
  const host = follower();
  host.step(append(host, [1, 1], 0, 2));
  assert.equal(host.raw.committed, 2);
  const first = host.workOnce();
  assert.deepEqual(
    [first.entries.length, first.committedEntries, first.hardState],
    [2, [], undefined],
  );
  const second = host.workOnce();
  assert.equal(second.committedEntries.length, 2);
  assert.equal(second.hardState?.commit, 2);
  assert.equal(second.mustSync, false, "a commit that is lost is learned again");
});

test("what a Ready holds does not change while messages are stepped before advance", () => {
  const host = follower();
  host.step(append(host, [1, 1], 0));
  const ready = host.raw.ready();
  host.step(append(host, [1, 1, 1], 2));
  host.step(append(host, [1, 2], 1));
  assert.deepEqual(
    ready.entries.map(({ term, index }) => [term, index]),
    [
      [1, 1],
      [1, 2],
    ],
  );
  host.persist(ready);
  host.raw.advance(ready);
  const next = host.workOnce();
  assert.deepEqual(
    next.entries.map(({ term }) => term),
    [1, 2],
    "the suffix that was replaced meanwhile is not taken for durable",
  );
  assert.deepEqual(
    host.log().map(({ term }) => term),
    [1, 2],
  );
});

test("answers to messages stepped before advance wait for the next Ready", () => {
  const host = follower();
  host.step(append(host, [1], 0));
  const ready = host.raw.ready();
  host.step(append(host, [1, 1], 1));
  host.persist(ready);
  host.raw.advance(ready);
  const next = host.raw.ready();
  assert.equal(next.entries.length, 1);
  assert.deepEqual(typesOf(next.messagesAfterPersist), ["appendResponse"]);
});

test("a Ready that holds nothing gets nothing later either", () => {
  const host = follower();
  host.feed(append(host, [1], 0));
  host.step(heartbeat(host));
  const ready = host.raw.ready();
  assert.deepEqual(typesOf(ready.messages), ["heartbeatResponse"]);
  host.step(append(host, [1, 1], 1));
  host.step(heartbeat(host));
  host.raw.readIndex("r");
  host.step({ type: "readIndexResponse", from: "2", to: "1", term: 1, context: "r", index: 1 });
  const { messages, messagesAfterPersist, entries, readStates, committedEntries } = ready;
  assert.deepEqual(
    [messages, messagesAfterPersist, entries, readStates, committedEntries].map(
      ({ length }) => length,
    ),
    [1, 0, 0, 0, 0],
  );
  host.persist(ready);
  host.raw.advance(ready);
  const next = host.workOnce();
  assert.deepEqual(
    [next.messages, next.messagesAfterPersist, next.entries, next.readStates].map(
      ({ length }) => length,
    ),
    [2, 1, 1, 1],
  );
});

test("soft state appears when it changed, and only then", () => {
  const host = new Host({ id: "1", conf: THREE });
  const first = host.feed(heartbeat(host, 1)).readies;
  assert.deepEqual(first[0]?.softState, { leader: "2", role: "follower" });
  const second = host.feed(heartbeat(host, 1)).readies;
  assert.equal(second[0]?.softState, undefined);
});

test("every conf change handed out is decided before the Ready is acknowledged", () => {
  const cluster = Cluster.ledByFirst(1);
  const { raw } = cluster.host("1");
  raw.proposeConfChange(encodeChange("+2"));
  cluster.host("1").workOnce();
  const ready = raw.ready();
  assert.equal(ready.committedEntries[0]?.type, "confChange");
  assert.throws(() => {
    raw.advance(ready);
  }, InvariantError);
  raw.rejectConfChange();
  assert.throws(() => {
    raw.rejectConfChange();
  }, InvariantError);
  raw.advance(ready);
  assert.deepEqual(raw.status().confState, confState(["1"]), "a refused change changes nothing");
  raw.proposeConfChange(encodeChange("~2"));
  cluster.stabilize();
  assert.deepEqual(raw.status().confState.learners, ["2"], "and the next one is welcome");
});

test("a conf change cannot be decided that no Ready has handed out", () => {
  const { raw } = Cluster.ledByFirst(1).host("1");
  assert.throws(() => raw.applyConfChange({ transition: "auto", changes: [], context: bytes("") }));
});

test("one call of propose is one append, in order, of any length", () => {
  const cluster = Cluster.ledByFirst(1);
  const host = cluster.host("1");
  const before = host.raw.lastIndex;
  host.raw.propose([]);
  assert.equal(host.raw.lastIndex, before);
  const many = Array.from({ length: 200_000 }, (_, i) => Uint8Array.of(i & 255));
  host.raw.propose(many);
  cluster.stabilize();
  assert.equal(host.raw.applied, before + many.length);
  assert.deepEqual(
    host.applied.slice(-many.length).map(({ data }) => data),
    many,
  );
});

test("proposals are refused with a reason, and then nothing is appended", () => {
  function reasonOf(run: () => void): string {
    try {
      run();
    } catch (error) {
      assert.ok(error instanceof RaftError && error.code === "proposalDropped");
      return error.message;
    }
    return "taken";
  }
  const lost = new Host({ id: "1", conf: THREE });
  assert.match(
    reasonOf(() => {
      lost.propose("x");
    }),
    /no leader/,
  );
  const host = leader({ uncommittedBytesMax: 10 });
  const before = host.raw.lastIndex;
  host.propose("longer than the bound");
  assert.match(
    reasonOf(() => {
      host.propose("x");
    }),
    /too many bytes are uncommitted/,
  );
  assert.equal(host.raw.lastIndex, before + 1);
  host.work();
  host.feed(accepted(host, "2", before + 1));
  assert.equal(
    reasonOf(() => {
      host.propose("x");
    }),
    "taken",
    "the room is given back on commit",
  );
  host.work();
  host.feed(accepted(host, "2", before + 2));
  host.raw.transferLeader("3");
  assert.match(
    reasonOf(() => {
      host.propose("x");
    }),
    /being transferred/,
  );
});

test("messages that are not meant for this member, or lie about their sender, are ignored", () => {
  const host = leader();
  const index = host.raw.lastIndex;
  host.propose("x");
  host.work();
  host.step({ ...accepted(host, "2", index + 1), to: "9" });
  host.step({ ...accepted(host, "1", index + 1) });
  host.step({ ...accepted(host, "9", index + 1) });
  host.step({ ...accepted(host, "2", index + 1), term: 0 });
  host.step({ ...accepted(host, "9", index + 1), term: 99 });
  assert.deepEqual([host.raw.committed, host.raw.role], [index, "leader"]);
  assert.equal(host.raw.hasReady(), false);
  host.step(accepted(host, "2", index + 1));
  assert.equal(host.raw.committed, index + 1, "the honest answer counts");
});

test("a message of a second leader in the same term breaks an invariant", () => {
  const host = leader();
  assert.throws(() => {
    host.step(heartbeat(host));
  }, InvariantError);
});

test("a commit beyond the log means that the log was lost", () => {
  const host = follower();
  assert.throws(() => {
    host.step({ ...heartbeat(host), type: "heartbeat", commit: 5, context: "" });
  }, InvariantError);
});

test("getters and status agree", () => {
  const { raw } = leader();
  const { term, leader: leads, role, commit, applied, confState: conf, progress } = raw.status();
  assert.deepEqual(
    [raw.term, raw.leader, raw.role, raw.committed, raw.applied, raw.lastIndex],
    [term, leads, role, commit, applied, 1],
  );
  assert.deepEqual(conf, THREE);
  assert.deepEqual(progress.get("2"), {
    match: 1,
    next: 2,
    state: "replicate",
    recentActive: true,
    isLearner: false,
    pendingSnapshot: 0,
  });
  assert.equal(follower().raw.status().progress.size, 0, "a follower does not know");
});

test("options that make no sense are refused", () => {
  const good = { id: "1", storage: new MemoryStorage(), random: () => 0 };
  assert.equal(parseConfig(good).electionTicks, 10);
  const bad = [
    { id: "" },
    { heartbeatTicks: 0 },
    { electionTicks: 1 },
    { inflightMessagesMax: 0 },
    { inflightBytesMax: 0 },
    { messageBytesMax: 0 },
    { committedBytesMax: 0 },
    { readOnly: "lease" as const, checkQuorum: false },
  ];
  for (const options of bad) {
    assert.throws(() => parseConfig({ ...good, ...options }), InvariantError);
  }
});

test("entries the state machine holds already are not handed out again", () => {
  const storage = new MemoryStorage({ index: 0, term: 0, confState: confState(["1"]) });
  storage.append(logOf([1, 1, 1]));
  storage.setHardState({ term: 1, vote: "1", commit: 3 });
  const raw = new RawNode({ id: "1", storage, random: () => 0, applied: 2 });
  assert.deepEqual(raw.ready().committedEntries, logOf([1, 1, 1]).slice(2));
});

test("a snapshot is wanted when it leads further, is recent and includes this member", () => {
  const host = follower();
  host.feed(append(host, [1, 1, 1], 0, 2));
  assert.equal(host.raw.wantsSnapshot(snapshotMessage(host, 9, 1)), true);
  assert.equal(host.raw.wantsSnapshot(snapshotMessage(host, 2, 1)), false, "applied already");
  const stale = { ...snapshotMessage(host, 9, 1), term: 0 };
  assert.equal(host.raw.wantsSnapshot(stale), false);
  const foreign = snapshotMessage(host, 9, 1);
  const elsewhere = { ...foreign.snapshot, confState: confState(["2", "3"]) };
  assert.equal(host.raw.wantsSnapshot({ ...foreign, snapshot: elsewhere }), false);
});

test("an unwanted snapshot is answered with what is committed here, and changes nothing", () => {
  const host = follower();
  host.feed(append(host, [1, 1, 1], 0, 2));
  const { messages, readies } = host.feed(snapshotMessage(host, 2, 1));
  assert.deepEqual(messages, [{ ...accepted(host, "1", 2), to: "2" }]);
  assert.equal(readies[0]?.snapshot, undefined);
  assert.equal(host.raw.lastIndex, 3);
});

test("a snapshot the log reaches anyway keeps the log and counts as applied", () => {
  const host = follower();
  host.feed(append(host, [1, 1, 1, 1], 0, 1));
  const { readies, messages } = host.feed(snapshotMessage(host, 3, 1));
  assert.equal(readies[0]?.snapshot, undefined);
  assert.deepEqual(
    [host.raw.lastIndex, host.raw.committed, host.raw.applied],
    [4, 3, 3],
    "no acknowledged entry is dropped",
  );
  assert.deepEqual(host.applied, [], "entries 2 and 3 came with the state machine");
  assert.deepEqual(typesOf(messages), ["appendResponse"]);
});

test("a snapshot the log is about to reach is not wanted", () => {
  const host = follower();
  host.step(append(host, [1, 1, 1], 0));
  const message = snapshotMessage(host, 3, 1);
  assert.equal(host.raw.wantsSnapshot(message), false, "entry 3 is not durable yet");
  host.work();
  assert.equal(host.raw.wantsSnapshot(message), true);
  host.step(snapshotMessage(host, 9, 1));
  assert.equal(host.raw.wantsSnapshot(snapshotMessage(host, 9, 1)), false, "it is being persisted");
});

test("a snapshot beyond the log replaces it, and is persisted before it is acknowledged", () => {
  const host = follower();
  host.feed(append(host, [1, 1], 0));
  host.step(snapshotMessage(host, 9, 1));
  const ready = host.raw.ready();
  assert.equal(ready.snapshot?.index, 9);
  assert.equal(ready.mustSync, true);
  assert.equal(ready.hardState?.commit, 9);
  assert.deepEqual(typesOf(ready.messagesAfterPersist), ["appendResponse"]);
  host.raw.campaign();
  assert.equal(host.raw.role, "follower", "nobody campaigns with half a snapshot");
  host.persist(ready);
  host.raw.advance(ready);
  assert.deepEqual([host.raw.applied, host.raw.lastIndex], [9, 9]);
  host.feed({
    ...append(host, [1, 1], 2),
    prevIndex: 9,
    prevTerm: 1,
    entries: [entry(1, 10)],
  });
  assert.equal(host.raw.lastIndex, 10);
});

test("a restart continues from what was persisted", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.host("1").propose("a", "b");
  cluster.stabilize();
  cluster.host("2").restart();
  const { raw } = cluster.host("2");
  assert.deepEqual([raw.term, raw.lastIndex, raw.committed, raw.role], [1, 3, 3, "follower"]);
  assert.equal(raw.hasReady(), false, "what was stored is not stored again");
  cluster.host("1").propose("c");
  cluster.stabilize();
  assert.deepEqual(cluster.host("2").appliedTexts(), ["c"]);
});

test("a conf change is committed on disk before anybody is told: the removed member leaves then", () => {
  const host = leader({ conf: confState(["1", "2"]) });
  host.raw.proposeConfChange(encodeChange("-2"));
  host.work();
  const index = host.raw.lastIndex;
  host.step(accepted(host, "2", index));
  const ready = host.raw.ready();
  assert.deepEqual([ready.hardState?.commit, ready.mustSync, ready.messages], [index, true, []]);
  const told = ready.messagesAfterPersist.find(({ to }) => to === "2");
  assert.equal(told?.type === "append" && told.commit, index);

  const follows = follower({ conf: confState(["1", "2"]) });
  follows.feed({
    ...append(follows, [1], 0),
    entries: [{ ...entry(1, 1), type: "confChange", data: encodeChange("-2") }],
  });
  follows.step({ ...heartbeat(follows), commit: 1 });
  assert.equal(follows.raw.ready().mustSync, true);
});
