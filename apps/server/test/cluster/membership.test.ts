/** What a member decides by itself about changes of the membership: hand-overs, strict checks, ids. */
import { NO_LOGGER, createLogger } from "@etcd2/observability";
import assert from "node:assert/strict";
import { test } from "node:test";
import { memberId } from "@etcd2/member-dir";
import { decodeConfChange, type RaftNode } from "@etcd2/raft";
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
    node: node as unknown as RaftNode,
    nextRequestId: () => ({ session: 1, sequence: 1 }),
    strictReconfigCheck: false,
    isConnected: () => true,
    requestTimeoutMs: 1000,
    wallMs: Date.now,
    onPromoted: () => undefined,
    log: NO_LOGGER,
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

const NOW_MS = 1_700_000_000_000;

interface Setting {
  readonly ids: readonly string[];
  readonly leader: string;
  /** What becomes of a wish to transfer. */
  readonly takesOver?: boolean;
  readonly isStrict?: boolean;
  readonly silent?: readonly string[];
  readonly removed?: readonly string[];
  /** What becomes of a proposal: applied at once when not given. */
  readonly outcome?: "never" | "notFound";
}

/** SELF among started voters; what it asks of raft is written down, and proposals are applied at once. */
function memberAmong(setting: Setting): {
  membership: Membership;
  asked: readonly string[];
  lines: readonly string[];
} {
  const asked: string[] = [];
  const lines: string[] = [];
  let { leader } = setting;
  const record = { peerURLs: [], name: "x", clientURLs: [], started: true, isLearner: false };
  const members = new Map(setting.ids.map((id) => [id, { ...record, id, peerURLs: [id] }]));
  const node = {
    get leader() {
      return leader;
    },
    status: () => ({ role: leader === SELF ? "leader" : "follower", leader, progress: new Map() }),
    transferLeader: (to: string) => {
      asked.push(`transfer to ${to}`);
      if (setting.takesOver !== false) leader = to;
    },
    proposeConfChange: (data: Uint8Array) => {
      const [change] = decodeConfChange(data).changes;
      asked.push(`${change?.type ?? ""} ${change?.nodeId ?? ""}`);
      const { outcome } = setting;
      if (outcome === "never") return;
      setImmediate(() => {
        membership.applied("1-1", outcome);
      });
    },
  };
  const cluster = {
    members: [...members.values()],
    get: (id: string) => members.get(id),
    isRemoved: (id: string) => setting.removed?.includes(id) ?? false,
  };
  const membership = new Membership({
    memberId: SELF,
    cluster: cluster as unknown as Cluster,
    node: node as unknown as RaftNode,
    nextRequestId: () => ({ session: 1, sequence: 1 }),
    strictReconfigCheck: setting.isStrict ?? false,
    isConnected: (id) => setting.silent?.includes(id) !== true,
    requestTimeoutMs: 30,
    wallMs: () => NOW_MS,
    onPromoted: () => undefined,
    log: createLogger((_level, message) => lines.push(message)),
  });
  return { membership, asked, lines };
}

test("a follower asked to remove the leader takes over first", async () => {
  const { membership, asked } = memberAmong({ ids: [SELF, OTHER], leader: OTHER });
  await membership.remove("bb");
  assert.deepEqual(asked, [`transfer to ${SELF}`, `remove ${OTHER}`]);
});

test("of two members the leader is not removed while it cannot hand over, of three it is", async () => {
  const two = memberAmong({ ids: [SELF, OTHER], leader: OTHER, takesOver: false });
  await assert.rejects(two.membership.remove("bb"), { code: "timeout" });
  assert.deepEqual(two.asked, [`transfer to ${SELF}`]);

  const ids = [SELF, OTHER, "00000000000000cc"];
  const three = memberAmong({ ids, leader: OTHER, takesOver: false });
  await three.membership.remove("bb");
  assert.deepEqual(three.asked, [`transfer to ${SELF}`, `remove ${OTHER}`]);
});

test("a strict member counts only members that answer, and names the silent ones", async () => {
  const ids = [SELF, OTHER, "00000000000000cc"];
  const setting = { ids, leader: SELF, isStrict: true, silent: [OTHER] };
  const { membership, asked, lines } = memberAmong(setting);
  await assert.rejects(membership.add(["http://127.0.0.1:1"], { learner: false }), {
    code: "unsafe",
  });
  await assert.rejects(membership.remove("cc"), { code: "unsafe" });
  assert.deepEqual(asked, []);
  assert.deepEqual(lines, [
    "Reject add member request: the number of started member that answer (2; silent: bb) will be less than the quorum number of the cluster (3)",
    "Reject remove member request: the number of started member that answer (1; silent: bb) will be less than the quorum number of the cluster (2)",
  ]);
  await membership.remove("bb");
  assert.deepEqual(asked, [`remove ${OTHER}`], "the silent one itself can be removed");
});

for (const [what, change] of [
  ["an addition", (m: Membership) => m.add(["http://127.0.0.1:1"], { learner: false })],
  ["a removal", (m: Membership) => m.remove("bb")],
  ["a change of peer URLs", (m: Membership) => m.updatePeerURLs("bb", ["http://127.0.0.1:1"])],
] as const) {
  test(`${what} that is neither applied nor refused in time has an unknown outcome, and says how to look`, async () => {
    const { membership, asked } = memberAmong({
      ids: [SELF, OTHER],
      leader: SELF,
      outcome: "never",
    });
    await assert.rejects(change(membership), {
      code: "outcomeUnknown",
      message: /the outcome is unknown, the change may still take effect: .*GET \/v2\/members/,
    });
    assert.equal(asked.length, 1, "it was proposed");
    // Applied after the answer: nobody waits any more, and nothing comes of it.
    membership.applied("1-1", undefined);
  });

  test(`${what} that was refused in time has a known outcome`, async () => {
    const setting = { ids: [SELF, OTHER], leader: SELF, outcome: "notFound" } as const;
    await assert.rejects(change(memberAmong(setting).membership), { code: "notFound" });
  });
}

test("a member added, removed and added again within a second gets a new id", async () => {
  const source = { peerUrls: ["http://127.0.0.1:1"], token: "" };
  const used = memberId({ ...source, addedAtSeconds: NOW_MS / 1000 });
  const { membership } = memberAmong({ ids: [SELF], leader: SELF, removed: [used] });
  const added = await membership.add(source.peerUrls, { learner: false });
  assert.equal(
    added.id.padStart(16, "0"),
    memberId({ ...source, addedAtSeconds: NOW_MS / 1000 + 1 }),
  );
});

test("a removal of this member that only the others have applied is answered as done", async () => {
  const proposed: Uint8Array[] = [];
  const node = {
    leader: "00000000000000cc",
    status: () => ({
      role: "follower",
      leader: "00000000000000cc",
      commit: 5,
      progress: new Map(),
    }),
    proposeConfChange: (data: Uint8Array) => proposed.push(data),
  };
  const record = { peerURLs: [], name: "", clientURLs: [], started: true, isLearner: false };
  const members = new Map([SELF, OTHER].map((id) => [id, { ...record, id }]));
  const cluster = {
    get: (id: string) => members.get(id),
    isRemoved: () => false,
    members: [...members.values()],
  };
  let sequence = 0;
  const membership = new Membership({
    memberId: SELF,
    cluster: cluster as unknown as Cluster,
    node: node as unknown as RaftNode,
    nextRequestId: () => ({ session: 1, sequence: (sequence += 1) }),
    strictReconfigCheck: false,
    isConnected: () => true,
    requestTimeoutMs: 60_000,
    wallMs: Date.now,
    onPromoted: () => undefined,
    log: NO_LOGGER,
  });
  let isOtherDone = false;
  const other = membership.remove("bb").finally(() => (isOtherDone = true));
  const own = membership.remove("aa");
  while (proposed.length < 2) await new Promise(setImmediate);
  membership.removedByOthers();
  await own;
  assert.equal(isOtherDone, false, "what others were asked for is not known from this");
  membership.applied("1-1", undefined);
  await other;
});
