/**
 * "Consensus: Bridging Theory and Practice", the thesis behind the paper: leadership transfer
 * (§3.10), single-server changes (§4.1 to §4.3), check quorum (§6.2), pre-vote (§9.6), parallel disk
 * writes and pipelining (§10.2). One test a rule; reads (§6.4) are in thesis-reads.test.ts.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { Message } from "../../src/core/model/types.ts";
import { RaftError } from "../../src/core/model/errors.ts";
import { Cluster } from "../core/cluster.ts";
import {
  accepted,
  append,
  FIVE,
  follower,
  heartbeat,
  leader,
  only,
  THREE,
  typesOf,
  voteRequest,
} from "../core/given.ts";
import { confState, encodeChange, Host, type HostOptions, logOf } from "../core/host.ts";

type Options = Omit<HostOptions, "id">;

function preVote(host: Host, from: string, terms: readonly number[], term: number): Message {
  return { ...voteRequest(host, from, terms, term), type: "preVote" };
}

function beatAnswer(host: Host, from: string, context: string): Message {
  return { type: "heartbeatResponse", from, to: host.id, term: host.raw.term, context };
}

// §3.10: "The prior leader stops accepting new client requests."
test("a leader that hands over takes no proposals", () => {
  const host = leader();
  host.raw.transferLeader("2");
  assert.throws(() => {
    host.propose("x");
  }, RaftError);
  assert.equal(host.raw.status().transferee, "2");
});

// §3.10: "The prior leader fully updates the target server's log to match its own", and then "sends
// a TimeoutNow request to the target server."
test("the successor is told to campaign when it has everything, at once or later", () => {
  const ready = leader();
  ready.raw.transferLeader("2");
  assert.deepEqual(typesOf(ready.work().messages), ["timeoutNow"]);

  const behind = leader();
  behind.propose("x");
  behind.work();
  behind.raw.transferLeader("2");
  assert.ok(!typesOf(behind.work().messages).includes("timeoutNow"));
  const { messages } = behind.feed(accepted(behind, "2", 2));
  assert.deepEqual(
    only(messages, "timeoutNow").map(({ to }) => to),
    ["2"],
  );
});

// §3.10: "This request has the same effect as the target server's election timer firing: the target
// server starts a new election"; it needs no pre-vote and the leases do not bind the voters.
test("a successor campaigns at once and the others vote within the lease", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.host("1").raw.transferLeader("3");
  cluster.stabilize();
  assert.deepEqual(cluster.leaders(), ["3"]);
  assert.equal(cluster.host("3").raw.term, 2);
  assert.equal(cluster.host("1").raw.role, "follower");
});

// §3.10: "If leadership transfer does not complete after about an election timeout, the prior leader
// aborts the transfer and resumes accepting client requests."
test("a transfer that takes an election timeout is given up", () => {
  const host = leader();
  host.raw.transferLeader("2");
  host.work();
  for (let i = 0; i < 10; i += 1) {
    assert.equal(host.raw.status().transferee, "2");
    host.tick();
    host.feed(beatAnswer(host, "2", ""), beatAnswer(host, "3", ""));
  }
  assert.equal(host.raw.status().transferee, "");
  host.propose("welcome again");
});

test("leadership goes only to another voter of the cluster", () => {
  for (const to of ["1", "4", "9"]) {
    const host = leader({ conf: confState(["1", "2", "3"], { learners: ["4"] }) });
    host.raw.transferLeader(to);
    assert.equal(host.raw.status().transferee, "", to);
  }
});

test("a new transfer replaces the one under way, and the same one is not restarted", () => {
  const host = leader();
  host.raw.transferLeader("2");
  host.work();
  host.tick(6);
  host.raw.transferLeader("2");
  host.tick(4);
  assert.equal(host.raw.status().transferee, "", "its time had run from the first request");
  host.raw.transferLeader("2");
  host.raw.transferLeader("3");
  assert.equal(host.raw.status().transferee, "3");
});

test("a follower passes a request for a transfer on to the leader", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.host("3").raw.transferLeader("3");
  cluster.stabilize();
  assert.deepEqual(cluster.leaders(), ["3"]);
});

test("a transfer to a member that is being removed ends with its removal", () => {
  const cluster = Cluster.ledByFirst(3);
  const one = cluster.host("1");
  cluster.isolate("3");
  one.raw.proposeConfChange(encodeChange("-3"));
  one.raw.transferLeader("3");
  cluster.stabilize();
  assert.equal(one.raw.status().transferee, "");
  assert.deepEqual(one.conf, confState(["1", "2"]));
});

// §4.1: single-server changes are safe "because any majority of the old cluster overlaps with any
// majority of the new": the rule about two changes at a time is in section-6-7-8.test.ts.
test("a change by one voter takes effect without a joint configuration", () => {
  const cluster = Cluster.ledByFirst(1);
  cluster.hosts.set("2", new Host({ id: "2", conf: confState(["1"]) }));
  cluster.host("1").raw.proposeConfChange(encodeChange("+2"));
  cluster.stabilize();
  for (const { conf } of cluster.hosts.values()) assert.deepEqual(conf, confState(["1", "2"]));
  cluster.isolate("2");
  cluster.host("1").propose("x");
  cluster.stabilize();
  const { committed, lastIndex } = cluster.host("1").raw;
  assert.equal(committed, lastIndex - 1, "one of two is no quorum any more");
});

// §4.1: the next change waits until the last is applied, wherever in its batch that one stands.
test("a change behind another entry of its batch keeps the next one out until it is applied", () => {
  const host = leader({ committedBytesMax: 1 });
  const propose = (...data: readonly (readonly ["normal" | "confChange", string])[]): void => {
    const entries = data.map(([type, words]) => {
      return { term: 0, index: 0, type, data: encodeChange(words) };
    });
    host.step({ type: "propose", from: "2", to: "1", term: host.raw.term, entries });
  };
  const before = host.raw.lastIndex;
  propose(["normal", "a"], ["confChange", "+4"]);
  host.workOnce();
  host.step(accepted(host, "2", before + 2));
  while (host.raw.applied <= before) host.workOnce();
  assert.equal(host.raw.applied, before + 1, "the change is committed and not applied");
  propose(["confChange", "+5"]);
  host.work();
  const types = host.log().map(({ type }) => type);
  assert.deepEqual(types.slice(before), ["normal", "confChange", "normal"]);
});

// §4.2.1: "a new server is added as a non-voting member", caught up, and then promoted.
test("a learner is caught up first and then promoted", () => {
  const cluster = Cluster.ledByFirst(3);
  for (let i = 0; i < 20; i += 1) cluster.host("1").propose(`p${i}`);
  cluster.stabilize();
  cluster.hosts.set("4", new Host({ id: "4", conf: THREE }));
  cluster.host("1").raw.proposeConfChange(encodeChange("~4"));
  cluster.stabilize();
  assert.equal(cluster.host("4").appliedTexts().length, 21, "the entries, and the change");
  assert.equal(cluster.host("1").raw.status().progress.get("4")?.isLearner, true);
  cluster.host("1").raw.proposeConfChange(encodeChange("+4"));
  cluster.stabilize();
  assert.deepEqual(cluster.host("4").conf.voters, ["1", "2", "3", "4"]);
  assert.equal(cluster.host("1").raw.status().progress.get("4")?.isLearner, false);
});

// §4.2.2: removing the leader: the followers that apply its removal need not wait for it to fall
// silent.
test("after its removal the leader is succeeded within a few ticks", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.host("3").draw = 0.99;
  cluster.host("1").raw.proposeConfChange(encodeChange("-1"));
  cluster.stabilize();
  cluster.tick(4);
  assert.deepEqual(cluster.leaders(), ["2"]);
});

// §4.2.3, disruptive servers: "a removed server ... will time out and start new elections"; with
// pre-vote and leases it changes nobody's term.
test("a member that missed its removal changes no term", () => {
  const cluster = Cluster.ledByFirst(4);
  cluster.isolate("4");
  cluster.host("1").raw.proposeConfChange(encodeChange("-4"));
  cluster.stabilize();
  cluster.heal();
  for (let i = 0; i < 5; i += 1) {
    cluster.host("4").tick(20);
    cluster.stabilize();
    cluster.tick();
  }
  assert.deepEqual(cluster.leaders(), ["1"]);
  assert.deepEqual(
    [...cluster.hosts.values()].map(({ raw }) => raw.term),
    [1, 1, 1, 1],
  );
});

// §4.3: when a joint change enters and who leaves it is in section-6-7-8.test.ts. Here: a change
// that makes no sense in a joint configuration.
test("a joint configuration takes no other change than to be left", () => {
  const cluster = Cluster.ledByFirst(3);
  const one = cluster.host("1");
  for (const words of ["explicit -3", "-2", "", ""]) {
    one.raw.proposeConfChange(encodeChange(words));
    cluster.stabilize();
  }
  assert.deepEqual(
    one.applied.filter(({ index }) => index > 1).map(({ type }) => type),
    ["confChange", "normal", "confChange", "normal"],
    "-2 came too early, and there is no joint configuration to leave twice",
  );
  assert.deepEqual(one.conf, confState(["1", "2"]));
});

// §6.2: "a leader ... steps down if an election timeout elapses without a successful round of
// heartbeats to a majority of its cluster."
test("a leader without a quorum steps down", () => {
  const host = leader({ conf: FIVE });
  host.tick(10);
  host.work();
  assert.equal(host.raw.role, "leader", "all answered in this period");
  host.feed(beatAnswer(host, "2", ""), beatAnswer(host, "3", ""));
  host.tick(10);
  host.work();
  assert.equal(host.raw.role, "leader", "two and itself are a quorum of five");
  host.feed(beatAnswer(host, "2", ""));
  host.tick(10);
  assert.deepEqual([host.raw.role, host.raw.leader, host.raw.term], ["follower", "", 1]);
});

test("a leader that does not check its quorum stays", () => {
  const host = leader({ checkQuorum: false });
  host.tick(100);
  assert.equal(host.raw.role, "leader");
});

test("a follower from a later term makes a stale leader step down", () => {
  const stale = leader();
  const other = new Host({ id: "2", conf: THREE, hardState: { term: 7 } });
  stale.tick();
  const toOther = stale.work().messages.filter(({ to }) => to === "2");
  const { messages } = other.feed(...toOther);
  assert.ok(messages.length > 0);
  stale.feed(...messages);
  assert.deepEqual([stale.raw.role, stale.raw.term], ["follower", 7]);
});

// §9.6: "a candidate would only increment its term if it first learned from a majority of the cluster
// that they would be willing to grant the candidate their votes."
test("a pre-candidate changes no term, its own included, before a majority would vote for it", () => {
  const host = new Host({ id: "1", conf: FIVE, entries: logOf([1, 1]), hardState: { vote: "2" } });
  host.raw.campaign();
  const { messages } = host.work();
  assert.deepEqual(
    only(messages, "preVote").map(({ to, term, lastIndex, lastTerm }) => [
      to,
      term,
      lastIndex,
      lastTerm,
    ]),
    ["2", "3", "4", "5"].map((to) => [to, 2, 2, 1]),
  );
  assert.deepEqual(
    [host.raw.role, host.raw.term, host.raw.status().vote],
    ["preCandidate", 1, "2"],
  );
  const grant = { type: "preVoteResponse", to: "1", term: 2, reject: false } as const;
  host.feed({ ...grant, from: "2" });
  assert.equal(host.raw.term, 1);
  host.feed({ ...grant, from: "3" });
  assert.deepEqual([host.raw.role, host.raw.term], ["candidate", 2]);
});

// §9.6: voters grant a pre-vote if the candidate's log is up to date enough and they "have not
// received heartbeats from a valid leader for at least a baseline election timeout."
test("a pre-vote is granted for a good log when no leader is heard", () => {
  const table: [readonly number[], number, boolean | undefined][] = [
    [[1, 1], 10, true],
    [[1], 10, false],
    [[1, 1, 1], 10, true],
    [[1, 1], 9, undefined],
  ];
  for (const [terms, silence, expected] of table) {
    const host = follower({ entries: logOf([1, 1]), draw: 0.9 });
    host.tick(silence);
    const { messages } = host.feed(preVote(host, "3", terms, 2));
    const [answer] = only(messages, "preVoteResponse");
    const isGranted = answer === undefined ? undefined : !answer.reject;
    assert.equal(isGranted, expected, `${terms.join()} after ${silence} ticks`);
    assert.equal(answer?.term ?? 2, expected === false ? 1 : 2);
  }
});

test("granting a pre-vote changes neither term nor vote nor timer, and promises nothing", () => {
  const host = follower({ draw: 0.9 });
  host.tick(15);
  const first = host.feed(preVote(host, "2", [], 2), preVote(host, "3", [], 2));
  assert.deepEqual(
    only(first.messages, "preVoteResponse").map(({ reject }) => reject),
    [false, false],
    "two pre-votes may both succeed",
  );
  assert.ok(first.readies.every(({ hardState }) => hardState === undefined));
  host.tick(4);
  assert.equal(host.raw.role, "preCandidate", "its own timeout was not put off");
});

test("a pre-candidate that is refused by a majority follows again", () => {
  const host = new Host({ id: "1", conf: THREE });
  host.raw.campaign();
  host.work();
  const refusal = { type: "preVoteResponse", to: "1", term: 0, reject: true } as const;
  host.feed({ ...refusal, from: "2", term: 0 });
  assert.equal(host.raw.role, "preCandidate", "a message without a term is no answer");
  const later = new Host({ id: "1", conf: THREE, hardState: { term: 3 } });
  later.raw.campaign();
  later.work();
  later.feed({ ...refusal, from: "2", term: 3 }, { ...refusal, from: "3", term: 3 });
  assert.equal(later.raw.role, "follower");
  later.raw.campaign();
  later.feed({ ...refusal, from: "2", term: 9 });
  assert.deepEqual([later.raw.role, later.raw.term], ["follower", 9], "a later term is learned");
});

test("a grant for an earlier pre-vote does not count in a later one", () => {
  const host = new Host({ id: "1", conf: THREE, hardState: { term: 3 } });
  host.raw.campaign();
  host.work();
  host.feed({ type: "preVoteResponse", from: "2", to: "1", term: 3, reject: false });
  assert.equal(host.raw.role, "preCandidate");
});

test("a stale candidate is told the later term even when it only asks for pre-votes", () => {
  const host = follower({ hardState: { term: 8 } });
  const { messages } = host.feed(preVote(host, "3", [1, 1, 1], 5));
  assert.deepEqual(
    only(messages, "preVoteResponse").map(({ reject, term }) => [reject, term]),
    [[true, 8]],
  );
});

// §9.6: pre-vote "solves the issue of a partitioned server disrupting the cluster when it rejoins".
test("a member that comes back from a partition disturbs nobody", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.isolate("3");
  cluster.tick(60);
  cluster.heal();
  cluster.tick(3);
  assert.deepEqual(cluster.leaders(), ["1"]);
  assert.deepEqual(
    [...cluster.hosts.values()].map(({ raw }) => [raw.term, raw.leader]),
    [
      [1, "1"],
      [1, "1"],
      [1, "1"],
    ],
  );
});

test("without pre-vote the same member unseats the leader: the rule is needed", () => {
  const cluster = Cluster.ledByFirst(3, { preVote: false });
  cluster.isolate("3");
  cluster.tick(60);
  cluster.heal();
  cluster.tick(3);
  assert.ok(cluster.host("1").raw.term > 1);
});

// §4.2.3 with §9.6, and the host's knowledge: a leader whose process died need not be waited for.
test("when the leader's process dies, the others elect within a few ticks", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.isolate("1");
  cluster.host("3").draw = 0.99;
  for (const id of ["2", "3"]) cluster.host(id).raw.connectionLost("1");
  cluster.host("2").tick();
  cluster.host("3").tick();
  cluster.stabilize();
  assert.equal(cluster.host("2").raw.role, "leader");
});

test("the wait after a leader's death is zero to two ticks beyond the next", () => {
  for (const [draw, ticks] of [
    [0, 1],
    [0.5, 2],
    [0.99, 3],
  ] as const) {
    const host = follower({ draw });
    host.raw.connectionLost("2");
    host.tick(ticks - 1);
    assert.equal(host.raw.role, "follower", `${draw}`);
    host.tick();
    assert.equal(host.raw.role, "preCandidate", `${draw}`);
  }
});

test("a link that breaks unseats nobody: the other voters hear the leader and refuse", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.cut("1", "2");
  for (let i = 0; i < 10; i += 1) {
    cluster.host("2").raw.connectionLost("1");
    cluster.tick(3);
    assert.deepEqual(cluster.leaders(), ["1"]);
  }
  assert.deepEqual(
    [...cluster.hosts.values()].map(({ raw }) => raw.term),
    [1, 1, 1],
  );
});

test("a lost connection means nothing when it is not the leader's, or the leader speaks again", () => {
  const other = follower();
  other.raw.connectionLost("3");
  other.tick(5);
  assert.equal(other.raw.role, "follower");
  const back = follower();
  back.raw.connectionLost("2");
  back.feed(heartbeat(back));
  back.tick(5);
  assert.equal(back.raw.role, "follower");
  assert.deepEqual(back.feed(voteRequest(back, "3", [], 2)).messages, [], "the lease holds again");
});

test("a lost connection is ignored where nothing would stop a needless election", () => {
  const careless: Options[] = [{ preVote: false }, { checkQuorum: false }, { readOnly: "lease" }];
  for (const options of careless) {
    const host = follower(options);
    host.raw.connectionLost("2");
    host.tick(9);
    assert.equal(host.raw.role, "follower", JSON.stringify(options));
  }
});

test("a follower whose leader died grants the pre-vote of a peer that saw it too", () => {
  const host = follower({ draw: 0.99 });
  host.raw.connectionLost("2");
  const { messages } = host.feed(preVote(host, "3", [], 2));
  assert.deepEqual(
    only(messages, "preVoteResponse").map(({ reject }) => reject),
    [false],
  );
});

// §9.6 and §5.4.1 together: of two that ask for pre-votes, the one with the longer log must not wait for its
// timeout because it asked too early and the other can never win.
test("who refuses a pre-vote for its longer log asks for pre-votes at the next tick, unless it has a leader", () => {
  const host = follower({ draw: 0.99 });
  host.feed(append(host, [1], 0));
  host.raw.connectionLost("2");
  assert.deepEqual(
    only(host.feed(preVote(host, "3", [], 2)).messages, "preVoteResponse").map((m) => m.reject),
    [true],
  );
  host.tick();
  assert.equal(host.raw.role, "preCandidate");
  const led = follower({ draw: 0.99 });
  led.feed(append(led, [1], 0));
  led.feed(preVote(led, "3", [], 2));
  led.tick();
  assert.equal(led.raw.role, "follower");
});

// §10.2.1: "the leader can write to its disk in parallel with replicating the entry to its followers",
// counting itself only when its write is done; the rule is in raw-node.test.ts. Here: followers may
// not do the same.
test("a follower's acknowledgement is not among the messages that leave before its write", () => {
  const host = follower();
  host.step(append(host, [1], 0));
  const ready = host.raw.ready();
  assert.deepEqual(typesOf(ready.messages), []);
  assert.deepEqual(typesOf(ready.messagesAfterPersist), ["appendResponse"]);
});

// §10.2.2, pipelining: "if a message is lost, the leader ... goes back to probing".
test("an unreachable follower is probed, one append a heartbeat, until it answers", () => {
  const host = leader();
  host.raw.reportUnreachable("2");
  assert.equal(host.raw.status().progress.get("2")?.state, "probe");
  const sent: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    host.propose(`p${i}`);
    sent.push(only(host.work().messages, "append").filter(({ to }) => to === "2").length);
  }
  assert.deepEqual(sent, [1, 0, 0]);
  const { messages } = host.feed(beatAnswer(host, "2", ""));
  assert.equal(only(messages, "append").length, 1);
  host.feed(accepted(host, "2", 4));
  assert.equal(host.raw.status().progress.get("2")?.state, "replicate");
});

test("a snapshot that failed is tried again when the follower shows a sign of life", () => {
  const host = leader();
  host.propose("a", "b");
  host.work();
  host.feed(accepted(host, "2", 3));
  host.storage.compact(3);
  host.raw.reportUnreachable("3");
  host.feed(beatAnswer(host, "3", ""));
  assert.equal(host.raw.status().progress.get("3")?.pendingSnapshot, 3);
  host.raw.reportSnapshot("3", false);
  assert.deepEqual(host.work().messages, []);
  const { messages } = host.feed(beatAnswer(host, "3", ""));
  assert.equal(only(messages, "snapshot").length, 1);
  host.raw.reportSnapshot("3", true);
  const after = host.raw.status().progress.get("3");
  assert.deepEqual([after?.state, after?.next], ["probe", 4], "behind the snapshot");
});

test("no snapshot is sent to a member that has fallen silent", () => {
  const host = leader();
  host.propose("a", "b");
  host.work();
  host.feed(accepted(host, "2", 3));
  host.storage.compact(3);
  host.tick(10);
  host.feed(beatAnswer(host, "2", ""));
  host.raw.reportUnreachable("3");
  host.propose("c");
  const { messages } = host.work();
  assert.equal(only(messages, "snapshot").length, 0);
});

// Forwarding: §6.2 of the thesis lets followers pass requests on to the leader.
test("a follower passes proposals on, and a leader appends them as its own", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.host("3").propose("a", "b");
  cluster.stabilize();
  for (const host of cluster.hosts.values()) assert.deepEqual(host.appliedTexts(), ["a", "b"]);
});

test("a forwarded proposal names the term it is meant for, and no later leader takes it", () => {
  const host = follower();
  host.propose("x");
  const [forwarded] = only(host.work().messages, "propose");
  assert.deepEqual([forwarded?.to, forwarded?.term], ["2", 1]);
  const entries = forwarded?.entries ?? [];
  for (const [term, isTaken] of [
    [0, false],
    [1, false],
    [2, true],
  ] as const) {
    const later = leader({ entries: logOf([1]) });
    const { lastIndex } = later.raw;
    assert.equal(later.raw.term, 2);
    later.feed({ type: "propose", from: "3", to: "1", term, entries });
    assert.equal(later.raw.lastIndex - lastIndex, isTaken ? 1 : 0, `of term ${term}`);
  }
});

test("a forwarded proposal that meets no leader is lost: its proposer tries again", () => {
  const host = follower();
  const entries = logOf([1]);
  const { messages } = host.feed({ type: "propose", from: "3", to: "1", term: 1, entries });
  assert.deepEqual(messages, []);
});
