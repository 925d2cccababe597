/** What the leader proposes for nodes whose life is over; what becomes of it is in ttl-sync.test.ts. */
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { EtcdError, MemoryKv, StateMachine, writeCommand } from "@etcd2/store";
import type { Command } from "@etcd2/store";
import { until } from "@etcd2/test-support";
import type { Consensus } from "../../src/consensus/consensus.ts";
import { TtlSync } from "../../src/member/ttl-sync.ts";
import type { MemberStorage } from "../../src/storage/member-storage.ts";

const ENTRY_MAX = 128;
const LIFE_MS = 1000;

interface Proposal {
  readonly command: Command;
  readonly answer: (result: unknown) => void;
}

/** The other members, as the leader sees them. */
const progress = new Map<string, { match: number }>();
let nowMs = 0;
let ttl: TtlSync | undefined;
afterEach(() => ttl?.close());

let applied = 0;

function apply(machine: StateMachine, command: Command): void {
  applied += 1;
  machine.apply([{ index: applied, term: 1, command }]);
}

/** A leader with so many nodes that live for a second. */
async function leader(nodes: number): Promise<{ machine: StateMachine; proposals: Proposal[] }> {
  nowMs = 1000;
  applied = 0;
  const clock = { wallMs: () => 1_700_000_000_000 + nowMs, steadyMs: () => nowMs };
  const machine = await StateMachine.open({ kv: new MemoryKv(), clock });
  for (let n = 0; n < nodes; n += 1) {
    const life = { expirationMs: clock.wallMs() + LIFE_MS, ttlMs: LIFE_MS };
    apply(machine, writeCommand({ action: "set", path: `/k${n}`, value: "v", ...life }));
  }
  const proposals: Proposal[] = [];
  const propose = (command: Command, answer: (result: unknown) => void): void => {
    proposals.push({ command, answer });
  };
  progress.clear();
  const node = { isLeader: true, status: () => ({ progress }) };
  ttl = new TtlSync({
    consensus: { node, requests: { propose } } as unknown as Consensus,
    storage: { machine, memberId: "1" } as unknown as MemberStorage,
    activeSince: () => 1,
    onFatal: (error) => {
      throw error;
    },
  });
  return { machine, proposals };
}

function expiredIn({ command }: Proposal): readonly string[] {
  assert.equal(command.action, "expire");
  return command.expired.map(({ path }) => path);
}

describe("a leader with more nodes due than one entry holds", () => {
  it("proposes at most 128 at a time, one entry after the other, until none is left", async () => {
    const { machine, proposals } = await leader(3 * ENTRY_MAX + 10);
    nowMs += LIFE_MS + 1;
    const gone: string[] = [];
    for (let entry = 0; entry < 4; entry += 1) {
      await until("an entry is proposed", () => proposals.length > entry);
      const proposal = proposals[entry];
      assert.ok(proposal !== undefined);
      const paths = expiredIn(proposal);
      assert.equal(paths.length, entry < 3 ? ENTRY_MAX : 10);
      gone.push(...paths);
      // Nothing is proposed on top of one that is under way.
      ttl?.check();
      assert.equal(proposals.length, entry + 1);
      apply(machine, proposal.command);
      proposal.answer({});
    }
    assert.equal(new Set(gone).size, 3 * ENTRY_MAX + 10);
    ttl?.check();
    assert.equal(proposals.length, 4);
    assert.equal(machine.nextDeadline(), undefined);
  });

  it("waits for its next look after a refusal", async () => {
    const { proposals } = await leader(2);
    nowMs += LIFE_MS + 1;
    await until("an entry is proposed", () => proposals.length === 1);
    proposals[0]?.answer(new EtcdError(300, "refused", 0));
    await until("it is proposed again", () => proposals.length === 2);
    assert.deepEqual(
      proposals.map((proposal) => expiredIn(proposal)),
      [
        ["/k0", "/k1"],
        ["/k0", "/k1"],
      ],
    );
  });
});

describe("a leader that tells a member that was away how much of each life is left", () => {
  it("tells at most 128 in one entry, and all of them", async () => {
    const { proposals } = await leader(2 * ENTRY_MAX + 5);
    progress.set("2", { match: 1000 });
    const told = new Set<string>();
    for (let entry = 0; entry < 3; entry += 1) {
      await until("an entry is proposed", () => proposals.length > entry);
      const { command, answer } = proposals[entry] ?? assert.fail();
      assert.ok(command.action === "expire" && command.lives !== undefined);
      assert.equal(command.lives.length, entry < 2 ? ENTRY_MAX : 5);
      for (const { path } of command.lives) told.add(path);
      answer({});
    }
    assert.equal(told.size, 2 * ENTRY_MAX + 5);
  });
});
