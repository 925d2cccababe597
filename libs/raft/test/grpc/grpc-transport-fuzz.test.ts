/** The peer port against everything that is not a well-behaved member. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connect as dial } from "node:net";
import { after, before, describe, it } from "node:test";
import { Metadata, status as grpcStatus } from "@grpc/grpc-js";
import type { StatusObject } from "@grpc/grpc-js";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import type { Entry, Message } from "../../src/core/model/types.ts";
import * as frames from "../../src/codec/frames.ts";
import { createPeerClient } from "../../src/transport/peer-client.ts";
import {
  asBytes,
  SNAPSHOT_PATH,
  STREAM_PATH,
} from "../../src/transport/raft-service-definition.ts";
import { CLUSTER, memberId, TestMember, until } from "./grpc-transport-harness.ts";

const chance = new SeededRandom(seedOfRun("peer port fuzzing"));

function random(max: number): number {
  return chance.below(max);
}

function bytes(max: number): Buffer {
  return Buffer.from(Array.from({ length: random(max) }, () => random(256)));
}

const target = memberId(2);
const caller = memberId(1);
const hello = frames.encodeHelloFrame({
  clusterId: CLUSTER,
  from: caller,
  to: target,
  serverVersion: "2.4.0",
  minClusterVersion: "2.3.0",
});

function entryOf(bytes: number): Entry {
  return { term: 1, index: 1, type: "normal", data: Buffer.alloc(bytes) };
}

/** Opens a Stream call, writes `written` and resolves with the status it ends with. */
function stream(url: string, written: readonly Buffer[]): Promise<StatusObject> {
  const client = createPeerClient({ url, credentials: undefined, frameBytesMax: 1 << 20 });
  return new Promise<StatusObject>((resolve) => {
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(STREAM_PATH, asBytes, asBytes);
    call.on("error", () => undefined);
    call.on("data", () => undefined);
    call.on("status", resolve);
    for (const frame of written) call.write(frame);
    call.end();
  }).finally(() => {
    client.close();
  });
}

/** Writes raw bytes to the port and waits for the end of the connection, whoever ends it. */
async function raw(port: number, parts: readonly Buffer[]): Promise<void> {
  const socket = dial(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.on("data", () => undefined);
  for (const part of parts) socket.write(part);
  socket.end();
  await new Promise((resolve) => socket.once("close", resolve));
}

describe("the peer port survives", () => {
  let victim: TestMember;
  before(async () => {
    const limits = { dialTimeoutMs: 20_000, frameBytesMax: 100_000 };
    victim = await TestMember.start({ id: target, limits, frameBytesMax: 100_000 });
  });
  after(() => victim.stop());

  /** A good member is served as if nothing had happened. */
  async function stillWorks(): Promise<void> {
    const good = await TestMember.start({ id: caller });
    try {
      const count = victim.listener.messages.length;
      good.transport.addPeer({ id: target, urls: [victim.url] });
      const message: Message = { type: "timeoutNow", from: caller, to: target, term: 1 };
      good.transport.send([message]);
      await until(() => victim.listener.messages.length > count, "a message of a good member");
    } finally {
      await good.stop();
    }
  }

  it("random bytes, an HTTP/1 request and a TLS client", async () => {
    const parts = Array.from({ length: 50 }, () => [bytes(2000)]);
    parts.push([Buffer.from("GET /members HTTP/1.1\r\nHost: x\r\n\r\n")]);
    parts.push([Buffer.from("16030100a5010000a10303", "hex"), randomBytes(160)]);
    await Promise.all(parts.map((part) => raw(victim.port, part)));
    await stillWorks();
  });

  it("an HTTP/2 preface followed by random frames", async () => {
    const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const settings = Buffer.from("000000040000000000", "hex");
    const runs = Array.from({ length: 50 }, () => {
      const parts: Buffer[] = [preface, settings];
      for (let i = random(10); i >= 0; i--) {
        const payload = bytes(100);
        const head = Buffer.alloc(9);
        head.writeUIntBE(payload.length, 0, 3);
        head[3] = random(12);
        head[4] = random(256);
        head.writeUInt32BE(random(7), 5);
        parts.push(head, payload);
      }
      return raw(victim.port, parts);
    });
    await Promise.all(runs);
    await stillWorks();
  });

  it("streams of random frames, with and without a hello, and says why it ends them", async () => {
    for (let i = 0; i < 60; i++) {
      const garbage = Array.from({ length: 1 + random(4) }, () => bytes(300));
      const greeted = i % 2 === 0;
      const { code } = await stream(victim.url, greeted ? [hello, ...garbage] : garbage);
      const allowed = [grpcStatus.OK, grpcStatus.INVALID_ARGUMENT];
      assert.ok(allowed.includes(code), `status ${grpcStatus[code]}`);
    }
    const { code, details } = await stream(victim.url, [hello, Buffer.from("garbage")]);
    assert.equal(code, grpcStatus.INVALID_ARGUMENT);
    assert.match(details, /^invalid frame: /);
    await stillWorks();
  });

  it("batches damaged in one byte, and takes no message in another name from them", async () => {
    const message: Message = {
      type: "vote",
      from: caller,
      to: target,
      term: 7,
      lastIndex: 1,
      lastTerm: 1,
      force: false,
    };
    const batch = frames.encodeBatchFrame([message, message]);
    for (let i = 0; i < 100; i++) {
      const damaged = Buffer.from(batch);
      const at = random(damaged.length);
      damaged[at] = (damaged[at] ?? 0) ^ (1 + random(255));
      const count = victim.listener.messages.length;
      await stream(victim.url, [hello, damaged]);
      const arrived = victim.listener.messages.slice(count);
      assert.ok(arrived.length <= 2);
      for (const { from, to } of arrived) assert.deepEqual([from, to], [caller, target]);
    }
    await stillWorks();
  });

  it("frames larger than the limit", async () => {
    const { code } = await stream(victim.url, [hello, Buffer.alloc(200_000, 0x12)]);
    assert.equal(code, grpcStatus.RESOURCE_EXHAUSTED);
    await stillWorks();
  });

  it("callers that never say hello: they are cut off", async (t) => {
    const impatient = await TestMember.start({ id: target, limits: { dialTimeoutMs: 300 } });
    t.after(() => impatient.stop());
    const client = createPeerClient({
      url: impatient.url,
      credentials: undefined,
      frameBytesMax: 1000,
    });
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(STREAM_PATH, asBytes, asBytes);
    call.on("error", () => undefined);
    call.on("data", () => undefined);
    const status = await new Promise<StatusObject>((resolve) => call.once("status", resolve));
    client.close();
    assert.equal(status.code, grpcStatus.DEADLINE_EXCEEDED);
  });

  it("frames that bring nothing: a caller with many of them is cut off", async () => {
    const ping = frames.encodePingFrame(1);
    for (const idle of [Buffer.alloc(0), ping, Buffer.of(0x12, 0), Buffer.of(0x98, 6, 1)]) {
      const many = Array.from({ length: 2000 }, () => idle);
      const { code } = await stream(victim.url, [hello, ...many]);
      assert.equal(code, grpcStatus.RESOURCE_EXHAUSTED);
    }
    await stillWorks();
  });

  it("a long frame before the hello: it is not even read", async () => {
    const long = frames.encodeBatchFrame([
      { type: "propose", from: caller, to: target, term: 1, entries: [entryOf(10_000)] },
    ]);
    const { code, details } = await stream(victim.url, [long]);
    assert.equal(code, grpcStatus.INVALID_ARGUMENT);
    assert.match(details, /the first frame is not a hello/);
    await stillWorks();
  });

  it("very many streams of one member: the oldest make room, the newest is served", async () => {
    const client = createPeerClient({
      url: victim.url,
      credentials: undefined,
      frameBytesMax: 1000,
    });
    const ended: StatusObject[] = [];
    let greeted = 0;
    for (let i = 0; i < 12; i++) {
      const call = client.makeBidiStreamRequest<Buffer, Buffer>(STREAM_PATH, asBytes, asBytes);
      call.on("error", () => undefined);
      call.once("data", () => (greeted += 1));
      call.on("status", (status) => ended.push(status));
      call.write(hello);
    }
    await until(() => ended.length === 4 && greeted === 12, "four streams that made room");
    for (const { code } of ended) assert.equal(code, grpcStatus.RESOURCE_EXHAUSTED);
    client.close();
    await stillWorks();
  });

  it("a caller that pings without end and never reads an answer", async () => {
    const client = createPeerClient({
      url: victim.url,
      credentials: undefined,
      frameBytesMax: 1000,
    });
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(STREAM_PATH, asBytes, asBytes);
    call.on("error", () => undefined);
    call.pause();
    const ping = frames.encodePingFrame(1);
    // It is cut off long before; a call that has ended drains no more.
    const ended = new Promise<StatusObject>((resolve) => call.once("status", resolve));
    const over: StatusObject[] = [];
    void ended.then((status) => over.push(status));
    call.write(hello);
    for (let i = 0; i < 30_000 && over.length === 0; i++) {
      if (call.write(ping)) continue;
      await Promise.race([ended, new Promise((resolve) => call.once("drain", resolve))]);
    }
    call.resume();
    assert.equal((await ended).code, grpcStatus.RESOURCE_EXHAUSTED);
    call.cancel();
    client.close();
    await stillWorks();
  });

  it("unknown methods, wrong content types and unary garbage", async () => {
    const client = createPeerClient({
      url: victim.url,
      credentials: undefined,
      frameBytesMax: 1000,
    });
    for (const path of ["/raft.v1.RaftService/Nothing", "/", SNAPSHOT_PATH]) {
      const code = await new Promise<grpcStatus>((resolve) => {
        client.makeUnaryRequest<Buffer, Buffer>(
          path,
          asBytes,
          asBytes,
          bytes(100),
          new Metadata(),
          (error) => {
            resolve(error?.code ?? grpcStatus.OK);
          },
        );
      });
      assert.notEqual(code, grpcStatus.OK);
    }
    client.close();
    await stillWorks();
  });
});
