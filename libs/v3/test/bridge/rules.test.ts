/** The rules of v2 on a real v3 server, judged by the member's own state machine. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  EtcdError,
  MemoryKv,
  type NodeExtern,
  type StoreEvent,
  StateMachine,
  SteadyClock,
  type WriteAction,
  type WriteCommand,
  writeCommand,
} from "@etcd2/store";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import { openBridge, type OpenedBridge } from "../support/bridge-pair.ts";
import { noRealEtcd, RealEtcd } from "../support/real-etcd.ts";

const seed = seedOfRun();
const COMMANDS = 400;

const PATHS = ["/a", "/a/b", "/a/b/c", "/a/_h", "/a/_h/x", "/d", "/d/e/f", "/é", "/q", ""];
const ACTIONS: readonly WriteAction[] = [
  "set",
  "set",
  "create",
  "createInOrder",
  "update",
  "compareAndSwap",
  "delete",
  "compareAndDelete",
];

/** Indexes of both sides, in the order in which they came to be. */
class Indexes {
  readonly #ordinals = new Map<number, number>([[0, 0]]);
  readonly all: number[] = [0];

  ordinal(index: number): number {
    let ordinal = this.#ordinals.get(index);
    if (ordinal === undefined) {
      ordinal = this.all.push(index) - 1;
      this.#ordinals.set(index, ordinal);
    }
    return ordinal;
  }
}

type Shown = Readonly<Record<string, unknown>> | undefined;

function shownNode(node: NodeExtern | undefined, indexes: Indexes): Shown {
  if (node === undefined) return undefined;
  const { key, value, dir, expirationMs } = node;
  return {
    key: key.replace(/\d{20}/, "N"),
    value,
    dir,
    expirationMs,
    // What was changed comes first: indexes are numbered as they are met.
    modified: indexes.ordinal(node.modifiedIndex),
    created: indexes.ordinal(node.createdIndex),
  };
}

function shown(outcome: StoreEvent | EtcdError, indexes: Indexes): Shown {
  if (outcome instanceof EtcdError) {
    const cause = outcome.cause.replace(/\[\d+ != \d+\]/g, "[index]").replace(/\d{20}/, "N");
    return { code: outcome.code, cause };
  }
  const { action, refresh } = outcome;
  const node = shownNode(outcome.node, indexes);
  return { action, refresh, node, prevNode: shownNode(outcome.prevNode, indexes) };
}

function randomCommand(pick: (below: number) => number): WriteCommand {
  const action = ACTIONS[pick(ACTIONS.length)] ?? "set";
  const path = `/1${PATHS[pick(PATHS.length)] ?? ""}`;
  const isChange = action === "compareAndSwap" || action === "compareAndDelete";
  const dir = !isChange && pick(4) === 0;
  const expirationMs = pick(5) === 0 ? Date.now() + 3_600_000 : undefined;
  return writeCommand({
    action,
    path,
    dir,
    value: dir ? "" : `v${pick(4)}`,
    recursive: action === "delete" && pick(2) === 0,
    prevValue: isChange ? `v${pick(4)}` : "",
    refresh:
      (action === "set" || action === "update") && expirationMs !== undefined && pick(3) === 0,
    expirationMs: action.includes("elete") ? undefined : expirationMs,
  });
}

describe("the v2 rules over a v3 cluster", { skip: noRealEtcd }, () => {
  let etcd: RealEtcd;
  let opened: OpenedBridge;
  before(async () => {
    etcd = await RealEtcd.start();
    opened = await openBridge([etcd.endpoint]);
  });
  after(async () => {
    opened.close();
    await etcd.remove();
  });

  it(`gives the outcomes that a member gives, commands by chance, SEED=${seed}`, async () => {
    const random = new SeededRandom(seed);
    const pick = (below: number): number => random.below(below);
    const kv = new MemoryKv();
    const machine = await StateMachine.open({ kv, clock: SteadyClock.open(kv) });
    const ours = new Indexes();
    const theirs = new Indexes();
    for (let n = 1; n <= COMMANDS; n += 1) {
      const given = randomCommand(pick);
      // The same event in both histories, named by its number in each.
      const at = given.action === "compareAndSwap" && pick(2) === 0 ? pick(ours.all.length) : 0;
      const local = { ...given, prevIndex: ours.all[at] ?? 0 };
      const remote = { ...given, prevIndex: theirs.all[at] ?? 0 };
      const expected = machine.apply([{ index: n, term: 1, command: local }])[0];
      assert.ok(expected !== undefined);
      const actual = await opened.bridge
        .write(remote, undefined)
        .catch((error: unknown) => error as EtcdError);
      const text = `command ${n}: ${JSON.stringify(given)}`;
      assert.deepEqual(shown(actual, theirs), shown(expected, ours), text);
      if (n % 20 === 0) await assertSameTree(machine, ours, theirs, text);
    }
    await machine.close();
  });

  async function assertSameTree(
    machine: StateMachine,
    ours: Indexes,
    theirs: Indexes,
    text: string,
  ): Promise<void> {
    const options = { recursive: true, sorted: true, quorum: true };
    const actual = await opened.bridge.read("/1", options, undefined);
    const expected = machine.reader.get("/1", options);
    const rows = (result: typeof actual, indexes: Indexes) =>
      (result.children?.next(10_000) ?? []).map(({ node, depth }) => {
        return { depth, ...shownNode(node, indexes) };
      });
    assert.deepEqual(rows(actual, theirs), rows(expected, ours), text);
    expected.children?.close();
  }
});
