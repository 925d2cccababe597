/**
 * The loop around the core, over a log, a transport and a state machine that do what a test says:
 * what waits for what, what shares a batch, and what is left when it fails or closes.
 */
import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { InvariantError } from "../../src/core/model/invariant.ts";
import { RawNode } from "../../src/core/raw-node.ts";
import type { Entry, HardState, Message, NodeId } from "../../src/core/model/types.ts";
import type { SnapshotMetadata } from "../../src/core/model/types.ts";
import type { RaftError } from "../../src/core/model/errors.ts";
import { MemoryStorage } from "../../src/testing/memory-storage.ts";
import { RaftNode } from "../../src/node/raft-node.ts";
import type { ConfChangeDecider, DurableLog, StateMachinePort } from "../../src/node/ports.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { bytes, confState, decodeChange, encodeChange, logOf, text } from "../core/host.ts";

interface Save {
  readonly entries: readonly Entry[];
  readonly hardState: HardState | undefined;
  readonly mustSync: boolean;
}

/** A log on a disk that is as slow as a test likes. */
class SlowLog implements DurableLog {
  readonly storage: MemoryStorage;
  readonly saves: Save[] = [];
  /** Writes are under way until release(). */
  isSlow = false;
  failure: Error | undefined;
  #release: (() => void) | undefined;

  constructor(storage: MemoryStorage) {
    this.storage = storage;
  }

  get isWriting(): boolean {
    return this.#release !== undefined;
  }

  /** Ends the write under way; those after it are done at once again. */
  release(): void {
    this.isSlow = false;
    this.#release?.();
    this.#release = undefined;
  }

  save(
    entries: readonly Entry[],
    hardState: HardState | undefined,
    mustSync: boolean,
  ): void | Promise<void> {
    this.saves.push({ entries, hardState, mustSync });
    const finish = (): void => {
      if (this.failure !== undefined) throw this.failure;
      this.storage.append(entries);
      if (hardState !== undefined) this.storage.setHardState(hardState);
    };
    if (!this.isSlow) finish();
    else return new Promise<void>((resolve) => (this.#release = resolve)).then(finish);
  }

  installSnapshot(snapshot: SnapshotMetadata): void {
    this.storage.installSnapshot(snapshot);
  }
}

class NotingTransport implements Pick<Transport, "send"> {
  readonly sent: Message[] = [];
  send(messages: readonly Message[]): void {
    this.sent.push(...messages);
  }
  /** What was sent since the last call. */
  take(): Message[] {
    return this.sent.splice(0);
  }
}

class NotingMachine implements StateMachinePort {
  readonly applied: string[] = [];
  state: SnapshotMetadata = { index: 0, term: 0, confState: confState([]) };
  apply(entries: readonly Entry[], confChanges: ConfChangeDecider): void {
    for (const { type, data } of entries) {
      if (type === "confChange") confChanges.accept(decodeChange(data));
      if (data.length > 0) this.applied.push(text(data));
    }
  }
  snapshot(): SnapshotMetadata {
    return this.state;
  }
}

interface Given {
  readonly voters?: readonly NodeId[];
  readonly entries?: readonly Entry[];
  readonly uncommittedBytesMax?: number;
  readonly mayVote?: () => boolean;
}

/** Member 1 and everything around it. */
class Loop {
  readonly log: SlowLog;
  readonly transport = new NotingTransport();
  readonly machine = new NotingMachine();
  readonly fatal: Error[] = [];
  readonly dropped: string[] = [];
  readonly terms: (readonly [term: number, queued: readonly string[]])[] = [];
  readonly refused: string[] = [];
  readonly contradicted: unknown[] = [];
  readonly node: RaftNode;

  constructor({ voters = ["1"], entries = [], mayVote, ...limits }: Given = {}) {
    const conf = confState(voters);
    const storage = new MemoryStorage({ index: 0, term: 0, confState: conf });
    storage.append(entries);
    this.log = new SlowLog(storage);
    this.machine.state = { index: 0, term: 0, confState: conf };
    this.node = new RaftNode({
      raft: {
        id: "1",
        storage,
        random: () => 0,
        preVote: false,
        decodeConfChange: decodeChange,
        ...limits,
      },
      log: this.log,
      transport: this.transport as unknown as Transport,
      stateMachine: this.machine,
      listener: {
        onSoftState: () => undefined,
        onFatal: (error) => this.fatal.push(error),
        onDropped: (data) => this.dropped.push(text(data)),
        onProposalTerm: (term, queued) => this.terms.push([term, queued.map(text)]),
        onRefused: (_message, reason, entry) => {
          this.refused.push(reason);
          if (entry !== undefined) this.contradicted.push(entry);
        },
      },
      tickMs: 0,
      ...(mayVote !== undefined && { mayVote }),
    });
  }

  /** A member alone in its cluster, elected. */
  static async alone(): Promise<Loop> {
    const loop = new Loop();
    loop.node.campaign();
    await loop.settle();
    assert.ok(loop.node.isLeader);
    return loop;
  }

  /** Member 1 of two, elected by member 2, which has nothing of its log. */
  static async leading(given: Omit<Given, "voters"> = {}): Promise<Loop> {
    const loop = new Loop({ ...given, voters: ["1", "2"] });
    loop.node.campaign();
    await loop.settle();
    const { term } = loop.node;
    loop.node.step([{ type: "voteResponse", from: "2", to: "1", term, reject: false }]);
    await loop.settle();
    assert.ok(loop.node.isLeader);
    return loop;
  }

  /** Member 1 of two, following member 2 in term 1. */
  static async following(): Promise<Loop> {
    const loop = new Loop({ voters: ["1", "2"] });
    loop.node.step([loop.heartbeat(1)]);
    await loop.settle();
    assert.equal(loop.node.leader, "2");
    loop.transport.take();
    return loop;
  }

  /** Lets the loop run until it rests: it gives itself one turn at a time. */
  async settle(): Promise<void> {
    for (let i = 0; i < 10; i += 1) await turn();
  }

  propose(...data: readonly string[]): void {
    for (const one of data) this.node.propose(bytes(one));
  }

  heartbeat(term: number, commit = 0): Message {
    return { type: "heartbeat", from: "2", to: "1", term, commit, context: "" };
  }

  append(prevIndex: number, entries: readonly Entry[], commit: number): Message {
    const prevTerm = prevIndex === 0 ? 0 : 1;
    return { type: "append", from: "2", to: "1", term: 1, prevIndex, prevTerm, entries, commit };
  }

  typesSent(): string[] {
    return this.transport.take().map(({ type }) => type);
  }
}

describe("one turn's work", () => {
  it("is one append: proposals of a turn share it, and are applied in order", async () => {
    const loop = await Loop.alone();
    const before = loop.log.saves.length;
    loop.propose("a", "b", "c");
    await loop.settle();
    assert.equal(loop.log.saves.length, before + 1);
    assert.deepEqual(
      loop.log.saves[before]?.entries.map(({ data }) => text(data)),
      ["a", "b", "c"],
    );
    assert.deepEqual(loop.machine.applied, ["a", "b", "c"]);
    await loop.node.close();
  });

  it("is durable before it is applied or answered for; other messages need not wait", async () => {
    const loop = await Loop.following();
    loop.log.isSlow = true;
    loop.node.step([loop.append(0, logOf([1]), 1), loop.heartbeat(1, 1)]);
    await loop.settle();
    assert.ok(loop.log.isWriting);
    assert.deepEqual(loop.typesSent(), ["heartbeatResponse"]);
    assert.deepEqual(loop.machine.applied, []);
    loop.log.release();
    await loop.settle();
    assert.deepEqual(loop.typesSent(), ["appendResponse"]);
    assert.deepEqual(loop.machine.applied, ["1.1"]);
    await loop.node.close();
  });

  it("writes a commit alone not at once, but with the next tick, and asks for no sync", async () => {
    const loop = await Loop.following();
    loop.node.step([loop.append(0, logOf([1]), 0)]);
    await loop.settle();
    const before = loop.log.saves.length;
    loop.node.step([loop.heartbeat(1, 1)]);
    await loop.settle();
    assert.deepEqual([loop.node.applied, loop.log.saves.length], [1, before]);
    loop.node.tick();
    const [save, ...more] = loop.log.saves.slice(before);
    assert.deepEqual([save?.hardState?.commit, save?.mustSync, more.length], [1, false, 0]);
    await loop.node.close();
  });
});

describe("proposals", () => {
  it("wait while nobody leads, can be taken back then, and not once raft has them", async () => {
    const loop = new Loop();
    const [kept, withdrawn] = [bytes("kept"), bytes("withdrawn")];
    loop.node.propose(kept);
    loop.node.propose(withdrawn);
    await loop.settle();
    assert.equal(loop.node.withdraw(withdrawn), true);
    loop.node.campaign();
    await loop.settle();
    assert.deepEqual(loop.terms, [[1, ["kept"]]]);
    assert.deepEqual(loop.machine.applied, ["kept"]);
    assert.equal(loop.node.withdraw(kept), false);
    await loop.node.close();
  });

  it("that are made again are queued once, however often they wait already", async () => {
    const loop = new Loop();
    const [a, b] = [bytes("a"), bytes("b")];
    loop.node.propose(a);
    loop.node.proposeAgain([a, b]);
    loop.node.campaign();
    await loop.settle();
    assert.deepEqual(loop.machine.applied, ["a", "b"]);
    await loop.node.close();
  });

  it("that the core has no room for are reported as dropped, and only they", async () => {
    const loop = await Loop.leading({ uncommittedBytesMax: 4 });
    loop.propose("taken");
    await loop.settle();
    loop.propose("one", "more");
    await loop.settle();
    assert.deepEqual(loop.dropped, ["one", "more"]);
    assert.equal(loop.log.storage.lastIndex(), 2);
    await loop.node.close();
  });

  it("to change the cluster are decided by the state machine, one entry at a time", async () => {
    const loop = await Loop.alone();
    loop.node.proposeConfChange(encodeChange("~2"));
    await loop.settle();
    assert.deepEqual(loop.machine.applied, ["~2"]);
    assert.deepEqual(loop.node.status().confState.learners, ["2"]);
    await loop.node.close();
  });
});

describe("reads", () => {
  it("of one turn share a round, and are answered when their index is applied", async () => {
    const loop = await Loop.following();
    const answers: (RaftError | undefined)[] = [];
    for (let i = 0; i < 3; i += 1) loop.node.readIndex((error) => answers.push(error));
    await loop.settle();
    const asked = loop.transport.take();
    assert.deepEqual(
      asked.map(({ type }) => type),
      ["readIndex"],
    );
    const [request] = asked;
    assert.ok(request?.type === "readIndex");
    const { context } = request;
    loop.node.step([loop.append(0, logOf([1]), 0)]);
    loop.node.step([{ type: "readIndexResponse", from: "2", to: "1", term: 1, context, index: 1 }]);
    await loop.settle();
    assert.deepEqual(answers, [], "confirmed and not applied");
    loop.node.step([loop.heartbeat(1, 1)]);
    await loop.settle();
    assert.deepEqual(answers, [undefined, undefined, undefined]);
    await loop.node.close();
  });

  it("that nobody answers are asked again, and told when the node closes", async () => {
    const loop = await Loop.following();
    const answers: (RaftError | undefined)[] = [];
    loop.node.readIndex((error) => answers.push(error));
    await loop.settle();
    assert.deepEqual(loop.typesSent(), ["readIndex"]);
    for (let i = 0; i < 5; i += 1) loop.node.tick();
    await loop.settle();
    assert.deepEqual(loop.typesSent(), ["readIndex"]);
    await loop.node.close();
    assert.deepEqual(
      answers.map((error) => error?.code),
      ["stopped"],
    );
  });
});

describe("messages from others", () => {
  it("are refused when they contradict what is certain, or are a snapshot without data", async () => {
    const loop = await Loop.following();
    const snapshot = { index: 9, term: 1, confState: confState(["1", "2"]) };
    loop.node.step([
      { type: "snapshot", from: "2", to: "1", term: 1, snapshot },
      { ...loop.heartbeat(1), from: "3" },
    ]);
    await loop.settle();
    assert.equal(loop.refused.length, 2);
    assert.equal(loop.refused[0], "a snapshot without data");
    assert.deepEqual([loop.node.applied, loop.node.leader, loop.fatal.length], [0, "2", 0]);
    await loop.node.close();
  });

  it("are held, and ticks do not count, while somebody has the loop for himself", async () => {
    const loop = await Loop.following();
    let finish = (): void => undefined;
    const work = loop.node.exclusively(async () => {
      await new Promise<void>((resolve) => (finish = resolve));
      return "done";
    });
    await loop.settle();
    loop.node.step([loop.append(0, logOf([1]), 1)]);
    for (let i = 0; i < 50; i += 1) loop.node.tick();
    await loop.settle();
    assert.deepEqual([loop.typesSent(), loop.node.leader], [[], "2"]);
    finish();
    assert.equal(await work, "done");
    await loop.settle();
    assert.deepEqual([loop.typesSent(), loop.machine.applied], [["appendResponse"], ["1.1"]]);
    await loop.node.close();
  });

  it("that ask for a snapshot get the one of the state as it is when it leaves", async () => {
    const loop = await Loop.leading({ entries: logOf([1, 1, 1]) });
    const { term } = loop.node;
    loop.log.storage.createSnapshot({ index: 2, term: 1, confState: confState(["1", "2"]) });
    loop.log.storage.compact(2);
    loop.machine.state = { index: 3, term: 1, confState: confState(["1", "2"]) };
    loop.transport.take();
    const hint = { rejectHint: 0, rejectTerm: 0 };
    const ack = { type: "appendResponse", from: "2", to: "1", term, ...hint } as const;
    loop.node.step([{ ...ack, index: 3, reject: true }]);
    await loop.settle();
    const [snapshot] = loop.transport.take().filter(({ type }) => type === "snapshot");
    assert.ok(snapshot?.type === "snapshot");
    assert.equal(snapshot.snapshot.index, 3);
    await loop.node.close();
  });
});

describe("the end", () => {
  for (const isSlow of [false, true]) {
    it(`comes with a failed write, once, ${isSlow ? "late" : "at once"}: nothing is done after it`, async () => {
      const loop = await Loop.alone();
      loop.log.isSlow = isSlow;
      loop.log.failure = new Error("the disk is gone");
      loop.propose("lost");
      await loop.settle();
      loop.log.release();
      await loop.settle();
      loop.propose("later");
      loop.node.tick();
      await loop.settle();
      assert.deepEqual(loop.fatal, [loop.log.failure]);
      assert.deepEqual(loop.machine.applied, []);
      await loop.node.close();
    });
  }

  it("waits for a write that is under way, and saves the commit it still holds", async () => {
    const loop = await Loop.following();
    loop.node.step([loop.append(0, logOf([1]), 0)]);
    await loop.settle();
    loop.node.step([loop.heartbeat(1, 1)]);
    await loop.settle();
    loop.log.isSlow = true;
    loop.node.step([loop.append(1, logOf([1], 2), 1)]);
    await loop.settle();
    let isClosed = false;
    const closing = loop.node.close().then(() => (isClosed = true));
    await loop.settle();
    assert.equal(isClosed, false);
    loop.log.release();
    await closing;
    assert.equal(loop.log.storage.initialState().hardState.commit, 1);
    assert.equal(loop.log.storage.lastIndex(), 2);
    await assert.rejects(
      loop.node.exclusively(() => Promise.resolve()),
      { code: "stopped" },
    );
  });
});

describe("what a member answers for", () => {
  it("is what it told the leader, once that is durable, and begins anew with a term", async () => {
    const loop = await Loop.following();
    assert.deepEqual(loop.node.position, { term: 1, index: 0 });
    loop.log.isSlow = true;
    loop.node.step([loop.append(0, logOf([1, 1]), 0)]);
    await loop.settle();
    assert.deepEqual(loop.node.position, { term: 1, index: 0 });
    loop.log.release();
    await loop.settle();
    assert.deepEqual(loop.node.position, { term: 1, index: 2 });
    loop.node.step([loop.heartbeat(2)]);
    await loop.settle();
    assert.deepEqual(loop.node.position, { term: 2, index: 0 });
  });

  it("is its durable log while it leads, and it knows what others told it", async () => {
    const loop = await Loop.leading();
    const { term } = loop.node;
    loop.propose("a");
    await loop.settle();
    assert.deepEqual(loop.node.position, { term, index: 2 });
    assert.equal(loop.node.acknowledgedBy("2"), undefined);
    const hint = { reject: false, rejectHint: 0, rejectTerm: 0 };
    loop.node.step([{ type: "appendResponse", from: "2", to: "1", term, index: 1, ...hint }]);
    await loop.settle();
    assert.deepEqual(loop.node.acknowledgedBy("2"), { term, index: 1 });
  });
});

describe("a member that may not vote", () => {
  it("neither stands nor answers who does, and follows who leads", async () => {
    let mayVote = false;
    const loop = new Loop({ voters: ["1", "2"], mayVote: () => mayVote });
    loop.node.campaign();
    await loop.settle();
    const vote = { type: "vote", from: "2", to: "1", term: 9, force: false } as const;
    loop.node.step([{ ...vote, lastIndex: 5, lastTerm: 5 }]);
    loop.node.step([{ type: "timeoutNow", from: "2", to: "1", term: 9 }]);
    await loop.settle();
    assert.deepEqual(loop.typesSent(), []);
    loop.node.step([{ ...loop.append(0, logOf([1]), 1), term: 9 }]);
    await loop.settle();
    assert.deepEqual(loop.typesSent(), ["appendResponse"]);
    assert.equal(loop.node.leader, "2");
    mayVote = true;
    loop.node.step([{ ...vote, term: 10, lastIndex: 5, lastTerm: 9, force: true }]);
    await loop.settle();
    assert.deepEqual(loop.typesSent(), ["voteResponse"]);
  });
});

describe("a leader that contradicts a committed entry", () => {
  it("is reported with that entry, and reads can be held until more is known", async () => {
    const loop = await Loop.following();
    loop.node.step([loop.append(0, logOf([1, 1]), 2)]);
    await loop.settle();
    const answers: unknown[] = [];
    loop.node.readIndex((error) => answers.push(error));
    await loop.settle();
    const request = loop.transport.take().find(({ type }) => type === "readIndex");
    assert.ok(request?.type === "readIndex");
    loop.node.step([{ ...loop.append(1, logOf([3], 2), 2), term: 3 }]);
    assert.deepEqual(loop.contradicted, [{ index: 2, term: 1 }]);
    loop.node.holdReads(true);
    const { context } = request;
    loop.node.step([{ type: "readIndexResponse", from: "2", to: "1", term: 1, context, index: 2 }]);
    await loop.settle();
    assert.deepEqual(answers, []);
    loop.node.holdReads(false);
    assert.deepEqual(answers, [undefined]);
    assert.deepEqual(
      [1, 2, 3].map((index) => loop.node.committedTerm(index)),
      [1, 1, 0],
    );
  });

  type Input =
    | "campaign"
    | "connectionLost"
    | "reportSnapshot"
    | "reportUnreachable"
    | "tick"
    | "transferLeader";
  const inputs: readonly (readonly [name: Input, call: (node: RaftNode) => void])[] = [
    [
      "tick",
      (node) => {
        node.tick();
      },
    ],
    [
      "campaign",
      (node) => {
        node.campaign();
      },
    ],
    [
      "transferLeader",
      (node) => {
        node.transferLeader("2");
      },
    ],
    [
      "connectionLost",
      (node) => {
        node.connectionLost("2");
      },
    ],
    [
      "reportUnreachable",
      (node) => {
        node.reportUnreachable("2");
      },
    ],
    [
      "reportSnapshot",
      (node) => {
        node.reportSnapshot("2", false);
      },
    ],
  ];
  for (const [name, call] of inputs) {
    it(`ends the member once, and not its caller, when an invariant breaks in ${name}()`, async () => {
      const loop = new Loop({ voters: ["1", "2"] });
      const broken = new InvariantError("broken");
      const core = mock.method(RawNode.prototype, name, () => {
        throw broken;
      });
      call(loop.node);
      call(loop.node);
      core.mock.restore();
      assert.deepEqual(loop.fatal, [broken]);
      loop.transport.take();
      for (let ticks = 0; ticks < 50; ticks += 1) loop.node.tick();
      await turn();
      assert.deepEqual(loop.transport.take(), [], "it stands for nothing any more");
    });
  }
});
