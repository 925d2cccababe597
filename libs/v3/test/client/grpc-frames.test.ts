/** The framing of gRPC messages. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeFrame, FrameDecoder } from "../../src/client/grpc-frames.ts";
import { V3Error } from "../../src/client/v3-error.ts";

test("messages come out as they went in, however the bytes are cut", () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
  const cuts = fc.array(fc.integer({ min: 1, max: 13 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(messages, cuts, (sent, sizes) => {
      const bytes = Buffer.concat(sent.map((message) => encodeFrame(message)));
      const decoder = new FrameDecoder(100);
      const received: Buffer[] = [];
      let at = 0;
      for (let turn = 0; at < bytes.length; turn += 1) {
        const size = sizes[turn % sizes.length] ?? 1;
        received.push(...decoder.push(bytes.subarray(at, at + size)));
        at += size;
      }
      assert.deepEqual(
        received.map((message) => message.toString("hex")),
        sent.map((message) => Buffer.from(message).toString("hex")),
      );
      assert.equal(decoder.pendingBytes, 0);
    }),
  );
});

test("a compressed message and one beyond the limit are refused", () => {
  const compressed = encodeFrame(Buffer.from("x"));
  compressed[0] = 1;
  assert.throws(() => new FrameDecoder(100).push(compressed), V3Error);
  assert.throws(() => new FrameDecoder(100).push(encodeFrame(Buffer.alloc(101))), V3Error);
});
