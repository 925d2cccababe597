/** What the members of a cluster are called, from their founding on, whatever changes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MemberRecord } from "@etcd2/member-dir";
import { decodeMemberChange, encodeMemberChange, publishWrite } from "@etcd2/member-dir";
import type { ConfChange } from "@etcd2/raft";
import { MemoryKv, StateMachine, SteadyClock } from "@etcd2/store";
import { foundingIdentity } from "../../src/cluster/bootstrap.ts";
import { Cluster } from "../../src/cluster/cluster.ts";

const FOUNDED = new Map([
  ["é 1", ["http://a:1"]],
  ["two", ["http://b:1"]],
]);

interface Founded {
  readonly cluster: Cluster;
  readonly machine: StateMachine;
  readonly apply: (type: ConfChange["changes"][number]["type"], member: MemberRecord) => void;
}

/** A store with the founders of a cluster, each as it is read from the log. */
async function founded(alter = (member: MemberRecord): MemberRecord => member): Promise<Founded> {
  const kv = new MemoryKv();
  const machine = await StateMachine.open({ kv, clock: SteadyClock.open(kv) });
  const cluster = new Cluster(() => machine.reader);
  const apply: Founded["apply"] = (type, member) => {
    const bytes = encodeMemberChange({ requestId: { session: 0, sequence: 0 }, member });
    const context = decodeMemberChange(bytes)?.member;
    const change: ConfChange = {
      transition: "auto",
      changes: [{ type, nodeId: member.id }],
      context: bytes,
    };
    assert.equal(cluster.refusal(change, context), undefined);
    const writes = cluster.writes(change, context);
    const index = machine.appliedIndex + 1;
    machine.apply([{ index, term: 1, command: { action: "group", writes } }]);
    cluster.reload();
  };
  const { founders } = foundingIdentity("two", FOUNDED, {
    memberId: ([url = ""]) => (url.includes("a:") ? "a" : "b").padStart(16, "0"),
    clusterId: () => "c",
  });
  for (const founder of founders) apply("addVoter", alter(founder));
  return { cluster, machine, apply };
}

const namesOf = (cluster: Cluster): string[] => cluster.list().map(({ name }) => name);

function memberOf(cluster: Cluster, at: number): MemberRecord {
  const member = cluster.members[at];
  assert.ok(member !== undefined);
  return member;
}

test("founders have the names of their configuration, and have not run", async () => {
  const { cluster } = await founded();
  assert.deepEqual(namesOf(cluster), ["é 1", "two"]);
  assert.ok(cluster.members.every(({ started }) => !started));
});

test("the configured name stays when peer URLs change, and gives way to a published one", async () => {
  const { cluster, machine, apply } = await founded();
  apply("update", { ...memberOf(cluster, 0), peerURLs: ["http://z:1"] });
  assert.deepEqual(memberOf(cluster, 0).peerURLs, ["http://z:1"]);
  assert.deepEqual(namesOf(cluster), ["é 1", "two"]);
  // A member of an earlier version, which knows no configured name, may have asked.
  apply("update", { ...memberOf(cluster, 0), configuredName: "" });
  assert.deepEqual(namesOf(cluster), ["é 1", "two"]);
  const write = publishWrite("000000000000000a", "other", ["http://a:2"]);
  machine.apply([{ index: machine.appliedIndex + 1, term: 1, command: write }]);
  cluster.reload();
  assert.deepEqual(namesOf(cluster), ["other", "two"]);
  assert.deepEqual(
    [...cluster.members].map(({ started }) => started),
    [true, false],
  );
});

test("members added later have no name until they publish one", async () => {
  const { cluster, apply } = await founded();
  const added = { id: "000000000000000d", peerURLs: ["http://d:1"], name: "", clientURLs: [] };
  apply("addLearner", { ...added, isLearner: true });
  apply("addVoter", { ...memberOf(cluster, 2), isLearner: false });
  assert.deepEqual(namesOf(cluster), ["é 1", "two", ""]);
});

test("the index for clients is the same where founders were written without names", async () => {
  const now = await founded();
  const before = await founded((member) => ({ ...member, configuredName: "" }));
  assert.deepEqual(namesOf(before.cluster), ["", ""]);
  const [{ etcdIndex }, { etcdIndex: expected }] = [
    await before.machine.hash(),
    await now.machine.hash(),
  ];
  assert.equal(etcdIndex, expected);
});
