/** When a member stands although its election timeout is not over; connectionLost() is in test/paper. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Cluster } from "../cluster.ts";
import { follower, heartbeat, only, THREE, voteRequest } from "../given.ts";
import { Host, type HostOptions } from "../host.ts";

type Options = Omit<HostOptions, "id">;

/** A member that has just started and knows no leader. */
function started(options: Options = {}): Host {
  return new Host({ conf: THREE, ...options, id: "1" });
}

describe("a member that reaches a majority and knows no leader", () => {
  it("asks for pre-votes within three ticks, not after an election timeout", () => {
    for (const [draw, ticks] of [
      [0, 1],
      [0.5, 2],
      [0.99, 3],
    ] as const) {
      const host = started({ draw });
      host.raw.campaignSoon();
      host.tick(ticks - 1);
      assert.equal(host.raw.role, "follower", `${draw}`);
      host.tick();
      assert.equal(host.raw.role, "preCandidate", `${draw}`);
    }
  });

  it("asks again when it is told again, and does not put off what it has planned", () => {
    const host = started({ draw: 0.99 });
    for (let tick = 0; tick < 3; tick += 1) {
      host.raw.campaignSoon();
      host.tick();
    }
    assert.equal(host.raw.role, "preCandidate");
    host.raw.campaignSoon();
    host.work();
    host.tick(3);
    const { messages } = host.work();
    assert.deepEqual(
      only(messages, "preVote").map(({ to }) => to),
      ["2", "3"],
    );
  });

  it("leaves it at that when it hears a leader", () => {
    const host = started({ draw: 0.99 });
    host.raw.campaignSoon();
    host.feed(heartbeat(host, 1));
    host.tick(5);
    assert.equal(host.raw.role, "follower");
    host.raw.campaignSoon();
    host.tick(5);
    assert.equal(host.raw.role, "follower", "told when it has a leader");
  });

  it("leaves the term to a candidate that it gave its vote to", () => {
    const host = started({ draw: 0.99 });
    host.raw.campaignSoon();
    const { messages } = host.feed(voteRequest(host, "3", [], 1));
    assert.deepEqual(
      only(messages, "voteResponse").map(({ reject }) => reject),
      [false],
    );
    host.tick(5);
    assert.equal(host.raw.role, "follower");
    assert.equal(host.raw.term, 1);
  });

  it("waits out its timeout where nothing would stop a needless election, or reads rely on leases", () => {
    const careless: Options[] = [{ preVote: false }, { checkQuorum: false }, { readOnly: "lease" }];
    for (const options of careless) {
      const host = started(options);
      host.raw.campaignSoon();
      host.tick(9);
      assert.equal(host.raw.role, "follower", JSON.stringify(options));
    }
  });

  it("unseats no leader that the others hear", () => {
    const cluster = Cluster.ledByFirst(3);
    const { term } = cluster.host("1").raw;
    cluster.isolate("3");
    cluster.host("3").tick(40);
    cluster.host("3").raw.campaignSoon();
    cluster.heal();
    cluster.host("3").tick(3);
    cluster.stabilize();
    assert.deepEqual(cluster.leaders(), ["1"]);
    assert.equal(cluster.host("1").raw.term, term);
  });
});

it("a follower whose leader died, and that gave its vote meanwhile, leaves the term to the candidate", () => {
  const host = follower({ draw: 0.99 });
  host.raw.connectionLost("2");
  const term = host.raw.term + 1;
  host.feed(voteRequest(host, "3", [], term));
  host.tick(5);
  assert.equal(host.raw.role, "follower");
  assert.equal(host.raw.term, term);
});
