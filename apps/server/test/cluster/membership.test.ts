/** Handing the leadership over, as the leader itself decides about it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RaftNode } from "@etcd2/raft";
import type { Cluster } from "../../src/cluster/cluster.ts";
import { Membership } from "../../src/cluster/membership.ts";

const SELF = "00000000000000aa";
const OTHER = "00000000000000bb";

interface Peer {
  readonly isLearner: boolean;
  /** Looks at the leader's progress after which the peer counts as active. */
  readonly silentLooks: number;
}

/** A leader with one peer that takes over as soon as it is asked to. */
function leaderWith(peer: Peer): { membership: Membership; asked: () => readonly string[] } {
  const asked: string[] = [];
  let leader = SELF;
  let looks = 0;
  const node = {
    get leader() {
      return leader;
    },
    status: () => ({
      role: "leader",
      leader,
      commit: 5,
      progress: new Map([[OTHER, { match: 0, recentActive: (looks += 1) > peer.silentLooks }]]),
    }),
    transferLeader: (to: string) => {
      asked.push(to);
      leader = to;
    },
  };
  const record = { peerURLs: [], name: "", clientURLs: [], started: true };
  const members = new Map([
    [SELF, { ...record, id: SELF, isLearner: false }],
    [OTHER, { ...record, id: OTHER, isLearner: peer.isLearner }],
  ]);
  const cluster = { get: (id: string) => members.get(id), isRemoved: () => false };
  const membership = new Membership({
    memberId: SELF,
    cluster: cluster as unknown as Cluster,
    node: () => node as unknown as RaftNode,
    nextRequestId: () => ({ session: 1, sequence: 1 }),
    strictReconfigCheck: false,
    requestTimeoutMs: 1000,
    wallMs: Date.now,
    onPromoted: () => undefined,
    log: () => undefined,
  });
  return { membership, asked: () => asked };
}

test("leadership moves to a voter that answers, be it after a moment", async () => {
  const { membership, asked } = leaderWith({ isLearner: false, silentLooks: 3 });
  await membership.moveLeader("bb");
  assert.deepEqual(asked(), [OTHER]);
});

test("no transfer is begun to a member that is silent, a learner or unknown", async () => {
  const silent = leaderWith({ isLearner: false, silentLooks: Number.POSITIVE_INFINITY });
  await assert.rejects(silent.membership.moveLeader("bb"), {
    code: "unsafe",
    message: "etcdserver: member bb does not answer: it cannot take over",
  });
  const learner = leaderWith({ isLearner: true, silentLooks: 0 });
  await assert.rejects(learner.membership.moveLeader("bb"), { code: "unsafe" });
  await assert.rejects(learner.membership.moveLeader("cc"), { code: "notFound" });
  assert.deepEqual([...silent.asked(), ...learner.asked()], []);
});

test("moving the leadership to where it is changes nothing", async () => {
  const { membership, asked } = leaderWith({ isLearner: false, silentLooks: 0 });
  await membership.moveLeader("aa");
  assert.deepEqual(asked(), [SELF]);
});

test("a learner that is silent or has nothing of the log gets no vote, however short the log", async () => {
  const silent = leaderWith({ isLearner: true, silentLooks: Number.POSITIVE_INFINITY });
  await assert.rejects(silent.membership.promote("bb"), {
    code: "unsafe",
    message: "etcdserver: member bb does not answer: it cannot vote",
  });
  const empty = leaderWith({ isLearner: true, silentLooks: 3 });
  await assert.rejects(empty.membership.promote("bb"), {
    code: "unsafe",
    message: /lacks 5 entries/,
  });
});
