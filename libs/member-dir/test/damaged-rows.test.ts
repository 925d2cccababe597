/** The membership rows: what cannot be read is never taken for a smaller cluster. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryKv, StateMachine, SteadyClock, StoreError, writeCommand } from "@etcd2/store";
import { Membership } from "../src/membership.ts";

async function machineWith(rows: Readonly<Record<string, string>>): Promise<StateMachine> {
  const kv = new MemoryKv();
  const machine = await StateMachine.open({ kv, clock: SteadyClock.open(kv) });
  let index = 0;
  for (const [path, value] of Object.entries(rows)) {
    index += 1;
    const command = writeCommand({ action: "set", path, value });
    machine.apply([{ index, term: 1, command }]);
  }
  return machine;
}

const whole = {
  "/0/members/a1/raftAttributes": '{"peerURLs":["http://h1:2380"]}',
  "/0/members/a1/attributes": '{"name":"one","clientURLs":["http://h1:2379"]}',
  "/0/members/a2/raftAttributes": '{"peerURLs":["http://h2:2380"],"isLearner":true}',
  "/0/removed_members/a3": "",
};

test("members are those with a part in raft, whether they have published themselves or not", async () => {
  const leftBehind = { "/0/members/a3/attributes": '{"name":"gone"}' };
  const machine = await machineWith({ ...whole, ...leftBehind });
  const membership = Membership.read(machine.reader);
  const shown = membership.members.map(({ id, name, isLearner }) => [
    id.slice(-2),
    name,
    isLearner,
  ]);
  assert.deepEqual(shown, [
    ["a1", "one", false],
    ["a2", "", true],
  ]);
  assert.ok(membership.isRemoved("00000000000000a3"));
});

test("a row that cannot be read stops whoever reads it, and names the row", async () => {
  const damaged: readonly (readonly [path: string, value: string])[] = [
    ["/0/members/a2/raftAttributes", ""],
    ["/0/members/a2/raftAttributes", '{"peerURLs":["http://h2'],
    ["/0/members/a2/raftAttributes", "7"],
    ["/0/members/a2/raftAttributes", '{"peerURLs":"http://h2:2380"}'],
    ["/0/members/a2/raftAttributes", '{"peerURLs":[2380]}'],
    ["/0/members/a1/attributes", "\u0000"],
    ["/0/members/a1/attributes", '{"name":"one","clientURLs":{}}'],
    ["/0/members/x/raftAttributes", "{}"],
    ["/0/removed_members/nobody", ""],
  ];
  for (const [path, value] of damaged) {
    const machine = await machineWith({ ...whole, [path]: value });
    assert.throws(
      () => Membership.read(machine.reader),
      (error) =>
        error instanceof StoreError && error.code === "corrupt" && /is damaged/.test(error.message),
      `${path} ${value}`,
    );
  }
});
