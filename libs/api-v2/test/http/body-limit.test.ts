/** Bodies that are still arriving share one bound, whoever sends them. */
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { bodyBytesHeld, readBody } from "../../src/http/body-limit.ts";
import { BusyError } from "../../src/http/busy-error.ts";
import { BODIES_BYTES_MAX, FORM_BODY_BYTES_MAX } from "../../src/ports/limits.ts";

const CHUNK = Buffer.alloc(1 << 20);

class Arriving {
  readonly stream = new PassThrough();
  readonly body: Promise<string | undefined>;
  constructor() {
    const request = Object.assign(this.stream, { headers: { "transfer-encoding": "chunked" } });
    this.body = new Promise((resolve, reject) => {
      readBody(request as unknown as IncomingMessage, FORM_BODY_BYTES_MAX, resolve, reject);
    });
    this.body.catch(() => undefined);
  }

  async send(chunks: number): Promise<void> {
    for (let sent = 0; sent < chunks; sent++) {
      this.stream.write(CHUNK);
      await turn();
    }
  }
}

test("a body too many is told that it is, and room comes back with every end", async () => {
  const perBody = 9;
  const fitting = Math.floor(BODIES_BYTES_MAX / ((perBody - 1) * CHUNK.length));
  const bodies: Arriving[] = [];
  for (let count = 0; count < fitting; count++) {
    const arriving = new Arriving();
    await arriving.send(perBody);
    bodies.push(arriving);
  }
  assert.equal(bodyBytesHeld(), fitting * (perBody - 1) * CHUNK.length);
  const late = new Arriving();
  await late.send(2 + (BODIES_BYTES_MAX - bodyBytesHeld()) / CHUNK.length);
  await assert.rejects(late.body, BusyError);
  // One that comes in one piece is not held, and not refused.
  const small = new Arriving();
  small.stream.end("value=1");
  assert.equal(await small.body, "value=1");
  const [first, second, ...rest] = bodies;
  first?.stream.end();
  assert.equal((await first?.body)?.length, perBody * CHUNK.length);
  second?.stream.destroy();
  await turn();
  assert.equal(bodyBytesHeld(), rest.length * (perBody - 1) * CHUNK.length);
  const again = new Arriving();
  await again.send(perBody);
  again.stream.end();
  assert.equal((await again.body)?.length, perBody * CHUNK.length);
  for (const { stream } of rest) stream.destroy();
  await turn();
  assert.equal(bodyBytesHeld(), 0);
});

test("an oversized body gives back what it held when it is refused", async () => {
  const large = new Arriving();
  await large.send(11);
  assert.equal(await large.body, undefined);
  assert.equal(bodyBytesHeld(), 0);
  large.stream.destroy();
});
