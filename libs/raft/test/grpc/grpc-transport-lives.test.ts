/** Greetings between members that remember each other's data directories, over real connections. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NodeId } from "../../src/core/model/types.ts";
import type { Life, LifeRegistry, Position } from "../../src/lives/peer-lives.ts";
import { connect, connected, membersOfEachTest, until } from "./grpc-transport-harness.ts";

const members = membersOfEachTest();

/** Notes what it is told, and disowns whom a test says. */
class NotingRegistry implements LifeRegistry {
  readonly own: Life;
  at: Position = { term: 1, index: 1 };
  disowned = "";
  readonly met: (readonly [NodeId, string | undefined])[] = [];
  readonly positions: Position[] = [];

  constructor(name: string) {
    const id = name.padStart(16, "0");
    const numbers = { starts: 2, term: 3, lastIndex: 4, end: { term: 3, index: 9 } };
    this.own = { incarnation: id, session: id, ...numbers, isFounding: false, currentTerm: 5 };
  }
  position(): Position {
    return this.at;
  }
  validateLife(id: NodeId, life: Life): string | undefined {
    return life.incarnation === this.disowned ? `member ${id} is another` : undefined;
  }
  greeted(id: NodeId, life: Life | undefined): void {
    this.met.push([id, life?.incarnation]);
  }
  answersFor(_id: NodeId, position: Position): void {
    this.positions.push(position);
  }
}

describe("members that are dialled", () => {
  it("say whose directory it is, what they answer for, and when that changes", async () => {
    const [ofA, ofB] = [new NotingRegistry("a"), new NotingRegistry("b")];
    const a = await members.start(1, { transport: { lives: ofA } });
    const b = await members.start(2, { transport: { lives: ofB } });
    a.transport.addPeer({ id: b.id, urls: [b.url] });
    await until(() => ofA.positions.length > 0, "the position of the start");
    assert.deepEqual(ofA.met, [[b.id, ofB.own.incarnation]]);
    // Who only dials in has proved nothing.
    assert.deepEqual([ofB.met, ofB.positions], [[], []]);
    ofB.at = { term: 2, index: 70 };
    await until(() => ofA.positions.some(({ index }) => index === 70), "the new position");
    ofB.at = { term: 2, index: 71 };
    await b.transport.close();
    await until(() => ofA.positions.at(-1)?.index === 71, "the last position");
  });

  it("of earlier versions say nothing of it, and are let in", async () => {
    const ofA = new NotingRegistry("a");
    const a = await members.start(1, { transport: { lives: ofA } });
    const b = await members.start(2);
    connect(a, b);
    await connected(a, b);
    assert.deepEqual(ofA.met, [[b.id, undefined]]);
  });
});

describe("a member that is disowned", () => {
  it("is told so, and gets no message in or out", async () => {
    const [ofA, ofB] = [new NotingRegistry("a"), new NotingRegistry("b")];
    ofA.disowned = ofB.own.incarnation;
    const a = await members.start(1, { transport: { lives: ofA } });
    const b = await members.start(2, { transport: { lives: ofB } });
    connect(a, b);
    await until(() => b.listener.disowned.length > 0, "it is told");
    assert.match(b.listener.disowned[0] ?? "", /is another \(says 0+1\)/);
    await until(
      () => a.log.some(({ message }) => message === "peer refuses the connection"),
      "the other has looked at its answer",
    );
    assert.deepEqual([a.transport.activeSince(b.id), b.transport.activeSince(a.id)], [0, 0]);
    assert.deepEqual([ofA.met, a.listener.disowned], [[], []]);
  });
});
