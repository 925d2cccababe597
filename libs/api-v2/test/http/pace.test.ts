import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { paced, type PaceClock } from "../../src/http/pace.ts";

const COUNT = 20;
const PIECE_MS = 4;

/** Pieces that take a while to make, on a clock where others take `othersMs` of each turn. */
async function run(othersMs: (piece: number) => number): Promise<{
  readonly pieces: readonly number[];
  readonly rests: readonly number[];
}> {
  let now = 0;
  let made = 0;
  const rests: number[] = [];
  const clock: PaceClock = {
    now: () => now,
    turn: () => {
      now += othersMs(made);
      return Promise.resolve();
    },
    rest: (ms) => {
      now += ms;
      rests.push(ms);
      return Promise.resolve();
    },
  };
  async function* source(): AsyncGenerator<number, void> {
    for (; made < COUNT; made += 1) {
      now += PIECE_MS;
      yield await Promise.resolve(made);
    }
  }
  const pieces: number[] = [];
  for await (const piece of paced(source(), clock)) pieces.push(piece);
  return { pieces, rests };
}

const ALL = Array.from({ length: COUNT }, (_, at) => at);

describe("paced work", () => {
  it("does not rest while nobody else needs the loop", async () => {
    assert.deepEqual(await run(() => 0.05), { pieces: ALL, rests: [] });
  });

  it("leaves others the larger part of the time while they need it", async () => {
    const { pieces, rests } = await run(() => 2);
    assert.deepEqual(pieces, ALL);
    assert.equal(rests.length, COUNT);
    for (const ms of rests) assert.ok(ms >= 2 * PIECE_MS && ms <= 30, String(ms));
  });

  it("goes on resting for a while after the last request, and then no longer", async () => {
    const { rests } = await run((piece) => (piece === 0 ? 5 : 0));
    assert.ok(rests.length > 1 && rests.length < COUNT / 2, String(rests.length));
  });

  it("passes a failure on, and gives the source up when nobody wants more", async () => {
    let isClosed = false;
    async function* failing(): AsyncGenerator<number, void> {
      try {
        yield await Promise.resolve(1);
        throw new Error("broken");
      } finally {
        isClosed = true;
      }
    }
    await assert.rejects(async () => {
      for await (const piece of paced(failing())) assert.equal(piece, 1);
    }, /broken/);
    isClosed = false;
    for await (const piece of paced(failing())) {
      assert.equal(piece, 1);
      break;
    }
    assert.ok(isClosed);
  });
});
