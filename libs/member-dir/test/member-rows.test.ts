import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemoryKv, StateMachine, SteadyClock } from "@etcd2/store";
import { Membership } from "../src/membership.ts";
import { memberWrites, publishWrite, removalWrites } from "../src/member-rows.ts";

const ID = "00000000000000a1";
const PEERS = ["http://h:2380"];

async function openMachine(): Promise<StateMachine> {
  const kv = new MemoryKv();
  return await StateMachine.open({ kv, clock: SteadyClock.open(kv) });
}

describe("the rows of a member", () => {
  it("are etcd's documents, and gone but for a barred id after its removal", async () => {
    const machine = await openMachine();
    const added = memberWrites(
      ID,
      { peerURLs: PEERS, name: "é", clientURLs: [] },
      { isKnown: false, isLearner: true },
    );
    const promoted = memberWrites(
      ID,
      { peerURLs: PEERS, name: "other", clientURLs: [] },
      { isKnown: true, isLearner: false },
    );
    const valueOf = (document: string): string | undefined => {
      const bytes = machine.reader.peek(`/0/members/a1/${document}`)?.value;
      return bytes === undefined ? undefined : Buffer.from(bytes, "latin1").toString("utf8");
    };
    machine.apply([{ index: 1, term: 1, command: { action: "group", writes: [...added] } }]);
    assert.equal(valueOf("raftAttributes"), '{"peerURLs":["http://h:2380"],"isLearner":true}');
    assert.equal(valueOf("attributes"), '{"name":"é"}');
    machine.apply([{ index: 2, term: 1, command: { action: "group", writes: [...promoted] } }]);
    assert.equal(valueOf("raftAttributes"), '{"peerURLs":["http://h:2380"]}');
    assert.equal(valueOf("attributes"), '{"name":"é"}');
    machine.apply([{ index: 3, term: 1, command: publishWrite(ID, "n", ["http://h:2379"]) }]);
    assert.equal(valueOf("attributes"), '{"name":"n","clientURLs":["http://h:2379"]}');
    const writes = [...removalWrites(ID)];
    machine.apply([{ index: 4, term: 1, command: { action: "group", writes } }]);
    assert.deepEqual(machine.reader.peekChildren("/0/members"), []);
    assert.equal(
      machine.reader.peekChildren("/0/removed_members")[0]?.key,
      "/0/removed_members/a1",
    );
  });

  it("keep the name a member was configured with, without publishing it", async () => {
    const machine = await openMachine();
    const member = { peerURLs: PEERS, name: "", clientURLs: [], configuredName: "é" };
    const [write, ...more] = memberWrites(ID, member, { isKnown: false, isLearner: false });
    assert.ok(write !== undefined && more.length === 0);
    machine.apply([{ index: 1, term: 1, command: { action: "group", writes: [write] } }]);
    assert.equal(Membership.read(machine.reader).get(ID)?.configuredName, "é");
    assert.equal(machine.reader.peek("/0/members/a1/attributes"), undefined);
  });
});
