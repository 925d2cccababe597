/**
 * "Consensus: Bridging Theory and Practice", section 6.4: linearizable reads without a log entry,
 * by a round of heartbeats or by a lease. One test a rule.
 */
import assert from "node:assert/strict";
import test from "node:test";
import type { Message } from "../../src/core/model/types.ts";
import { Cluster } from "../core/cluster.ts";
import { accepted, heartbeat, leader, only, THREE, voteRequest } from "../core/given.ts";
import { confState, Host, type HostOptions } from "../core/host.ts";

type Options = Omit<HostOptions, "id">;

function beatAnswer(host: Host, from: string, context: string): Message {
  return { type: "heartbeatResponse", from, to: host.id, term: host.raw.term, context };
}

/** What a Ready's heartbeats carry as their round. */
function roundOf(messages: readonly Message[]): string {
  return only(messages, "heartbeat")[0]?.context ?? "none";
}

// §6.4, steps 2 to 4: the leader saves its commit index, "issues a new round of heartbeats and waits
// for their acknowledgments from a majority", then waits for its state machine.
test("a read is confirmed by a round of heartbeats that began after it", () => {
  const host = leader();
  host.tick();
  const before = roundOf(host.work().messages);
  assert.equal(before, "", "a heartbeat without reads confirms none");
  host.raw.readIndex("r");
  const round = roundOf(host.work().messages);
  assert.deepEqual(host.feed(beatAnswer(host, "2", before)).readStates, []);
  const { readStates } = host.feed(beatAnswer(host, "2", round));
  assert.deepEqual(readStates, [{ context: "r", index: 1 }]);
});

// §6.4: "the leader can ... amortize this cost: one round for any number of read-only requests".
test("reads that arrive together share one round", () => {
  const host = leader();
  for (const context of ["a", "b", "c"]) host.raw.readIndex(context);
  host.feed({ type: "readIndex", from: "3", to: "1", term: 0, context: "d" });
  host.tick();
  const messages = host.work().messages;
  assert.equal(only(messages, "heartbeat").length, 2, "one to each of the others");
  const { readStates, messages: answers } = host.feed(beatAnswer(host, "2", "1"));
  assert.deepEqual(
    readStates.map(({ context }) => context),
    ["a", "b", "c"],
  );
  assert.deepEqual(
    only(answers, "readIndexResponse").map(({ to, context, index }) => [to, context, index]),
    [["3", "d", 1]],
  );
});

test("a read that arrives when a round has left needs the next one", () => {
  const host = leader();
  host.raw.readIndex("first");
  const first = roundOf(host.work().messages);
  host.raw.readIndex("second");
  const second = roundOf(host.work().messages);
  assert.notEqual(first, second);
  assert.deepEqual(
    host.feed(beatAnswer(host, "2", first)).readStates.map(({ context }) => context),
    ["first"],
  );
  assert.deepEqual(
    host.feed(beatAnswer(host, "3", second)).readStates.map(({ context }) => context),
    ["second"],
  );
});

test("a read that arrives between a tick's heartbeats and their sending needs the next round", () => {
  const host = leader();
  host.raw.readIndex("first");
  host.tick();
  host.raw.readIndex("second");
  const rounds = only(host.work().messages, "heartbeat").map(({ context }) => context);
  assert.deepEqual(rounds, ["1", "1", "2", "2"]);
  assert.deepEqual(
    host.feed(beatAnswer(host, "2", "1")).readStates.map(({ context }) => context),
    ["first"],
  );
});

test("a lost round is repeated by the next heartbeat", () => {
  const host = leader();
  host.raw.readIndex("r");
  host.work();
  host.tick();
  const round = roundOf(host.work().messages);
  assert.equal(host.feed(beatAnswer(host, "3", round)).readStates.length, 1);
});

test("a learner's answer confirms no read", () => {
  const host = leader({ conf: confState(["1", "2", "3"], { learners: ["4"] }) });
  host.raw.readIndex("r");
  const round = roundOf(host.work().messages);
  assert.deepEqual(host.feed(beatAnswer(host, "4", round)).readStates, []);
});

test("in a joint configuration both halves confirm a read", () => {
  const host = leader({ conf: confState(["1", "4", "5"], { votersOutgoing: ["1", "2", "3"] }) });
  for (const from of ["2", "3"]) host.feed(accepted(host, from, 1));
  host.raw.readIndex("r");
  const round = roundOf(host.work().messages);
  assert.deepEqual(host.feed(beatAnswer(host, "2", round)).readStates, []);
  assert.equal(host.feed(beatAnswer(host, "4", round)).readStates.length, 1);
});

test("a lone voter answers reads without asking anybody", () => {
  const cluster = Cluster.ledByFirst(1);
  cluster.host("1").raw.readIndex("r");
  assert.deepEqual(cluster.host("1").work().readStates, [{ context: "r", index: 1 }]);
});

// §6.4: "followers can ... issue a request to the leader asking for a current readIndex".
test("a follower's read goes through the leader and is served by the follower", () => {
  const cluster = Cluster.ledByFirst(3);
  const two = cluster.host("2");
  two.raw.readIndex("r");
  const seen: unknown[] = [];
  for (let i = 0; i < 6; i += 1) {
    for (const host of cluster.hosts.values()) {
      const { messages, readStates } = host.work();
      if (host === two) seen.push(...readStates);
      else assert.deepEqual(readStates, []);
      cluster.post(messages);
    }
    for (const message of cluster.take(() => true)) cluster.host(message.to).step(message);
  }
  assert.deepEqual(seen, [{ context: "r", index: 1 }]);
});

test("a read without a leader, or whose leader was deposed, is never answered", () => {
  const lost = new Host({ id: "1", conf: THREE });
  lost.raw.readIndex("r");
  assert.equal(lost.raw.hasReady(), false);
  const host = leader();
  host.raw.readIndex("r");
  const round = roundOf(host.work().messages);
  host.feed(heartbeat(host, 2));
  assert.deepEqual(host.feed(beatAnswer(host, "3", round)).readStates, []);
});

// §6.4.1: "the leader ... could instead rely on ... the election timeout: once the leader's heartbeats
// were acknowledged by a majority, it would assume that no other server will become leader for about
// an election timeout."
const LEASE: Options = { readOnly: "lease", preVote: false };

function leasedLeader(): Host {
  const host = leader(LEASE);
  host.tick();
  host.feed(beatAnswer(host, "2", roundOf(host.work().messages)));
  return host;
}

test("within its lease a leader answers reads alone", () => {
  const host = leasedLeader();
  host.raw.readIndex("r");
  const { readStates, messages } = host.work();
  assert.deepEqual([readStates, messages], [[{ context: "r", index: 1 }], []]);
});

test("without a lease a lease reader falls back to a round", () => {
  const fresh = leader(LEASE);
  fresh.raw.readIndex("r");
  assert.deepEqual(fresh.work().readStates, [], "no quorum has confirmed it yet");
  const host = leasedLeader();
  host.tick(8);
  host.raw.readIndex("still");
  assert.equal(host.work().readStates.length, 1);
  host.tick();
  host.raw.readIndex("over");
  assert.deepEqual(host.work().readStates, []);
});

test("a leader that has offered its leadership relies on no lease any more", () => {
  for (const isOffered of [false, true]) {
    const host = leasedLeader();
    if (isOffered) host.raw.transferLeader("2");
    host.tick(9);
    host.work();
    host.tick();
    host.feed(beatAnswer(host, "2", roundOf(host.work().messages)));
    assert.equal(host.raw.status().transferee, "", "given up, but the offer may still arrive");
    host.raw.readIndex("r");
    assert.equal(host.work().readStates.length, isOffered ? 0 : 1);
  }
});

test("where reads rely on leases, a member that has just started honours an unknown one", () => {
  const host = new Host({ id: "1", conf: THREE, readOnly: "lease", draw: 0.9 });
  assert.deepEqual(host.feed(voteRequest(host, "3", [], 1)).messages, []);
  host.tick(10);
  assert.equal(host.feed(voteRequest(host, "3", [], 1)).messages.length, 1);
});
