/** Snapshot transfers over real sockets: intact, interrupted, damaged, stalled, superseded. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { status as grpcStatus } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import type { NodeId, SnapshotMessage } from "../../src/core/model/types.ts";
import * as frames from "../../src/codec/frames.ts";
import type { Hello } from "../../src/codec/frames.ts";
import { createPeerClient } from "../../src/transport/peer-client.ts";
import { asBytes, SNAPSHOT_PATH } from "../../src/transport/raft-service-definition.ts";
import { rechunk } from "../../src/transport/snapshots/snapshot-sender.ts";
import {
  CLUSTER,
  connect,
  connected,
  memberId,
  membersOfEachTest,
  Relay,
} from "./grpc-transport-harness.ts";
import { until } from "./grpc-transport-harness.ts";
import type { MemberOptions, TestMember } from "./grpc-transport-harness.ts";

const { start, cleanups } = membersOfEachTest();

async function startPair(limits: MemberOptions["limits"] = {}): Promise<[TestMember, TestMember]> {
  const pair: [TestMember, TestMember] = [await start(1, { limits }), await start(2, { limits })];
  connect(...pair);
  await connected(...pair);
  return pair;
}

function snapshotMessage(from: NodeId, to: NodeId, term = 3): SnapshotMessage {
  const confState = {
    voters: [from],
    learners: [to],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  return { type: "snapshot", from, to, term, snapshot: { index: 77, term: 2, confState } };
}

/** Bytes that depend on their position, in chunks of uneven size; counts how far it was read. */
class Source {
  read = 0;
  closed = false;
  readonly #bytes: number;
  readonly #chunk: number;
  /** Awaited before each chunk. */
  pause: () => Promise<void> = () => Promise.resolve();

  constructor(bytes: number, chunk: number) {
    this.#bytes = bytes;
    this.#chunk = chunk;
  }

  async *open(): AsyncGenerator<Uint8Array> {
    try {
      while (this.read < this.#bytes) {
        await this.pause();
        const size = Math.min(this.#bytes - this.read, 1 + (this.read % this.#chunk));
        yield sourceBytes(this.read, size);
        this.read += size;
      }
    } finally {
      this.closed = true;
    }
  }
}

function sourceBytes(from: number, size: number): Buffer {
  const out = Buffer.alloc(size);
  for (let i = 0; i < size; i++) out[i] = ((from + i) * 31) >>> 3;
  return out;
}

function digest(chunks: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest("hex");
}

describe("a snapshot", () => {
  it("of several megabytes arrives intact, in chunks of 64 to 256 KiB", async () => {
    const [a, b] = await startPair();
    const source = new Source(9_000_000, 400_000);
    a.listener.source = () => source.open();
    const message = snapshotMessage(a.id, b.id);
    a.transport.send([message]);
    await until(() => a.listener.snapshotsSent.length > 0, "the report");
    assert.deepEqual(a.listener.snapshotsSent, [{ id: b.id, ok: true }]);
    const [sink] = b.listener.sinks;
    assert.ok(sink !== undefined && sink.outcome === "committed");
    assert.deepEqual(sink.message, message);
    assert.equal(digest(sink.chunks), digest([sourceBytes(0, 9_000_000)]));
    for (const chunk of sink.chunks.slice(0, -1)) {
      assert.ok(chunk.length >= 65536 && chunk.length <= 262144, `chunk of ${chunk.length}`);
    }
    assert.ok(source.closed);
  });

  it("may be empty", async () => {
    const [a, b] = await startPair();
    a.listener.source = () => new Source(0, 1).open();
    a.transport.send([snapshotMessage(a.id, b.id)]);
    await until(() => a.listener.snapshotsSent.length > 0, "the report");
    assert.deepEqual(a.listener.snapshotsSent, [{ id: b.id, ok: true }]);
    assert.equal(b.listener.sinks[0]?.outcome, "committed");
  });

  it("is opened in the same turn as it is sent, and read no faster than it is stored", async () => {
    const [a, b] = await startPair();
    const gate = Promise.withResolvers<undefined>();
    b.listener.prepareSink = (sink) => {
      sink.gate = gate.promise;
    };
    const source = new Source(100_000_000, 200_000);
    let opened = false;
    a.listener.source = () => {
      opened = true;
      return source.open();
    };
    a.transport.send([snapshotMessage(a.id, b.id)]);
    assert.ok(opened);
    // Raft messages pass while the transfer waits for the disk of the receiver.
    let read = -1;
    for (let round = 0; read !== source.read || round < 30; round++) {
      read = source.read;
      const count = b.listener.messages.length;
      a.transport.send([{ type: "timeoutNow", from: a.id, to: b.id, term: 1 }]);
      await until(() => b.listener.messages.length > count, "a message");
    }
    assert.ok(source.read > 0 && source.read < 20_000_000, `read ${source.read} ahead`);
    gate.resolve(undefined);
    await a.transport.close();
    assert.ok(source.closed);
  });

  it("is sent to one peer at a time, and to a bounded number of peers", async () => {
    const a = await start(1, { limits: { snapshotsMax: 2 } });
    const others = [await start(2), await start(3), await start(4)];
    connect(a, ...others);
    await connected(a, ...others);
    const gate = Promise.withResolvers<undefined>();
    let opened = 0;
    a.listener.source = () => {
      opened++;
      const source = new Source(1000, 1000);
      source.pause = () => gate.promise;
      return source.open();
    };
    const [b, c, d] = others.map(({ id }) => snapshotMessage(a.id, id));
    assert.ok(b !== undefined && c !== undefined && d !== undefined);
    a.transport.send([b, b, c, d]);
    assert.equal(a.listener.snapshotsSent.length, 0, "never reported from within send");
    await until(() => a.listener.snapshotsSent.length === 2, "the refusals");
    assert.deepEqual(a.listener.snapshotsSent, [
      { id: b.to, ok: false },
      { id: d.to, ok: false },
    ]);
    assert.equal(opened, 2);
    gate.resolve(undefined);
    await until(() => a.listener.snapshotsSent.length === 4, "the deliveries");
    assert.deepEqual(
      a.listener.snapshotsSent.slice(2).map(({ ok }) => ok),
      [true, true],
    );
    a.transport.send([d]);
    await until(() => a.listener.snapshotsSent.length === 5, "the next");
    assert.equal(a.listener.snapshotsSent.at(-1)?.ok, true);
  });

  it("to a peer nobody knows, or that is not there, is reported as not sent", async () => {
    const a = await start(1);
    const source = new Source(1000, 100);
    a.listener.source = () => source.open();
    a.transport.send([snapshotMessage(a.id, memberId(5))]);
    await until(() => a.listener.snapshotsSent.length === 1, "the report");
    a.transport.addPeer({ id: memberId(6), urls: ["http://127.0.0.1:1"] });
    a.transport.send([snapshotMessage(a.id, memberId(6))]);
    await until(() => a.listener.snapshotsSent.length === 2, "the report");
    assert.deepEqual(a.listener.snapshotsSent, [
      { id: memberId(5), ok: false },
      { id: memberId(6), ok: false },
    ]);
  });
});

describe("a transfer that fails", () => {
  it("by a broken connection is aborted at one end, reported at the other, and can be repeated", async () => {
    const [a, b] = [await start(1), await start(2)];
    const relay = await Relay.start(b.port);
    cleanups.push(() => relay.close());
    a.transport.addPeer({ id: b.id, urls: [relay.url] });
    await until(() => a.transport.activeSince(b.id) > 0, "the link");
    const source = new Source(50_000_000, 300_000);
    a.listener.source = () => source.open();
    a.transport.send([snapshotMessage(a.id, b.id)]);
    await until(() => (b.listener.sinks[0]?.chunks.length ?? 0) > 5, "some chunks");
    relay.reset();
    await until(() => a.listener.snapshotsSent.length > 0, "the report");
    assert.deepEqual(a.listener.snapshotsSent, [{ id: b.id, ok: false }]);
    await until(() => b.listener.sinks[0]?.outcome === "aborted", "the abort");
    await until(() => source.closed, "the source closed");

    a.listener.source = () => new Source(300_000, 1000).open();
    a.transport.send([snapshotMessage(a.id, b.id)]);
    await until(() => a.listener.snapshotsSent.length > 1, "the second report");
    assert.equal(a.listener.snapshotsSent[1]?.ok, true);
    assert.equal(b.listener.sinks[1]?.outcome, "committed");
  });

  it("by an error of the source, of the sink, or of commit is reported and leaves no half", async () => {
    const [a, b] = await startPair();
    const broken = new Source(1_000_000, 1000);
    broken.pause = async () => {
      if (broken.read < 500_000) return;
      await until(() => b.listener.sinks.length > 0, "the transfer begun");
      throw new Error("EIO");
    };
    a.listener.source = () => broken.open();
    a.transport.send([snapshotMessage(a.id, b.id)]);
    await until(() => a.listener.snapshotsSent.length === 1, "the report");
    await until(() => b.listener.sinks[0]?.outcome === "aborted", "the abort");

    b.listener.prepareSink = (sink) => {
      sink.gate = Promise.reject(new Error("ENOSPC"));
      sink.gate.catch(() => undefined);
    };
    a.listener.source = () => new Source(1_000_000, 1000).open();
    a.transport.send([snapshotMessage(a.id, b.id)]);
    await until(() => a.listener.snapshotsSent.length === 2, "the report");
    assert.equal(b.listener.sinks[1]?.outcome, "aborted");
    assert.equal(b.listener.sinks[1].reason?.message, "ENOSPC");

    b.listener.prepareSink = (sink) => {
      sink.commit = () => Promise.reject(new Error("cannot install"));
    };
    a.listener.source = () => new Source(1000, 1000).open();
    a.transport.send([snapshotMessage(a.id, b.id)]);
    await until(() => a.listener.snapshotsSent.length === 3, "the report");
    assert.equal(b.listener.sinks[2]?.outcome, "open", "commit failed; it is not aborted as well");
    assert.ok(a.listener.snapshotsSent.every(({ ok }) => !ok));
  });

  it("by a source that stalls is given up by both ends", async () => {
    const [a, b] = await startPair({ snapshotStallMs: 1000 });
    const source = new Source(1_000_000, 200_000);
    const gate = Promise.withResolvers<undefined>();
    source.pause = () => (source.read > 300_000 ? gate.promise : Promise.resolve());
    a.listener.source = () => source.open();
    a.transport.send([snapshotMessage(a.id, b.id)]);
    await until(() => b.listener.sinks[0]?.outcome === "aborted", "the abort");
    gate.resolve(undefined);
    await until(() => a.listener.snapshotsSent.length > 0, "the report");
    assert.deepEqual(a.listener.snapshotsSent, [{ id: b.id, ok: false }]);
  });

  it("by the removal of the peer or the end of the member is aborted", async () => {
    const [a, b] = await startPair();
    for (const end of [
      (): void => {
        a.transport.removePeer(b.id);
        a.transport.addPeer({ id: b.id, urls: [b.url] });
      },
      (): void => void b.transport.close(),
    ]) {
      const source = new Source(500_000_000, 300_000);
      a.listener.source = () => source.open();
      const [sinks, reports] = [b.listener.sinks.length, a.listener.snapshotsSent.length];
      a.transport.send([snapshotMessage(a.id, b.id)]);
      await until(() => (b.listener.sinks[sinks]?.chunks.length ?? 0) > 2, "some chunks");
      end();
      await until(() => b.listener.sinks[sinks]?.outcome === "aborted", "the abort");
      await until(() => a.listener.snapshotsSent.length > reports, "the report");
      assert.equal(a.listener.snapshotsSent.at(-1)?.ok, false);
    }
  });
});

/** Sends hand-made chunks; resolves with the status the receiver answers. */
function transfer(url: string, chunks: readonly Buffer[], end = true): Promise<grpcStatus> {
  const client = createPeerClient({ url, credentials: undefined, frameBytesMax: 1 << 20 });
  return new Promise<grpcStatus>((resolve) => {
    const call = client.makeClientStreamRequest<Buffer, Buffer>(
      SNAPSHOT_PATH,
      asBytes,
      asBytes,
      (error: ServiceError | null) => {
        resolve(error?.code ?? grpcStatus.OK);
      },
    );
    call.on("error", () => undefined);
    for (const chunk of chunks) call.write(chunk);
    if (end) call.end();
  }).finally(() => {
    client.close();
  });
}

function hello(from: NodeId, to: NodeId, clusterId = CLUSTER): Hello {
  return { clusterId, from, to, serverVersion: "2.4.0", minClusterVersion: "2.3.0" };
}

describe("the receiver", () => {
  const from = memberId(1);
  const to = memberId(2);
  const header = frames.encodeSnapshotHeader(hello(from, to), snapshotMessage(from, to));
  const body = Buffer.from("the state machine");
  const data = frames.encodeSnapshotData(body);
  const trailer = frames.encodeSnapshotTrailer(body.length, crc32(body));
  const corrupt = frames.encodeSnapshotData(Buffer.from("the state mochine"));
  const { OK, INVALID_ARGUMENT, DATA_LOSS, FAILED_PRECONDITION } = grpcStatus;
  const cases: readonly (readonly [string, readonly Buffer[], grpcStatus, boolean])[] = [
    ["takes header, data and trailer", [header, data, trailer], OK, true],
    ["refuses a corrupted chunk", [header, corrupt, trailer], DATA_LOSS, true],
    ["refuses a missing chunk", [header, trailer], DATA_LOSS, true],
    ["refuses a repeated chunk", [header, data, data, trailer], DATA_LOSS, true],
    ["refuses an end without a trailer", [header, data], DATA_LOSS, true],
    ["refuses a second header", [header, header], INVALID_ARGUMENT, true],
    ["refuses data without a header", [data, trailer], INVALID_ARGUMENT, false],
    ["refuses nothing at all", [], INVALID_ARGUMENT, false],
    ["refuses bytes that are no chunk", [Buffer.from("garbage")], INVALID_ARGUMENT, false],
    [
      "refuses garbage after a good start",
      [header, data, Buffer.from("garbage")],
      INVALID_ARGUMENT,
      true,
    ],
    [
      "refuses a header for another member",
      [frames.encodeSnapshotHeader(hello(from, memberId(3)), snapshotMessage(from, memberId(3)))],
      FAILED_PRECONDITION,
      false,
    ],
    [
      "refuses a header of another cluster",
      [frames.encodeSnapshotHeader(hello(from, to, "other"), snapshotMessage(from, to))],
      FAILED_PRECONDITION,
      false,
    ],
    [
      "refuses a message from somebody else than the caller",
      [frames.encodeSnapshotHeader(hello(from, to), snapshotMessage(memberId(7), to))],
      INVALID_ARGUMENT,
      false,
    ],
    [
      "refuses a header with a message that is no snapshot",
      [frames.encodeSnapshotHeader(hello(from, to), { type: "timeoutNow", from, to, term: 1 })],
      INVALID_ARGUMENT,
      false,
    ],
  ];
  for (const [title, chunks, expected, opens] of cases) {
    it(`${title}, and a sink it opened is ended`, async () => {
      const member = await start(2);
      assert.equal(await transfer(member.url, chunks), expected);
      const outcomes = member.listener.sinks.map(({ outcome }) => outcome);
      const ended = expected === OK ? "committed" : "aborted";
      assert.deepEqual(outcomes, opens ? [ended] : []);
    });
  }

  it("refuses a removed member by name", async () => {
    const member = await start(2);
    member.removedIds.add(from);
    const answer = await transfer(member.url, [header, data, trailer]);
    assert.equal(answer, grpcStatus.PERMISSION_DENIED);
    assert.deepEqual(member.listener.sinks, []);
  });

  it("gives a later transfer the place of an earlier one, unless its term is older", async () => {
    const member = await start(2);
    const headerOf = (id: number, term: number): Buffer => {
      return frames.encodeSnapshotHeader(
        hello(memberId(id), to),
        snapshotMessage(memberId(id), to, term),
      );
    };
    const first = transfer(member.url, [headerOf(1, 5), data], false);
    await until(() => member.listener.sinks[0]?.chunks.length === 1, "the first begun");
    assert.equal(await transfer(member.url, [headerOf(4, 4), data, trailer]), grpcStatus.ABORTED);
    assert.equal(await transfer(member.url, [headerOf(3, 6), data, trailer]), OK);
    assert.equal(await first, grpcStatus.ABORTED);
    const outcomes = member.listener.sinks.map(({ outcome }) => outcome);
    assert.deepEqual(outcomes, ["aborted", "committed"]);
  });
});

describe("chunks", () => {
  it("are joined and cut without losing or repeating a byte, whatever the source gives", async () => {
    const sizes = [1, 65_535, 65_536, 0, 262_144, 262_145, 1_000_000, 10, 327_679, 5];
    async function* source(): AsyncGenerator<Uint8Array> {
      // One buffer for all chunks, as a frugal source might do it.
      const buffer = Buffer.alloc(1_000_000);
      let at = 0;
      for (const size of sizes) {
        sourceBytes(at, size).copy(buffer);
        at += size;
        yield buffer.subarray(0, size);
        await Promise.resolve();
      }
    }
    const copies: Uint8Array[] = [];
    for await (const chunk of rechunk(source())) copies.push(new Uint8Array(chunk));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    assert.equal(digest(copies), digest([sourceBytes(0, total)]));
    for (const chunk of copies.slice(0, -1)) {
      assert.ok(chunk.length >= 65536 && chunk.length <= 262144, `chunk of ${chunk.length}`);
    }
  });
});
