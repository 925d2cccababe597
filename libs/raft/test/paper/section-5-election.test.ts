/**
 * "In Search of an Understandable Consensus Algorithm (Extended Version)", sections 5.1, 5.2,
 * 5.4.1 and 5.5: one test a rule about terms, elections and who may win them.
 */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import type { Message, Role } from "../../src/core/model/types.ts";
import { Cluster } from "../core/cluster.ts";
import {
  accepted,
  append,
  candidate,
  FIVE,
  follower,
  heartbeat,
  leader,
  only,
  THREE,
  typesOf,
  voteRequest,
  voteResponse,
} from "../core/given.ts";
import { confState, Host, logOf } from "../core/host.ts";
import { seeded } from "../core/seed.ts";

const BY_ROLE: readonly (readonly [Role, () => Host])[] = [
  ["follower", () => follower()],
  ["candidate", () => candidate()],
  ["leader", () => leader()],
];

for (const [role, make] of BY_ROLE) {
  // §5.1: "If a server's current term is smaller than the other's, then it updates its current
  // term to the larger value. If a candidate or leader discovers that its term is out of date, it
  // immediately reverts to follower state."
  test(`a ${role} that hears of a later term adopts it and follows`, () => {
    const host = make();
    host.feed(heartbeat(host, 9));
    const { raw, storage } = host;
    assert.deepEqual([raw.term, raw.role, raw.leader], [9, "follower", "2"]);
    assert.equal(storage.initialState().hardState.term, 9, "and remembers it");
  });

  // §5.1: "If a server receives a request with a stale term number, it rejects the request."
  test(`a ${role} takes nothing from a stale term`, () => {
    const host = make();
    host.feed({ ...heartbeat(host), type: "heartbeat", term: 5, from: "3" });
    const before = host.raw.status();
    const stale: Message[] = [
      { ...append(host, [1, 1, 1, 1], 0), term: 4 },
      { ...voteRequest(host, "2", [4, 4, 4, 4]), term: 4 },
      { ...heartbeat(host), commit: 4, term: 4 },
    ];
    const { messages } = host.feed(...stale);
    assert.deepEqual(host.raw.status(), before);
    assert.ok(
      messages.every(({ term, type }) => term === 5 && type === "appendResponse"),
      "at most the later term is made known",
    );
  });
}

// §5.2: "When servers start up, they begin as followers."
test("a member starts as a follower that knows no leader", () => {
  const { raw } = new Host({ id: "1", conf: THREE, entries: logOf([1, 2]) });
  assert.deepEqual([raw.role, raw.leader, raw.term], ["follower", "", 2]);
});

// §5.2: "Leaders send periodic heartbeats to all followers in order to maintain their authority."
test("a leader sends heartbeats to everyone at every heartbeat interval", () => {
  const host = leader({ heartbeatTicks: 2 });
  for (let round = 0; round < 3; round += 1) {
    host.tick();
    assert.deepEqual(host.work().messages, []);
    host.tick();
    assert.deepEqual(
      host.work().messages.map(({ type, to }) => [type, to]),
      [
        ["heartbeat", "2"],
        ["heartbeat", "3"],
      ],
    );
  }
});

// §5.2: "A server remains in follower state as long as it receives valid RPCs from a leader or
// candidate."
test("a follower that hears from its leader does not campaign", () => {
  const host = follower();
  for (let i = 0; i < 50; i += 1) {
    host.tick(9);
    host.feed(heartbeat(host));
  }
  assert.deepEqual([host.raw.role, host.raw.term], ["follower", 1]);
});

// §5.2: "To begin an election, a follower increments its current term and transitions to candidate
// state. It then votes for itself and issues RequestVote RPCs in parallel to each of the other
// servers."
test("a follower that hears nothing for an election timeout stands for the next term", () => {
  const host = follower({ preVote: false });
  host.tick(9);
  assert.equal(host.raw.role, "follower");
  host.tick();
  const { messages } = host.work();
  const { role, term, vote } = host.raw.status();
  assert.deepEqual([role, term, vote], ["candidate", 2, "1"]);
  assert.deepEqual(
    messages.map(({ type, to, term: asked }) => [type, to, asked]),
    [
      ["vote", "2", 2],
      ["vote", "3", 2],
    ],
  );
});

// §5.2: "A candidate wins an election if it receives votes from a majority of the servers in the
// full cluster for the same term."
test("a candidate wins with the votes of a majority, its own included", () => {
  const table: [number, readonly boolean[], Role][] = [
    [1, [], "leader"],
    [2, [], "candidate"],
    [2, [true], "leader"],
    [3, [true], "leader"],
    [3, [false], "candidate"],
    [3, [false, false], "follower"],
    [4, [true], "candidate"],
    [4, [true, true], "leader"],
    [5, [true], "candidate"],
    [5, [true, true], "leader"],
    [5, [false, false], "candidate"],
    [5, [true, false, false], "candidate"],
    [5, [false, false, false], "follower"],
    [5, [true, false, false, true], "leader"],
  ];
  for (const [size, votes, expected] of table) {
    const ids = Array.from({ length: size }, (_, i) => String(i + 1));
    const host = candidate({ conf: confState(ids) });
    votes.forEach((isGranted, i) => {
      host.step(voteResponse(host, String(i + 2), isGranted));
    });
    assert.equal(host.raw.role, expected, `${size} voters, ${votes.join(" ")}`);
  }
});

// §5.2: votes count "for the same term" only, and once a server.
test("repeated votes and votes of other terms do not count", () => {
  const host = candidate({ conf: FIVE });
  host.feed(voteResponse(host, "2", true), voteResponse(host, "2", true));
  host.feed({ ...voteResponse(host, "3", true), term: host.raw.term - 1 });
  assert.equal(host.raw.role, "candidate");
});

// §5.2: "Each server will vote for at most one candidate in a given term, on a first-come-first-
// served basis."
test("a member votes once a term, for whoever asks first, and says so again when asked again", () => {
  const host = new Host({ id: "1", conf: THREE });
  const answers = host.feed(
    voteRequest(host, "2", [], 1),
    voteRequest(host, "3", [], 1),
    voteRequest(host, "2", [], 1),
  );
  assert.deepEqual(
    only(answers.messages, "voteResponse").map(({ to, reject }) => [to, reject]),
    [
      ["2", false],
      ["3", true],
      ["2", false],
    ],
  );
  host.feed(voteRequest(host, "3", [], 2));
  assert.equal(host.raw.status().vote, "3", "a new term is a new vote");
});

// §5.2 with figure 2: votedFor is persistent state, "updated on stable storage before responding".
test("a vote survives a restart", () => {
  const host = new Host({ id: "1", conf: THREE });
  host.feed(voteRequest(host, "2", [], 1));
  host.restart();
  const { messages } = host.feed(voteRequest(host, "3", [], 1));
  assert.deepEqual(
    only(messages, "voteResponse").map(({ reject }) => reject),
    [true],
  );
});

// §5.2: "Once a candidate wins an election, it becomes leader. It then sends heartbeat messages to
// all of the other servers to establish its authority and prevent new elections."
test("a new leader makes itself known to everyone at once", () => {
  const host = candidate();
  const { messages } = host.feed(voteResponse(host, "2", true));
  assert.deepEqual(
    messages.map(({ type, to, term }) => [type, to, term]),
    [
      ["append", "2", 1],
      ["append", "3", 1],
    ],
  );
});

// §5.2: "If the leader's term (included in its RPC) is at least as large as the candidate's current
// term, then the candidate recognizes the leader as legitimate and returns to follower state."
test("a candidate follows a leader of its own term or a later one", () => {
  for (const later of [0, 1]) {
    for (const type of ["append", "heartbeat"] as const) {
      const host = candidate();
      const term = host.raw.term + later;
      const message = type === "append" ? append(host, [], 0) : heartbeat(host);
      host.feed({ ...message, term });
      assert.deepEqual([host.raw.role, host.raw.leader, host.raw.term], ["follower", "2", term]);
    }
  }
});

// §5.2: "If the term in the RPC is smaller than the candidate's current term, then the candidate
// rejects the RPC and continues in candidate state."
test("a candidate goes on against a leader of an earlier term", () => {
  const host = candidate();
  host.feed({ ...append(host, [], 0), term: host.raw.term - 1 });
  assert.equal(host.raw.role, "candidate");
});

// §5.2: "each candidate will time out and start a new election by incrementing its term and
// initiating another round of RequestVote RPCs."
test("a candidate without a result stands again for the term after", () => {
  const host = candidate();
  const term = host.raw.term;
  host.tick(10);
  const { messages } = host.work();
  assert.deepEqual([host.raw.role, host.raw.term], ["candidate", term + 1]);
  assert.deepEqual(typesOf(messages), ["vote", "vote"]);
});

// §5.2: "election timeouts are chosen randomly from a fixed interval", drawn anew "at the start of
// an election".
test("election timeouts are drawn from one to two times the setting, anew for each election", (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat(999), { minLength: 2, maxLength: 5 }), (draws) => {
      const host = new Host({ id: "1", conf: THREE, preVote: false });
      let term = host.raw.term;
      host.draw = 0;
      host.feed(heartbeat(host, ++term));
      for (const draw of draws) {
        // The draw for the next election is made when this one starts.
        const waited = ticksToCampaign(host);
        assert.ok(waited >= 10 && waited < 20, `${waited} ticks`);
        host.draw = draw / 1000;
        host.feed(heartbeat(host, (term = host.raw.term + 1)));
        assert.equal(ticksToCampaign(host), 10 + Math.floor((draw / 1000) ** 2 * 10));
        host.feed(heartbeat(host, (term = host.raw.term + 1)));
      }
    }),
    seeded(t, 50),
  );
});

function ticksToCampaign(host: Host): number {
  const { term } = host.raw;
  for (let ticks = 1; ticks <= 40; ticks += 1) {
    host.tick();
    host.work();
    if (host.raw.term > term) return ticks;
  }
  return Infinity;
}

// §5.2: randomization means that "in most cases only a single server will time out; it wins the
// election and sends heartbeats before any other servers time out."
test("different draws let one member win before the others time out", () => {
  const cluster = Cluster.of(5);
  let draw = 0.95;
  for (const host of cluster.hosts.values()) {
    host.draw = draw -= 0.15;
    host.restart();
  }
  cluster.tick(15);
  assert.deepEqual(cluster.leaders(), ["5"]);
  assert.equal(cluster.host("5").raw.term, 1, "at the first attempt");
});

// §5.2: "If many followers become candidates at the same time, votes could be split so that no
// candidate obtains a majority." Then the timeouts decide.
test("a split vote elects nobody, and the next draw decides", () => {
  const cluster = Cluster.of(4, { preVote: false, draw: 0.9 });
  cluster.host("1").draw = 0.1;
  for (const id of ["1", "2"]) cluster.host(id).raw.campaign();
  cluster.cutOneWay("1", "4");
  cluster.cutOneWay("2", "3");
  cluster.stabilize();
  assert.deepEqual(cluster.leaders(), []);
  cluster.heal();
  cluster.tick(11);
  assert.deepEqual(cluster.leaders(), ["1"]);
});

// §5.4.1: "the voter denies its vote if its own log is more up-to-date than that of the candidate."
test("a vote goes only to a candidate whose log is at least as up to date", () => {
  const table: [readonly number[], readonly number[], boolean][] = [
    [[1], [1], true],
    [[1], [1, 1], true],
    [[1, 1], [1], false],
    [[1], [2], true],
    [[1, 1], [2], true],
    [[2], [1, 1, 1], false],
    [[], [], true],
    [[1], [], false],
  ];
  for (const [own, theirs, expected] of table) {
    const host = new Host({ id: "1", conf: THREE, entries: logOf(own) });
    const { messages } = host.feed(voteRequest(host, "2", theirs, 5));
    const [answer] = only(messages, "voteResponse");
    assert.equal(answer?.reject, !expected, `own ${own.join()}, candidate's ${theirs.join()}`);
  }
});

// §5.4.1: "the RPC includes information about the candidate's log".
test("a candidate tells where its log ends", () => {
  const host = new Host({ id: "1", conf: THREE, entries: logOf([1, 1, 3]), preVote: false });
  host.raw.campaign();
  const requests = only(host.work().messages, "vote");
  assert.deepEqual(
    requests.map(({ lastIndex, lastTerm }) => [lastIndex, lastTerm]),
    [
      [3, 3],
      [3, 3],
    ],
  );
});

// §5.4.1: "Raft uses the voting process to prevent a candidate from winning an election unless its
// log contains all committed entries."
test("a member that lacks a committed entry does not win, whoever it asks", () => {
  const cluster = Cluster.ledByFirst(3, { preVote: false, checkQuorum: false });
  cluster.isolate("3");
  cluster.host("1").propose("committed");
  cluster.stabilize();
  cluster.heal();
  for (let attempt = 0; attempt < 5; attempt += 1) {
    cluster.host("3").raw.campaign();
    cluster.stabilize();
    assert.notEqual(cluster.host("3").raw.role, "leader");
  }
  cluster.elect("2");
  assert.deepEqual(cluster.host("3").appliedTexts(), ["committed"]);
});

// §5.5: "If a follower or candidate crashes, then future RequestVote and AppendEntries RPCs sent to
// it will fail. Raft handles these failures by retrying indefinitely."
test("a leader repeats to a silent follower what it has not acknowledged", () => {
  const cluster = Cluster.ledByFirst(3);
  cluster.isolate("3");
  cluster.host("1").propose("x");
  cluster.tick(30);
  cluster.heal();
  cluster.tick(2);
  assert.deepEqual(cluster.host("3").appliedTexts(), ["x"]);
});

// §5.5: "Raft RPCs are idempotent, so this causes no harm."
test("a repeated append or vote request gets the same answer and changes nothing", () => {
  const host = follower();
  const message = append(host, [1, 1], 0, 1);
  const answers = only(host.feed(message).messages, "appendResponse");
  const log = host.log();
  answers.push(...only(host.feed(message).messages, "appendResponse"));
  assert.deepEqual(
    answers.map(({ reject, index }) => [reject, index]),
    [
      [false, 2],
      [false, 2],
    ],
  );
  assert.deepEqual(host.log(), log);
});

// §5.6: "Raft will be able to elect and maintain a steady leader as long as the system satisfies"
// the timing requirement: broadcastTime << electionTimeout.
test("with messages faster than timeouts a leader is elected and stays", () => {
  const cluster = Cluster.of(5);
  let draw = 0;
  for (const host of cluster.hosts.values()) {
    host.draw = draw += 0.17;
    host.restart();
  }
  cluster.tick(20);
  const [elected] = cluster.leaders();
  assert.ok(elected !== undefined);
  const { term } = cluster.host(elected).raw;
  cluster.tick(200);
  assert.deepEqual(cluster.leaders(), [elected]);
  assert.equal(cluster.host(elected).raw.term, term);
});

// §5.2, election safety: "at most one leader can be elected in a given term."
test("whatever is lost between five candidates, no term has two leaders", (t) => {
  const chance = fc.array(fc.boolean(), { minLength: 40, maxLength: 200 });
  fc.assert(
    fc.property(chance, fc.array(fc.nat(4), { maxLength: 12 }), (luck, campaigns) => {
      const cluster = Cluster.of(5, { preVote: false, checkQuorum: false });
      const leaderOf = new Map<number, string>();
      let at = 0;
      for (const who of campaigns) {
        cluster.host(String(who + 1)).raw.campaign();
        for (let round = 0; round < 3; round += 1) {
          for (const host of cluster.hosts.values()) cluster.post(host.work().messages);
          for (const message of cluster.take(() => true)) {
            if (luck[at++ % luck.length] === true) cluster.host(message.to).step(message);
          }
          for (const { id, raw } of cluster.hosts.values()) {
            if (raw.role !== "leader") continue;
            assert.equal(leaderOf.get(raw.term) ?? id, id, `term ${raw.term}`);
            leaderOf.set(raw.term, id);
          }
        }
      }
    }),
    seeded(t, 200),
  );
});

// §5.2: a leader stays leader for votes and answers of its own term that come late.
test("a leader ignores late votes of its own election", () => {
  const host = leader();
  host.feed(voteResponse(host, "3", false), voteResponse(host, "3", true));
  host.feed(accepted(host, "3", host.raw.lastIndex));
  assert.equal(host.raw.role, "leader");
});
