/** What a member says that waits for others to elect a leader with it. */
import { createLogger } from "@etcd2/observability";
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Leaderless, type LeaderlessView } from "../../src/member/leaderless.ts";

/** A member of three at second 0, and what it has said. */
function member(): { said: string[]; look: (second: number, view?: LeaderlessView) => void } {
  let now = 0;
  const said: string[] = [];
  const leaderless = new Leaderless({
    now: () => now,
    log: createLogger((_level, message) => said.push(message)),
  });
  return {
    said,
    look: (second, view) => {
      now = second * 1000;
      leaderless.look(view === undefined, () => view ?? assert.fail("not asked for"));
    },
  };
}

const alone: LeaderlessView = {
  voters: 3,
  unreachable: ["infra2 (http://b:2380)", "http://c:2380"],
};

describe("a member without a leader", () => {
  test("names whom it does not reach, the majority and the way out, after ten seconds", () => {
    const { said, look } = member();
    look(9, alone);
    assert.deepEqual(said, []);
    look(10, alone);
    assert.deepEqual(said, [
      "no leader for 10 s: 2 of the 3 members must run to elect one, and this one does not reach " +
        "infra2 (http://b:2380), http://c:2380. Start them or mend the network to them; only if " +
        "they are gone for good, start this one once with --force-new-cluster",
    ]);
  });

  test("repeats itself once a minute, and begins anew after a leader", () => {
    const { said, look } = member();
    for (const second of [10, 20, 69, 70]) look(second, alone);
    assert.equal(said.length, 2);
    look(71);
    look(80, alone);
    assert.equal(said.length, 2);
    look(81, alone);
    assert.match(said[2] ?? "", /^no leader for 10 s: /);
  });

  test("says so when a majority is connected and yet elects nobody", () => {
    const { said, look } = member();
    look(10, { voters: 3, unreachable: ["http://c:2380"] });
    assert.match(said[0] ?? "", /: 2 of 3 members are connected, which is a majority, but no elec/);
  });
});
