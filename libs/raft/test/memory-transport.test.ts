/** The network in memory: what it delivers, and the faults it can be told to have. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CodecError } from "../src/codec-error.ts";
import type { Message, NodeId, SnapshotMessage } from "../src/core/types.ts";
import { MemoryNetwork } from "../src/memory-transport.ts";
import type { MemoryTransport } from "../src/memory-transport.ts";
import { memberId, RecordingListener, until } from "./grpc-transport-harness.ts";

interface Member {
  readonly id: NodeId;
  readonly listener: RecordingListener;
  readonly transport: MemoryTransport;
}

function members(network: MemoryNetwork, count: number): readonly Member[] {
  const all = Array.from({ length: count }, (_, i) => {
    const listener = new RecordingListener();
    return { id: memberId(i + 1), listener, transport: network.join(memberId(i + 1), listener) };
  });
  for (const { transport } of all) {
    for (const { id } of all) if (id !== transport.id) transport.addPeer({ id, urls: [] });
  }
  return all;
}

function pair(network: MemoryNetwork): readonly [Member, Member] {
  const [a, b] = members(network, 2);
  assert.ok(a !== undefined && b !== undefined);
  return [a, b];
}

function beat(from: Member, to: Member, n: number): Message {
  return { type: "heartbeat", from: from.id, to: to.id, term: 1, commit: n, context: "" };
}

function commits(member: Member): number[] {
  return member.listener.messages.map((m) => (m.type === "heartbeat" ? m.commit : -1));
}

function snapshot(from: Member, to: Member): SnapshotMessage {
  const confState = {
    voters: [from.id],
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  return {
    type: "snapshot",
    from: from.id,
    to: to.id,
    term: 1,
    snapshot: { index: 1, term: 1, confState },
  };
}

describe("manual delivery", () => {
  it("moves nothing by itself and everything in order, a round at a time", () => {
    const network = new MemoryNetwork({ delivery: "manual" });
    const [a, b] = pair(network);
    a.transport.send([beat(a, b, 1), beat(a, b, 2)]);
    a.transport.send([beat(a, b, 3)]);
    assert.deepEqual(commits(b), []);
    assert.equal(network.pending, 3);
    b.listener.consume = (messages): void => {
      b.listener.messages.push(...messages);
      b.transport.send([beat(b, a, 9)]);
    };
    assert.equal(network.deliver(), 3);
    assert.deepEqual(commits(b), [1, 2, 3]);
    assert.deepEqual(commits(a), [], "answers wait for the next round");
    network.deliver();
    assert.deepEqual(commits(a), [9, 9, 9]);
  });

  it("hands over copies that went through the codec", () => {
    const network = new MemoryNetwork({ delivery: "manual" });
    const [a, b] = pair(network);
    const message = beat(a, b, 1);
    a.transport.send([message]);
    network.deliver();
    assert.deepEqual(b.listener.messages, [message]);
    assert.notEqual(b.listener.messages[0], message);
    const bad: Message = { ...message, term: -1 };
    assert.throws(() => {
      a.transport.send([bad]);
    }, CodecError);
  });

  it("loses, delays and reorders as told", () => {
    const network = new MemoryNetwork({ delivery: "manual" });
    const [a, b] = pair(network);
    network.loseIf = (m) => m.type === "heartbeat" && m.commit === 2;
    network.delayRounds = (m) => (m.type === "heartbeat" && m.commit === 1 ? 2 : 0);
    a.transport.send([beat(a, b, 1), beat(a, b, 2), beat(a, b, 3)]);
    assert.deepEqual([network.deliver(), network.deliver(), network.deliver()], [1, 0, 1]);
    assert.deepEqual(commits(b), [3, 1]);
    assert.deepEqual(a.listener.unreachable, [], "a lost message is lost silently");
  });

  it("to strangers and of closed members drops", async () => {
    const network = new MemoryNetwork({ delivery: "manual" });
    const [a, b] = pair(network);
    a.transport.removePeer(b.id);
    a.transport.send([beat(a, b, 1)]);
    assert.equal(network.pending, 0);
    await b.transport.close();
    b.transport.send([beat(b, a, 1)]);
    assert.equal(network.pending, 0);
    assert.equal(a.transport.activeSince(b.id), 0);
  });
});

describe("partitions", () => {
  it("cut both ways between groups, are reported as unreachable, and heal", () => {
    const network = new MemoryNetwork({ delivery: "manual" });
    const [a, b, c] = members(network, 3);
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    network.partition([a.id], [b.id, c.id]);
    for (const [from, to] of [
      [a, b],
      [b, a],
      [b, c],
    ] as const)
      from.transport.send([beat(from, to, 1)]);
    network.deliver();
    assert.deepEqual([commits(a), commits(b), commits(c)], [[], [], [1]]);
    assert.deepEqual([a.listener.unreachable, b.listener.unreachable], [[b.id], [a.id]]);
    assert.equal(a.transport.activeSince(b.id), 0);
    assert.equal(b.transport.activeSince(c.id), 1);
    network.heal();
    a.transport.send([beat(a, b, 2)]);
    network.deliver();
    assert.deepEqual(commits(b), [2]);
  });

  it("may be one-way", () => {
    const network = new MemoryNetwork({ delivery: "manual" });
    const [a, b] = pair(network);
    network.cut(a.id, b.id);
    a.transport.send([beat(a, b, 1)]);
    b.transport.send([beat(b, a, 2)]);
    network.deliver();
    assert.deepEqual([commits(a), commits(b)], [[2], []]);
  });
});

describe("members that go", () => {
  it("by a crash are reported lost to those who knew them, with all that was under way", () => {
    const network = new MemoryNetwork({ delivery: "manual" });
    const [a, b] = pair(network);
    a.transport.send([beat(a, b, 1)]);
    b.transport.send([beat(b, a, 2)]);
    network.crash(b.id);
    assert.deepEqual(
      a.listener.lost.map(({ id }) => id),
      [b.id],
    );
    assert.equal(network.deliver(), 0);
    const listener = new RecordingListener();
    network.join(b.id, listener);
    a.transport.send([beat(a, b, 3)]);
    network.deliver();
    assert.equal(listener.messages.length, 1);
    assert.deepEqual(commits(b), [], "the old process gets nothing");
  });

  it("by removal are told so", () => {
    const network = new MemoryNetwork({ delivery: "manual" });
    const [a, b] = pair(network);
    network.remove(a.id);
    a.transport.send([beat(a, b, 1)]);
    network.deliver();
    assert.equal(a.listener.removed.length, 1);
    assert.deepEqual(commits(b), []);
  });
});

describe("automatic delivery", () => {
  it("follows each turn, keeps going for delayed messages, and starves no timer", async () => {
    const network = new MemoryNetwork({ delivery: "automatic" });
    const [a, b] = pair(network);
    network.delayRounds = () => 1;
    let turns = 0;
    let stop = false;
    b.listener.consume = (): void => {
      if (!stop) b.transport.send([beat(b, a, ++turns)]);
    };
    a.listener.consume = (): void => {
      a.transport.send([beat(a, b, 1)]);
    };
    a.transport.send([beat(a, b, 1)]);
    assert.equal(turns, 0, "not from within send");
    await until(() => turns > 20, "a conversation");
    stop = true;
  });
});

describe("snapshots", () => {
  it("are copied from source to sink and reported", async () => {
    const network = new MemoryNetwork({ delivery: "manual" });
    const [a, b] = pair(network);
    a.listener.source = async function* () {
      yield Buffer.from("one ");
      await Promise.resolve();
      yield Buffer.from("two");
    };
    a.transport.send([snapshot(a, b)]);
    network.deliver();
    await network.settled();
    assert.deepEqual(a.listener.snapshotsSent, [{ id: b.id, ok: true }]);
    const [sink] = b.listener.sinks;
    assert.ok(sink?.outcome === "committed");
    assert.equal(Buffer.concat(sink.chunks).toString(), "one two");
  });

  it("that break off are aborted, reported, and their source is closed", async () => {
    for (const fault of ["crash of the receiver", "cut", "loss", "error"] as const) {
      const network = new MemoryNetwork({ delivery: "manual" });
      const [a, b] = pair(network);
      let closed = false;
      a.listener.source = () => {
        let sent = 0;
        const next = (): Promise<IteratorResult<Uint8Array>> => {
          sent++;
          if (sent === 3 && fault === "cut") network.cut(a.id, b.id);
          if (sent === 3 && fault === "crash of the receiver") network.crash(b.id);
          if (sent === 3 && fault === "error") return Promise.reject(new Error("EIO"));
          return Promise.resolve({ done: false, value: Buffer.from("x") });
        };
        const close = (): Promise<IteratorResult<Uint8Array>> => {
          closed = true;
          return Promise.resolve({ done: true, value: undefined });
        };
        return { [Symbol.asyncIterator]: () => ({ next, return: close }) };
      };
      if (fault === "loss") network.loseIf = () => true;
      a.transport.send([snapshot(a, b)]);
      network.deliver();
      await network.settled();
      assert.deepEqual(a.listener.snapshotsSent, [{ id: b.id, ok: false }], fault);
      const outcomes = b.listener.sinks.map(({ outcome }) => outcome);
      assert.deepEqual(outcomes, fault === "loss" ? [] : ["aborted"], fault);
      assert.ok(closed, `source closed after ${fault}`);
    }
  });
});
