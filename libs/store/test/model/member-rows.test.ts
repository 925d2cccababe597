import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemoryKv } from "../../src/kv/memory-kv.ts";
import {
  configuredNameIn,
  memberWrites,
  publishWrite,
  removalWrites,
  shortMemberId,
} from "../../src/model/member-rows.ts";
import { StateMachine } from "../../src/state-machine.ts";
import { SteadyClock } from "../../src/clock/steady-clock.ts";

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
    const document = machine.reader.peek("/0/members/a1/raftAttributes")?.value ?? "";
    assert.equal(configuredNameIn(document), "é");
    assert.equal(machine.reader.peek("/0/members/a1/attributes"), undefined);
  });

  it("have no configured name where a document says none", () => {
    for (const document of ["", "{", "null", "7", '{"name":7}', '{"peerURLs":[]}']) {
      assert.equal(configuredNameIn(document), "");
    }
  });

  it("stand under the id without leading zeros", () => {
    assert.equal(shortMemberId("0000000000000000"), "0");
    assert.equal(shortMemberId("00a0"), "a0");
  });
});
