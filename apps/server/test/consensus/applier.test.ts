import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ConfChangeDecider, Entry } from "@etcd2/raft";
import { encodeCommand, MemoryKv, StateMachine, StoreWatcherHub, writeCommand } from "@etcd2/store";
import type { Cluster } from "../../src/cluster/cluster.ts";
import { Applier } from "../../src/consensus/applier.ts";
import { HashPoints } from "../../src/consensus/hash-points.ts";
import type { Applied, ApplierListener } from "../../src/consensus/applier.ts";
import { ProposalTable } from "../../src/consensus/proposals.ts";
import type { MemberStorage } from "../../src/storage/member-storage.ts";

const listener: ApplierListener = {
  onConfChange: () => undefined,
  onClusterVersion: () => undefined,
  onAuthWritten: () => undefined,
  onTermApplied: () => undefined,
  onApplied: () => undefined,
  onBatch: () => undefined,
  onProposalApplied: () => undefined,
};

const noConfChanges: ConfChangeDecider = {
  accept: () => assert.fail("there is no conf change"),
  reject: () => assert.fail("there is no conf change"),
};

describe("what is applied", () => {
  it("is answered to all who wrote before any watcher is told", async () => {
    const clock = { wallMs: () => 1_700_000_000_000, steadyMs: () => 1 };
    const machine = await StateMachine.open({ kv: new MemoryKv(), clock });
    const hub = new StoreWatcherHub(machine);
    const proposals = new ProposalTable<Applied>(1, 100);
    // Ordinary entries concern nothing else of the two.
    const storage = { machine } as unknown as MemberStorage;
    const applier = new Applier(
      storage,
      {} as unknown as Cluster,
      proposals,
      listener,
      new HashPoints(() => machine),
    );
    const order: string[] = [];
    const told = new Promise<void>((resolve) => {
      hub.watch({
        path: "/1",
        recursive: true,
        sinceIndex: 0,
        stream: true,
        deliver: (event) => {
          order.push(`told ${event.node.key}`);
          if (event.node.key === "/1/b") resolve();
          return "taken";
        },
        ended: () => undefined,
      });
    });
    const entries = ["/1/a", "/1/b"].map((path, at): Entry => {
      const id = proposals.nextId();
      const command = writeCommand({ action: "set", path, value: "v" });
      const data = encodeCommand(id, command);
      const settle = (): void => {
        order.push(`answered ${path}`);
        // Whoever waits for the answer with a promise is still first.
        void Promise.resolve().then(() => order.push(`went on after ${path}`));
      };
      proposals.add({
        sequence: id.sequence,
        data,
        command,
        settle,
        startedAt: 0,
        deadline: 9,
        term: 1,
      });
      return { type: "normal", index: at + 1, term: 1, data };
    });
    applier.apply(entries, noConfChanges);
    await told;
    assert.deepEqual(order, [
      "answered /1/a",
      "answered /1/b",
      "went on after /1/a",
      "went on after /1/b",
      "told /1/a",
      "told /1/b",
    ]);
    hub.close();
    await machine.close();
  });
});
