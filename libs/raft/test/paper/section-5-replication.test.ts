/**
 * "In Search of an Understandable Consensus Algorithm (Extended Version)", sections 5.3 and 5.4.2:
 * one test a rule about replicating the log and committing it.
 */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import type { Term } from "../../src/core/model/types.ts";
import { Cluster } from "../core/cluster.ts";
import {
  accepted,
  append,
  FIVE,
  follower,
  leader,
  newLeader,
  only,
  typesOf,
  voteResponse,
} from "../core/given.ts";
import { confState, entry, Host, logOf, text } from "../core/host.ts";
import { seeded } from "../core/seed.ts";

function termsOf(host: Host): readonly Term[] {
  return host.log().map(({ term }) => term);
}

// §5.3: "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs
// in parallel to each of the other servers to replicate the entry."
test("a leader appends a proposal and sends it to everyone with what comes before", () => {
  const host = leader();
  const last = host.raw.lastIndex;
  host.propose("x");
  const { messages, readies } = host.work();
  assert.deepEqual(
    readies[0]?.entries.map(({ term, index, data }) => [term, index, text(data)]),
    [[1, last + 1, "x"]],
  );
  const expected = { prevIndex: last, prevTerm: 1, commit: last, term: 1 };
  for (const [i, to] of ["2", "3"].entries()) {
    const sent = only(messages, "append")[i];
    assert.deepEqual(
      { ...expected, to, entries: readies[0].entries },
      {
        prevIndex: sent?.prevIndex,
        prevTerm: sent?.prevTerm,
        commit: sent?.commit,
        term: sent?.term,
        to: sent?.to,
        entries: sent?.entries,
      },
    );
  }
});

// §5.3: "A log entry is committed once the leader that created the entry has replicated it on a
// majority of the servers."
test("an entry is committed when a majority has it", () => {
  const table: [number, readonly string[], boolean][] = [
    [1, [], true],
    [2, [], false],
    [3, [], false],
    [3, ["2"], true],
    [4, ["2"], false],
    [4, ["2", "3"], true],
    [5, ["2"], false],
    [5, ["2", "5"], true],
  ];
  for (const [size, ackers, expected] of table) {
    const ids = Array.from({ length: size }, (_, i) => String(i + 1));
    const host = leader({ conf: confState(ids) });
    host.propose("x");
    host.work();
    for (const from of ackers) host.step(accepted(host, from, host.raw.lastIndex));
    assert.equal(host.raw.committed === host.raw.lastIndex, expected, `${size}: ${ackers.join()}`);
  }
});

// §5.3: "This also commits all preceding entries in the leader's log, including entries created by
// previous leaders."
test("committing an entry commits everything before it, of earlier leaders too", () => {
  for (const terms of [[], [1], [1, 1, 2], [2, 3, 3, 3]]) {
    const host = newLeader({ entries: logOf(terms) });
    host.propose("x");
    host.work();
    host.feed(accepted(host, "2", host.raw.lastIndex));
    assert.equal(host.raw.committed, terms.length + 2, "those, the leader's first, and x");
    assert.deepEqual(
      host.applied.map(({ index }) => index),
      Array.from({ length: terms.length + 2 }, (_, i) => i + 1),
    );
  }
});

// §5.3: "The leader keeps track of the highest index it knows to be committed, and it includes that
// index in future AppendEntries RPCs (including heartbeats) so that the other servers eventually
// find out."
test("followers learn what is committed from the next message, never beyond what they hold", () => {
  const host = leader();
  host.propose("x");
  host.work();
  const { messages } = host.feed(accepted(host, "2", host.raw.lastIndex));
  const commits = only(messages, "append").map(({ commit }) => commit);
  assert.ok(commits.length > 0 && commits.every((commit) => commit === host.raw.committed));
  host.tick();
  assert.deepEqual(
    only(host.work().messages, "heartbeat").map(({ to, commit }) => [to, commit]),
    [
      ["2", host.raw.committed],
      ["3", host.raw.committed - 1],
    ],
    "member 3 has not acknowledged x",
  );
});

// §5.3: "Once a follower learns that a log entry is committed, it applies the entry to its local
// state machine (in log order)."
test("a follower applies what is committed, in order, once", () => {
  const host = follower();
  host.feed(append(host, [1, 1, 1], 0, 1));
  assert.deepEqual(
    host.applied.map(({ index }) => index),
    [1],
  );
  host.feed(append(host, [1, 1, 1], 3, 3));
  host.feed(append(host, [1, 1, 1], 3, 3));
  assert.deepEqual(
    host.applied.map(({ index }) => index),
    [1, 2, 3],
  );
});

// Figure 2, AppendEntries 5: "set commitIndex = min(leaderCommit, index of last new entry)".
test("a follower commits no further than the entries it was sent", () => {
  const host = follower({ entries: logOf([1, 1, 1]) });
  host.feed({ ...append(host, [1], 0, 9), term: host.raw.term });
  assert.equal(host.raw.committed, 1, "entries 2 and 3 may not be the leader's");
});

// §5.3: "If the follower does not find an entry in its log with the same index and term, then it
// refuses the new entries."
test("a follower takes entries only behind one it has", () => {
  const table: [number, Term, boolean][] = [
    [0, 0, true],
    [1, 1, true],
    [2, 2, true],
    [1, 2, false],
    [2, 1, false],
    [3, 3, false],
  ];
  for (const [prevIndex, prevTerm, expected] of table) {
    const host = follower({ entries: logOf([1, 2]) });
    const message = { ...append(host, [], 0), term: 3, prevIndex, prevTerm };
    const [answer] = only(host.feed(message).messages, "appendResponse");
    assert.deepEqual(
      [answer?.reject, answer?.index],
      [!expected, prevIndex],
      `after ${prevTerm}/${prevIndex}`,
    );
  }
});

// §5.3: "if an existing entry conflicts with a new one (same index but different terms), delete the
// existing entry and all that follow it", and "append any new entries not already in the log".
test("a follower replaces what conflicts and keeps what agrees", () => {
  const table: [readonly Term[], number, readonly Term[], readonly Term[]][] = [
    [[1, 2], 0, [3], [3]],
    [[1, 2], 1, [1, 3], [1, 3]],
    [[1, 2], 2, [1, 2, 3], [1, 2, 3]],
    [[1, 2], 0, [1], [1, 2]],
    [[1, 2, 2], 1, [1, 2], [1, 2, 2]],
    [[1, 2, 2], 1, [1, 3, 3, 3], [1, 3, 3, 3]],
  ];
  for (const [own, prev, leaders, expected] of table) {
    const host = follower({ entries: logOf(own) });
    host.feed({ ...append(host, leaders, prev), term: 5 });
    assert.deepEqual(termsOf(host), expected, `own ${own.join()}, leader's ${leaders.join()}`);
  }
});

const FIGURE_7: readonly (readonly [string, readonly Term[]])[] = [
  ["a", [1, 1, 1, 4, 4, 5, 5, 6, 6]],
  ["b", [1, 1, 1, 4]],
  ["c", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
  ["d", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
  ["e", [1, 1, 1, 4, 4, 4, 4]],
  ["f", [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
];

for (const [name, terms] of FIGURE_7) {
  // §5.3: "the leader handles inconsistencies by forcing the followers' logs to duplicate its own."
  test(`the log of figure 7 (${name}) becomes the leader's`, () => {
    const leaders = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    const conf = confState(["1", "2", "3"]);
    const hardState = { term: 7 };
    const cluster = new Cluster([
      new Host({ id: "1", conf, entries: logOf(leaders), hardState }),
      new Host({ id: "2", conf, entries: logOf(terms), hardState }),
      // One more voter, so that the leader wins even against a longer log.
      new Host({ id: "3", conf, hardState }),
    ]);
    cluster.elect("1");
    const expected = [...leaders, 8];
    assert.deepEqual(termsOf(cluster.host("2")), expected);
    assert.deepEqual(cluster.host("2").log(), cluster.host("1").log());
    assert.deepEqual(cluster.host("2").applied, cluster.host("1").applied);
  });
}

// §5.3: "the leader can decrement nextIndex to bypass all of the conflicting entries in that term;
// one AppendEntries RPC will be required for each term with conflicting entries."
test("finding where logs agree takes at most one round for each term that differs", (t) => {
  // Even terms were the leader's, odd ones the follower's: an entry is in both or in neither.
  const runs = fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 30 })), {
    maxLength: 6,
  });
  const logFrom = (start: number): fc.Arbitrary<number[]> =>
    runs.map((all) => {
      let term = start;
      return all.flatMap(([step, length]) => {
        term += 2 * step;
        return Array.from({ length }, () => term);
      });
    });
  fc.assert(
    fc.property(fc.nat(40), logFrom(0), logFrom(1), (common, leaderTail, followerTail) => {
      const shared = Array.from({ length: common }, () => 1);
      const ours = [...shared, ...leaderTail];
      const theirs = [...shared, ...followerTail];
      const host = newLeader({ entries: logOf(ours), hardState: { term: 50 } });
      const other = new Host({ id: "2", conf: host.conf, entries: logOf(theirs) });
      let toOther = only(host.work().messages, "append").filter(({ to }) => to === "2");
      let rounds = 0;
      while (toOther.length > 0) {
        const back = only(other.feed(...toOther).messages, "appendResponse");
        rounds += back.filter(({ reject }) => reject).length;
        const sent = host.feed(...back).messages;
        toOther = only(sent, "append").filter(({ to }) => to === "2");
      }
      const differing = new Set(followerTail).size;
      assert.ok(rounds <= differing + 1, `${rounds} rounds, ${differing} terms`);
      assert.deepEqual(termsOf(other), termsOf(host));
    }),
    seeded(t, 200),
  );
});

// §5.3, leader append-only: "A leader never overwrites or deletes entries in its own log."
test("a leader keeps its log whatever followers answer", () => {
  const host = newLeader({ entries: logOf([1, 1, 2]) });
  host.work();
  const before = host.log();
  host.feed({ ...accepted(host, "2", 3), reject: true, rejectHint: 0, rejectTerm: 0 });
  host.propose("x");
  host.work();
  assert.deepEqual(host.log().slice(0, before.length), before);
});

// §5.3: "the leader retries AppendEntries RPCs indefinitely (even after it has responded to the
// client) until all followers eventually store all log entries."
test("a follower that lost messages gets them again, long after they were committed", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.cutOneWay("1", "3");
  for (const data of ["a", "b", "c"]) {
    cluster.host("1").propose(data);
    cluster.stabilize();
  }
  assert.deepEqual(cluster.host("2").appliedTexts(), ["a", "b", "c"]);
  cluster.heal();
  cluster.tick(2);
  assert.deepEqual(cluster.host("3").appliedTexts(), ["a", "b", "c"]);
});

// §5.3, log matching: "If two entries in different logs have the same index and term, then the logs
// are identical in all preceding entries."
test("logs that share an entry share everything before it, whatever was lost on the way", (t) => {
  const action = fc.record({ who: fc.nat(2), kind: fc.nat(3), luck: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const cluster = Cluster.of(3, { preVote: false, checkQuorum: false });
      for (const { who, kind, luck } of actions) {
        const host = cluster.host(String(who + 1));
        if (kind === 0) host.raw.campaign();
        else if (kind === 1 && host.raw.role === "leader") host.propose(`p${luck}`);
        for (const one of cluster.hosts.values()) cluster.post(one.work().messages);
        cluster
          .take(() => true)
          .forEach((message, i) => {
            if (((luck >> (i % 8)) & 1) === 1) cluster.host(message.to).step(message);
          });
      }
      for (const one of cluster.hosts.values()) one.work();
      const logs = [...cluster.hosts.values()].map((host) => host.log());
      for (const a of logs) for (const b of logs) assertMatching(a, b);
    }),
    seeded(t, 200),
  );
});

function assertMatching(a: ReturnType<Host["log"]>, b: ReturnType<Host["log"]>): void {
  for (let i = Math.min(a.length, b.length) - 1; i >= 0; i -= 1) {
    if (a[i]?.term !== b[i]?.term) continue;
    assert.deepEqual(a.slice(0, i + 1), b.slice(0, i + 1));
    return;
  }
}

// §5.4.2: "Raft never commits log entries from previous terms by counting replicas. Only log
// entries from the leader's current term are committed by counting replicas."
test("an entry of an earlier term is not committed by being on a majority", () => {
  const host = newLeader({ conf: FIVE, entries: logOf([1, 2, 2]), hardState: { commit: 1 } });
  host.work();
  for (const from of ["2", "3", "4", "5"]) host.feed(accepted(host, from, 3));
  assert.equal(host.raw.committed, 1, "entry 3 is everywhere, but of term 2");
  for (const from of ["2", "3"]) host.feed(accepted(host, from, 4));
  assert.equal(host.raw.committed, 4, "with the leader's own entry all before it");
});

// Figure 8: an entry of an old term on a majority can still be overwritten, so it must not be
// committed by count; with an entry of the current term on top it cannot.
test("the scenario of figure 8 overwrites no committed entry", () => {
  function played(isOwnEntryReplicated: boolean): Cluster {
    // (a) and (b): member 1 led term 2 and member 5 term 3; both crashed early.
    const logs = [[1, 2], [1, 2], [1], [1], [1, 3]];
    const cluster = new Cluster(
      logs.map((terms, i) => {
        const options = { preVote: false, checkQuorum: false, conf: FIVE };
        const hardState = { term: 3, commit: 1 };
        return new Host({ ...options, hardState, id: String(i + 1), entries: logOf(terms) });
      }),
    );
    // (c): member 1 leads term 4 with the votes of 2 and 3, and brings entry 2/2 to member 3.
    const one = cluster.host("1");
    cluster.isolate("4");
    cluster.isolate("5");
    one.raw.campaign();
    one.work();
    one.feed(voteResponse(one, "2", true), voteResponse(one, "3", true));
    assert.equal(one.raw.role, "leader");
    const old = { ...append(one, [1, 2], 1), from: "1", term: one.raw.term };
    const own = { ...append(one, [1, 2, 4], 2), from: "1", term: one.raw.term };
    const entries = one.log().slice(2);
    for (const to of ["2", "3"]) {
      const host = cluster.host(to);
      one.feed(...only(host.feed({ ...old, to }).messages, "appendResponse"));
      if (!isOwnEntryReplicated) continue;
      one.feed(...only(host.feed({ ...own, to, entries }).messages, "appendResponse"));
    }
    cluster.heal();
    return cluster;
  }

  // (d): member 1 crashes; 5 wins with the votes of 3 and 4, and overwrites entry 2 everywhere.
  const overwritten = played(false);
  assert.equal(overwritten.host("1").raw.committed, 1, "2/2 is on a majority and not committed");
  overwritten.isolate("1");
  overwritten.isolate("2");
  overwritten.host("5").raw.campaign();
  overwritten.stabilize();
  overwritten.host("5").raw.campaign();
  overwritten.stabilize();
  assert.equal(overwritten.host("5").raw.role, "leader");
  assert.equal(overwritten.host("3").log()[1]?.term, 3);

  // (e): with its own entry on a majority too, entry 2 is committed, and 5 cannot win.
  const safe = played(true);
  assert.equal(safe.host("1").raw.committed, 3);
  safe.isolate("1");
  for (let attempt = 0; attempt < 4; attempt += 1) {
    safe.host("5").raw.campaign();
    safe.stabilize();
    assert.notEqual(safe.host("5").raw.role, "leader");
  }
});

// §5.4.3, leader completeness: what was committed is in the log of every later leader.
test("a later leader has everything that was committed, after any loss of a minority", (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(4), fc.nat(4)), { maxLength: 12 }), (rounds) => {
      const cluster = Cluster.of(5, { preVote: false, checkQuorum: false });
      const committed: string[] = [];
      rounds.forEach(([who, lost], i) => {
        cluster.heal();
        cluster.isolate(String(lost + 1));
        const host = cluster.host(String(who + 1));
        host.raw.campaign();
        cluster.stabilize();
        if (host.raw.role !== "leader" || who === lost) return;
        host.propose(`p${i}`);
        cluster.stabilize();
        if (host.raw.committed < host.raw.lastIndex) return;
        committed.push(`p${i}`);
        const texts = host.log().map(({ data }) => text(data));
        assert.deepEqual(
          texts.filter((one) => committed.includes(one)),
          committed,
        );
      });
    }),
    seeded(t, 100),
  );
});

// §5.3: a refusal that comes late, or twice, does not send a leader back over known ground.
test("a stale refusal does not undo what a follower has acknowledged", () => {
  const host = leader();
  const refused = { ...accepted(host, "2", 0), reject: true, rejectHint: 0, rejectTerm: 0 };
  const { match, next } = host.raw.status().progress.get("2") ?? { match: 0, next: 0 };
  host.feed(refused, refused);
  const after = host.raw.status().progress.get("2");
  assert.deepEqual([after?.match, after?.next, after?.state], [match, next, "replicate"]);
});

// §5.3 with §10.2 of the thesis (pipelining): a leader does not wait for an answer before sending
// more, up to its window.
test("appends are pipelined up to the window, and go on as answers come", () => {
  const host = leader({ inflightMessagesMax: 3 });
  const sent: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    host.propose(`p${i}`);
    sent.push(only(host.work().messages, "append").filter(({ to }) => to === "2").length);
  }
  assert.deepEqual(sent, [1, 1, 1, 0, 0]);
  const { messages } = host.feed(accepted(host, "2", 2));
  const [more] = only(messages, "append").filter(({ to }) => to === "2");
  assert.deepEqual(
    more?.entries.map(({ index }) => index),
    [5, 6],
    "what waited goes in one message",
  );
});

// §5.3: entries travel in messages of bounded size, whole and in order.
test("a long log is sent in messages of bounded size", () => {
  const host = leader({ messageBytesMax: 10 });
  const first = host.raw.lastIndex + 1;
  host.propose("aaaa", "bbbb", "cccc", "a single one that is longer", "d");
  const appends = only(host.work().messages, "append").filter(({ to }) => to === "2");
  assert.deepEqual(
    appends.map(({ entries }) => entries.map(({ index }) => index - first)),
    [[0, 1], [2], [3], [4]],
  );
});

// Figure 2, rules for followers: a follower answers, it does not start anything.
test("a follower sends nothing on its own accord before its timeout", () => {
  const host = follower({ entries: [entry(1, 1)] });
  host.tick(9);
  assert.deepEqual(typesOf(host.work().messages), []);
});
