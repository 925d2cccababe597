/**
 * "In Search of an Understandable Consensus Algorithm (Extended Version)", section 6 (cluster
 * membership changes by joint consensus), section 7 (log compaction) and section 8 (client
 * interaction): one test a rule.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { Cluster } from "../core/cluster.ts";
import {
  accepted,
  append,
  follower,
  leader,
  newLeader,
  only,
  snapshotMessage,
  typesOf,
  voteRequest,
} from "../core/given.ts";
import { confState, encodeChange, Host, logOf } from "../core/host.ts";

const EXCHANGE = "explicit +4 +5 -2 -3";

/** Members 1 to 5; 1 leads, and the configuration is joint: {1 2 3} going out, {1 4 5} coming in. */
function jointCluster(): Cluster {
  const conf = confState(["1", "2", "3"]);
  const ids = ["1", "2", "3", "4", "5"];
  const cluster = new Cluster(ids.map((id) => new Host({ id, conf })));
  cluster.elect("1");
  cluster.host("1").raw.proposeConfChange(encodeChange(EXCHANGE));
  cluster.stabilize();
  assert.deepEqual(cluster.host("1").raw.status().confState.votersOutgoing, ["1", "2", "3"]);
  return cluster;
}

// §6: "Log entries are replicated to all servers in both configurations."
test("in a joint configuration members of both halves get every entry", () => {
  const cluster = jointCluster();
  cluster.host("1").propose("x");
  cluster.stabilize();
  for (const host of cluster.hosts.values()) assert.deepEqual(host.appliedTexts().at(-1), "x");
});

// §6: "Agreement (for elections and entry commitment) requires separate majorities from both the
// old and new configurations."
test("a joint configuration commits with both majorities only", () => {
  for (const [silent, isCommitted] of [
    [["2", "3"], false],
    [["4", "5"], false],
    [["3", "5"], true],
  ] as const) {
    const cluster = jointCluster();
    const one = cluster.host("1");
    for (const id of silent) cluster.isolate(id);
    one.propose("x");
    cluster.stabilize();
    assert.equal(one.raw.committed === one.raw.lastIndex, isCommitted, `without ${silent.join()}`);
  }
});

// §6: the same for elections; "any server from either configuration may serve as leader".
test("a joint configuration elects with both majorities only, and from either half", () => {
  const conf = confState(["1", "4", "5"], { votersOutgoing: ["1", "2", "3"] });
  for (const [candidate, silent, isElected] of [
    ["2", ["4", "5"], false],
    ["2", ["1", "3"], false],
    ["2", ["1", "4"], false],
    ["2", ["3", "4"], true],
    ["4", ["2", "3"], false],
    ["4", ["1", "5"], false],
    ["4", ["2", "5"], true],
    ["1", ["3", "5"], true],
  ] as const) {
    const options = { conf, preVote: false, checkQuorum: false };
    const cluster = new Cluster(
      ["1", "2", "3", "4", "5"].map((id) => new Host({ ...options, id })),
    );
    for (const id of silent) cluster.isolate(id);
    cluster.host(candidate).raw.campaign();
    cluster.stabilize();
    const { role } = cluster.host(candidate).raw;
    assert.equal(role === "leader", isElected, `${candidate} without ${silent.join()}`);
  }
});

// §6: "Once C_old,new has been committed ... it is now safe for the leader to create a log entry
// describing C_new and replicate it." With autoLeave the leader does so unasked.
test("a joint configuration is left by itself once it is in force", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.host("1").raw.proposeConfChange(encodeChange("implicit -3"));
  cluster.stabilize();
  for (const host of cluster.hosts.values()) {
    assert.deepEqual(host.conf, confState(["1", "2"]), host.id);
  }
  assert.deepEqual(
    cluster.host("1").applied.filter(({ type }) => type === "confChange").length,
    2,
    "enter and leave",
  );
});

// §6 with thesis §3.10: the entry that leaves must not hold up a successor that is catching up.
test("a joint configuration is not left in the middle of a transfer, but after it", () => {
  const cluster = Cluster.ledByFirst(3);
  const one = cluster.host("1");
  one.raw.proposeConfChange(encodeChange("implicit ~3"));
  one.work();
  const index = one.raw.lastIndex;
  one.raw.transferLeader("2");
  one.feed(accepted(one, "2", index - 1), accepted(one, "3", index));
  one.feed(accepted(one, "2", index));
  assert.deepEqual(
    [one.raw.applied, one.raw.lastIndex, one.conf.votersOutgoing.length],
    [index, index, 3],
  );
  one.tick(10);
  one.work();
  assert.equal(one.raw.lastIndex, index + 1, "the transfer was given up");
});

// §6: leaving must happen whoever leads when it is due: the entry that enters may be committed by
// the next leader.
test("a new leader leaves the joint configuration that an old one entered", () => {
  const cluster = Cluster.ledByFirst(5, { preVote: false, checkQuorum: false });
  const one = cluster.host("1");
  one.raw.proposeConfChange(encodeChange("implicit ~5"));
  cluster.post(one.work().messages);
  for (const message of cluster.take(() => true)) cluster.host(message.to).feed(message);
  cluster.isolate("1");
  cluster.elect("2");
  const left = confState(["1", "2", "3", "4"], { learners: ["5"] });
  assert.deepEqual(cluster.host("2").conf, left);
});

// §6: "In order to avoid availability gaps, ... new servers join the cluster as non-voting members
// (the leader replicates log entries to them, but they are not considered for majorities)."
test("a learner gets every entry and is not counted", () => {
  const conf = confState(["1", "2"], { learners: ["3"] });
  const host = leader({ conf });
  host.propose("x");
  const { messages } = host.work();
  assert.deepEqual(
    only(messages, "append").map(({ to }) => to),
    ["2"],
    "member 3 has not been found yet",
  );
  host.feed(accepted(host, "3", 1));
  host.feed(accepted(host, "3", 2));
  assert.equal(host.raw.committed, 1, "a learner's copy commits nothing");
  host.feed(accepted(host, "2", 2));
  assert.equal(host.raw.committed, 2);
});

// §6: non-voting members do not start elections.
test("a learner never campaigns, however long it waits", () => {
  const host = new Host({ id: "1", conf: confState(["2", "3"], { learners: ["1"] }) });
  host.tick(100);
  host.raw.campaign();
  host.step({ type: "timeoutNow", from: "2", to: "1", term: 1 });
  assert.deepEqual([host.raw.role, typesOf(host.work().messages)], ["follower", []]);
});

// §6: a server votes whatever its own configuration says: it may not have heard of its promotion.
test("a learner votes, once its leader has been silent for the minimum timeout", () => {
  for (const silence of [10, 25, 300]) {
    const host = follower({ conf: confState(["2", "3"], { learners: ["1"] }) });
    host.tick(9);
    assert.deepEqual(host.feed(voteRequest(host, "3")).messages, [], "the lease");
    host.tick(silence - 9);
    const { messages } = host.feed(voteRequest(host, "3"));
    assert.deepEqual(
      only(messages, "voteResponse").map(({ reject }) => reject),
      [false],
      `after ${silence} ticks`,
    );
  }
});

// §6: the same for a leader that was removed: others may not know yet that it was, and need its vote.
test("a removed leader's vote is not withheld for proposals that nobody else has", () => {
  const cluster = Cluster.ledByFirst(2);
  const one = cluster.host("1");
  one.raw.proposeConfChange(encodeChange("-1"));
  cluster.post(one.work().messages);
  for (const message of cluster.take(() => true)) cluster.host(message.to).step(message);
  cluster.post(cluster.host("2").work().messages);
  one.propose("too late");
  // The leader learns that its removal is committed, and nobody learns it from the leader.
  for (const message of cluster.take(() => true)) cluster.host(message.to).step(message);
  one.work();
  assert.deepEqual([one.raw.role, one.conf.voters], ["follower", ["2"]]);
  assert.equal(one.raw.lastIndex, cluster.host("2").raw.lastIndex + 1);
  assert.deepEqual(cluster.host("2").conf.voters, ["1", "2"]);
  cluster.host("2").tick(10);
  cluster.stabilize();
  assert.deepEqual(cluster.leaders(), ["2"]);
  assert.deepEqual(cluster.host("2").conf.voters, ["2"]);
});

// §6: "the cluster leader may not be part of the new configuration. In this case, the leader steps
// down (returns to follower state) once it has committed the C_new log entry."
test("a leader outside the new configuration manages it until it is committed, then steps down", () => {
  const cluster = Cluster.ledByFirst(3);
  const one = cluster.host("1");
  one.raw.proposeConfChange(encodeChange("-1"));
  cluster.post(one.work().messages);
  assert.equal(one.raw.role, "leader", "not before the commit");
  cluster.stabilize();
  assert.equal(one.raw.role, "follower");
  for (const id of ["2", "3"]) assert.deepEqual(cluster.host(id).conf, confState(["2", "3"]));
  one.tick(100);
  assert.equal(one.raw.role, "follower", "and never campaigns again");
});

// §6: "While the leader is committing C_new ... it replicates log entries but does not count itself
// in majorities": in a joint configuration the incoming half has to agree without it.
test("a leader on its way out is not counted in the half it does not belong to", () => {
  const out = leader({ conf: confState(["2", "3"], { votersOutgoing: ["1", "2", "3"] }) });
  out.propose("x");
  out.work();
  out.feed(accepted(out, "2", 2));
  assert.equal(out.raw.committed, 1, "1 and 2 are a majority of the outgoing half only");
  out.feed(accepted(out, "3", 2));
  assert.equal(out.raw.committed, 2);
});

// §6: "if a server receives a RequestVote RPC within the minimum election timeout of hearing from a
// current leader, it does not update its term or grant its vote."
test("a removed member cannot disturb those who hear their leader", () => {
  for (const make of [follower, leader]) {
    const host = make();
    host.tick(3);
    const { term, leader: leads } = host.raw;
    host.work();
    const { messages } = host.feed(voteRequest(host, "9", [7, 7, 7], 50));
    assert.deepEqual([host.raw.term, host.raw.leader, messages], [term, leads, []]);
  }
});

// §6: "it does not affect normal elections, where each server waits at least a minimum election
// timeout before starting an election."
test("a member that has not heard from a leader for the minimum timeout votes again", () => {
  const host = follower({ draw: 0.9 });
  host.tick(10);
  const { messages } = host.feed(voteRequest(host, "3", [1], 5));
  assert.deepEqual(
    only(messages, "voteResponse").map(({ reject }) => reject),
    [false],
  );
});

// §6 (and §8.1.1 of the thesis): one change at a time, the next only when the last is applied.
test("a second conf change is refused while the first is not applied", () => {
  const host = leader();
  host.raw.proposeConfChange(encodeChange("~4"));
  host.raw.proposeConfChange(encodeChange("~5"));
  const { readies } = host.work();
  assert.deepEqual(
    readies.flatMap(({ entries }) => entries).map(({ type, data }) => [type, data.length > 0]),
    [
      ["confChange", true],
      ["normal", false],
    ],
  );
  host.feed(accepted(host, "2", host.raw.lastIndex));
  host.raw.proposeConfChange(encodeChange("~5"));
  assert.equal(host.work().readies[0]?.entries[0]?.type, "confChange");
});

// §6: a new leader may hold a change in its log that it does not know to be committed.
test("a new leader refuses conf changes until everything before its term is applied", () => {
  const host = newLeader({ entries: logOf([1, 1]) });
  host.raw.proposeConfChange(encodeChange("~4"));
  const { readies } = host.work();
  assert.ok(readies.every(({ entries }) => entries.every(({ type }) => type === "normal")));
  host.feed(accepted(host, "2", host.raw.lastIndex));
  host.raw.proposeConfChange(encodeChange("~4"));
  assert.equal(host.work().readies[0]?.entries[0]?.type, "confChange");
});

// §6: configurations here count from when they are applied, so a member must not campaign between
// knowing of a committed change and applying it.
test("a member with a committed conf change to apply does not campaign", () => {
  const conf = confState(["1", "2", "3"]);
  const entries = [
    ...logOf([1]),
    { term: 1, index: 2, type: "confChange" as const, data: encodeChange("~4") },
  ];
  const host = new Host({ id: "1", conf, entries, hardState: { commit: 2 } });
  host.raw.campaign();
  assert.equal(host.raw.role, "follower");
  host.work();
  host.raw.campaign();
  assert.equal(host.raw.role, "preCandidate");
});

// §7: "the leader must occasionally send snapshots to followers that lag behind. This happens when
// the leader has already discarded the next log entry that it needs to send to a follower."
test("a follower that needs discarded entries is sent a snapshot, and nothing else meanwhile", () => {
  const host = leader();
  for (const data of ["a", "b", "c"]) host.propose(data);
  host.work();
  host.feed(accepted(host, "2", 4));
  host.storage.compact(3);
  const refused = { ...accepted(host, "3", 1), reject: true, rejectHint: 1, rejectTerm: 1 };
  host.raw.reportUnreachable("3");
  host.tick();
  host.work();
  const { messages } = host.feed({ ...refused, index: host.raw.lastIndex }, refused);
  const [sent] = only(messages, "snapshot");
  assert.deepEqual([sent?.to, sent?.snapshot.index, sent?.snapshot.term], ["3", 4, 1]);
  host.propose("d");
  assert.ok(host.work().messages.every(({ to }) => to === "2"));
});

// §7, figure 13: "the follower discards its entire log; it is all superseded by the snapshot".
test("a snapshot with new information replaces a conflicting log", () => {
  const host = follower({ entries: logOf([1, 1, 1]) });
  host.feed(snapshotMessage(host, 9, 2));
  assert.deepEqual(
    [host.raw.lastIndex, host.raw.committed, host.raw.applied, host.storage.firstIndex()],
    [9, 9, 9, 10],
  );
  host.feed({ ...append(host, [], 0), prevIndex: 9, prevTerm: 2 });
  assert.equal(host.raw.lastIndex, 9);
});

// §7, figure 13: "If existing log entry has same index and term as snapshot's last included entry,
// retain log entries following it and reply."
test("a snapshot that describes a prefix of the log keeps the entries behind it", () => {
  const host = follower({ entries: logOf([1, 1, 1, 1]) });
  host.feed(snapshotMessage(host, 2, 1));
  assert.deepEqual([host.raw.lastIndex, host.raw.committed], [4, 2]);
});

// §7: "The snapshot also includes the latest configuration in the log as of last included index".
test("a snapshot brings its configuration", () => {
  const host = follower();
  const message = snapshotMessage(host, 9, 1);
  const conf = confState(["1", "2"], { learners: ["4"] });
  host.feed({ ...message, snapshot: { ...message.snapshot, confState: conf } });
  assert.deepEqual(host.raw.status().confState, conf);
});

// §7: what a snapshot replaced was committed, so nobody needs to compare it any more.
test("an append from before the start of the log is answered with all that is committed", () => {
  const host = follower({ entries: logOf([1, 1, 1]) });
  host.feed(append(host, [1, 1, 1], 3, 3));
  host.storage.compact(2);
  const { messages } = host.feed(append(host, [1, 1, 1], 1, 3));
  const [response] = only(messages, "appendResponse");
  assert.deepEqual([response?.reject, response?.index], [false, 3]);
});

// §7: when the snapshot is in place, the log goes on behind it.
test("replication goes on behind an acknowledged snapshot", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.isolate("3");
  for (const data of ["a", "b", "c"]) cluster.host("1").propose(data);
  cluster.stabilize();
  cluster.host("1").storage.compact(3);
  cluster.heal();
  cluster.tick(2);
  cluster.host("1").propose("d");
  cluster.stabilize();
  const three = cluster.host("3");
  assert.deepEqual([three.raw.applied, three.appliedTexts()], [5, ["d"]]);
  assert.equal(cluster.host("1").raw.status().progress.get("3")?.state, "replicate");
});

// §7: a follower that reaches the log by itself after all needs no snapshot any more.
test("a follower that acknowledges enough of the log ends the snapshot for it", () => {
  const host = leader();
  host.propose("a", "b");
  host.work();
  host.feed(accepted(host, "2", 3));
  host.storage.compact(2);
  host.raw.reportUnreachable("3");
  host.feed({ ...accepted(host, "3", 1), reject: true, rejectHint: 0, rejectTerm: 0 });
  host.feed({ type: "heartbeatResponse", from: "3", to: "1", term: 1, context: "" });
  assert.equal(host.raw.status().progress.get("3")?.state, "snapshot");
  host.feed(accepted(host, "3", 3));
  assert.equal(host.raw.status().progress.get("3")?.state, "replicate");
});

// §8: "Raft handles this by having each leader commit a blank no-op entry into the log at the start
// of its term."
test("a new leader appends an empty entry of its term", () => {
  const host = newLeader({ entries: logOf([1, 2]) });
  const { readies } = host.work();
  assert.deepEqual(
    readies.flatMap(({ entries }) => entries),
    [{ term: 3, index: 3, type: "normal", data: new Uint8Array(0) }],
  );
});

// §8: "a leader must have the latest information on which entries are committed" before it serves
// a read.
test("a read waits until the leader has committed an entry of its term", () => {
  const host = newLeader({ entries: logOf([1]) });
  host.raw.readIndex("r");
  host.work();
  const beat = { type: "heartbeatResponse", from: "2", to: "1", term: 2, context: "" } as const;
  assert.deepEqual(host.feed(beat).readStates, []);
  const { messages } = host.feed(accepted(host, "2", 2));
  const [round] = only(messages, "heartbeat");
  assert.ok(round !== undefined && round.context !== "", "only now its round starts");
  const { readStates } = host.feed({ ...beat, context: round.context });
  assert.deepEqual(readStates, [{ context: "r", index: 2 }]);
});

// §8: "a leader must check whether it has been deposed before processing a read-only request", by
// exchanging "heartbeat messages with a majority of the cluster".
test("a deposed leader answers no read", () => {
  const cluster = Cluster.ledByFirst(3, { preVote: false, checkQuorum: false });
  const old = cluster.host("1");
  cluster.isolate("1");
  cluster.elect("2");
  cluster.host("2").propose("newer");
  cluster.stabilize();
  old.raw.readIndex("stale");
  cluster.stabilize();
  cluster.heal();
  cluster.tick(2);
  assert.deepEqual([old.reads, old.raw.role], [[], "follower"]);
});

// §8: what a read returns is at least as new as everything committed when it was asked.
test("a leader serves reads at its commit index, not below", () => {
  const host = leader();
  host.propose("x");
  host.work();
  host.feed(accepted(host, "2", 2));
  host.raw.readIndex("r");
  const [round] = only(host.work().messages, "heartbeat");
  const context = round?.context ?? "";
  const { readStates } = host.feed({
    type: "heartbeatResponse",
    from: "3",
    to: "1",
    term: 1,
    context,
  });
  assert.deepEqual(readStates, [{ context: "r", index: 2 }]);
});
