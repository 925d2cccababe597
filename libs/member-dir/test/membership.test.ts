/** What a committed conf change does to the store, decided for all programs alike. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ConfChange, ConfChangeSingle } from "@etcd2/raft/wal";
import { MemoryKv, StateMachine, SteadyClock, toByteString, writeCommand } from "@etcd2/store";
import { decodeMemberChange, encodeMemberChange } from "../src/member-change.ts";
import type { MemberRecord } from "../src/member-change.ts";
import type { ClusterMember } from "../src/membership.ts";
import { confChangeWrites, Membership } from "../src/membership.ts";

const [A, B, C] = ["a", "b", "c"].map((id) => id.padStart(16, "0")) as [string, string, string];

function record(id: string, url: string): MemberRecord {
  return { id, peerURLs: [url], name: "", clientURLs: [], isLearner: false };
}

function changeOf(type: ConfChangeSingle["type"], member: MemberRecord): ConfChange {
  const context = encodeMemberChange({ requestId: { session: 0, sequence: 0 }, member });
  return { transition: "auto", changes: [{ type, nodeId: member.id }], context };
}

/** A cluster of a and b, as voters, with a third that was a member once. */
async function cluster() {
  const kv = new MemoryKv();
  const machine = await StateMachine.open({ kv, clock: SteadyClock.open(kv) });
  const apply = (change: ConfChange): void => {
    const writes = confChangeWrites(change, machine.reader);
    const index = machine.appliedIndex + 1;
    machine.apply([{ index, term: 1, command: { action: "group", writes } }]);
  };
  for (const id of [A, B, C]) apply(changeOf("addVoter", record(id, `http://${id}:1`)));
  apply(changeOf("remove", record(C, "")));
  return { machine, apply, reader: machine.reader };
}

const URL_OF_B = `http://${B}:1`;

describe("a committed conf change that does not hold writes nothing", () => {
  const refused: readonly (readonly [string, string, ConfChange])[] = [
    [
      "peerUrlExists",
      "a new member with a taken peer URL",
      changeOf("addVoter", record("d".padStart(16, "0"), URL_OF_B)),
    ],
    [
      "idExists",
      "a new member with the id of a voter",
      changeOf("addVoter", record(A, "http://new:1")),
    ],
    ["peerUrlExists", "an update to a taken peer URL", changeOf("update", record(A, URL_OF_B))],
    [
      "idExists",
      "a voter that is to be a learner",
      changeOf("addLearner", record(A, "http://new:1")),
    ],
    ["removed", "an id that was removed", changeOf("addVoter", record(C, "http://new:1"))],
    [
      "notFound",
      "an update of nobody",
      changeOf("update", record("e".padStart(16, "0"), "http://new:1")),
    ],
    ["notFound", "the removal of nobody", changeOf("remove", record("e".padStart(16, "0"), ""))],
    [
      "malformed",
      "a change without a record",
      { ...changeOf("addVoter", record("e".padStart(16, "0"), "")), context: new Uint8Array() },
    ],
  ];
  for (const [reason, title, change] of refused) {
    it(title, async () => {
      const { reader } = await cluster();
      assert.deepEqual(confChangeWrites(change, reader), []);
      const member = decodeMemberChange(change.context)?.member;
      assert.equal(Membership.read(reader).refusal(change, member), reason);
    });
  }
});

describe("a committed conf change that holds", () => {
  it("adds, promotes, updates and removes", async () => {
    const { reader, apply } = await cluster();
    const id = "d".padStart(16, "0");
    const memberOf = () => Membership.read(reader).get(id);
    apply(changeOf("addLearner", record(id, "http://d:1")));
    assert.equal(memberOf()?.isLearner, true);
    apply(changeOf("update", record(id, "http://d:2")));
    assert.deepEqual(memberOf()?.peerURLs, ["http://d:2"]);
    assert.equal(memberOf()?.isLearner, true);
    apply(changeOf("addVoter", record(id, "http://d:2")));
    assert.equal(memberOf()?.isLearner, false);
    apply(changeOf("remove", record(id, "")));
    assert.equal(memberOf(), undefined);
    assert.deepEqual(Membership.read(reader).removedIds, [C, id]);
  });

  it("may leave a joint configuration, and then writes nothing", async () => {
    const { reader } = await cluster();
    const leave: ConfChange = { transition: "auto", changes: [], context: new Uint8Array() };
    assert.deepEqual(confChangeWrites(leave, reader), []);
    assert.equal(Membership.read(reader).refusal(leave, undefined), undefined);
  });
});

describe("the membership in the store", () => {
  it("has no name where a document says none, and is not read where one does not decode", async () => {
    const read = async (document: string): Promise<ClusterMember | undefined> => {
      const { machine, reader } = await cluster();
      const path = "/0/members/a/raftAttributes";
      const command = writeCommand({ action: "set", path, value: toByteString(document) });
      machine.apply([{ index: machine.appliedIndex + 1, term: 1, command }]);
      return Membership.read(reader).get(A);
    };
    for (const document of ["{}", '{"name":7}']) {
      const member = await read(document);
      assert.deepEqual([member?.name, member?.peerURLs, member?.started], ["", [], false]);
    }
    for (const document of ['{"peerURLs":[7]}', "", "{", "null", "7"]) {
      await assert.rejects(read(document), /document \/0\/members\/a\/.* is damaged/, document);
    }
  });

  it("is sorted by id", async () => {
    const { reader } = await cluster();
    assert.deepEqual(
      Membership.read(reader).members.map(({ id }) => id),
      [A, B],
    );
  });
});
