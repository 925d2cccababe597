/**
 * What may arrive at the peer port: noise, broken HTTP/2, gRPC that is not ours, members of other
 * clusters, and messages that look like a member's and cannot be. Nothing here is a lawful write.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  EntryType,
  HelloSchema,
  MessageBatchSchema,
  MessageSchema,
  MessageType,
  StreamFrameSchema,
} from "@etcd2/proto/raft";
import type { EntrySchema, Hello } from "@etcd2/proto/raft";
import type { Chance } from "./chance.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** An HTTP/2 frame with the length it has, or another. */
function frame(type: number, flags: number, stream: number, body: Buffer, length?: number): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length ?? body.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

const SETTINGS = frame(4, 0, 0, Buffer.alloc(0));

/** Headers of a call, without compression: literal names and values. */
function callHeaders(path: string): Buffer {
  const fields = Object.entries({
    ":method": "POST",
    ":scheme": "http",
    ":path": path,
    ":authority": "a",
    te: "trailers",
    "content-type": "application/grpc",
  });
  const parts = fields.flatMap(([name, value]) => [
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
  return Buffer.concat(parts);
}

const STREAM_PATH = "/raft.v1.RaftService/Stream";

/** Bytes of a connection that does not come from gRPC. */
export function rawPeerAttack(chance: Chance): { kind: string; bytes: Buffer } {
  const open = Buffer.concat([PREFACE, SETTINGS]);
  const makers = {
    noise: () => [chance.bytes(1000)],
    preface: () => [PREFACE, chance.bytes(500)],
    frames: () => [
      open,
      ...Array.from({ length: 1 + chance.below(20) }, () =>
        frame(chance.below(12), chance.below(256), chance.below(8), chance.bytes(60)),
      ),
    ],
    cut: () => [open, frame(1, 4, 1, callHeaders(STREAM_PATH)).subarray(0, chance.below(80))],
    length: () => [open, frame(chance.below(10), 0, 1, chance.bytes(30), 0xffffff)],
    // One call after another is opened and given up at once.
    resets: () => [
      open,
      ...Array.from({ length: 150 }, (_, i) => [
        frame(1, 4, 2 * i + 1, callHeaders(STREAM_PATH)),
        frame(3, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8])),
      ]).flat(),
    ],
    prefix: () => [
      open,
      frame(1, 4, 1, callHeaders(STREAM_PATH)),
      frame(0, 0, 1, Buffer.from([chance.below(2), 0xff, 0xff, 0xff, 0xff, ...chance.bytes(20)])),
    ],
    settings: () => [open, ...Array.from({ length: 200 }, () => SETTINGS)],
    pings: () => [open, ...Array.from({ length: 200 }, () => frame(6, 0, 0, Buffer.alloc(8)))],
    http1: () => [Buffer.from("GET /v2/keys HTTP/1.1\r\nHost: a\r\n\r\n"), chance.bytes(30)],
  };
  const kind = chance.pick(Object.keys(makers) as (keyof typeof makers)[]);
  return { kind, bytes: Buffer.concat(makers[kind]()) };
}

/** Who the server is, as anybody may ask. */
export interface Target {
  readonly clusterId: string;
  readonly memberId: string;
  readonly term: number;
}

const FAKE_MEMBER = "00000000000fa4e0";
const U64_MAX = 2n ** 64n - 1n;

function hello(target: Target, more: Partial<Hello> = {}): Hello {
  return create(HelloSchema, {
    clusterId: target.clusterId,
    from: FAKE_MEMBER,
    to: target.memberId,
    serverVersion: "2.4.0",
    minClusterVersion: "2.3.0",
    ...more,
  });
}

function helloFrame(value: Hello): Buffer {
  const record = create(StreamFrameSchema, { frame: { case: "hello", value } });
  return Buffer.from(toBinary(StreamFrameSchema, record));
}

/** Numbers of one batch: within what can be encoded at all, or beyond it. */
class Numbers {
  readonly #chance: Chance;
  readonly #isWild: boolean;
  readonly #term: bigint;

  constructor(chance: Chance, { term }: Target) {
    this.#chance = chance;
    this.#isWild = chance.next() < 0.3;
    this.#term = BigInt(term);
  }

  /** Terms no lawful successor has, so that nobody has to stand for election because of them. */
  term(): bigint {
    const absurd = [2n ** 53n - 1n, 2n ** 33n, ...(this.#isWild ? [2n ** 60n, U64_MAX] : [])];
    return this.#chance.pick([0n, 1n, this.#term, this.#term, this.#term, ...absurd]);
  }

  index(): bigint {
    const wild = this.#isWild ? [2n ** 53n, U64_MAX] : [];
    return this.#chance.pick([0n, 1n, 2n, 3n, 5n, 1000n, 2n ** 32n, 2n ** 53n - 9n, ...wild]);
  }

  /** Entries that follow an index and a term, or do not. */
  entries(index: bigint, term: bigint): MessageInitShape<typeof EntrySchema>[] {
    return Array.from({ length: this.#chance.below(4) }, (_, i) => ({
      term: this.#isWild ? this.term() : term,
      index: this.#isWild ? this.index() : index + BigInt(i + 1),
      type: this.#chance.pick([EntryType.NORMAL, EntryType.CONF_CHANGE]),
      data: Buffer.concat([Buffer.from([this.#chance.below(256)]), this.#chance.bytes(40)]),
    }));
  }
}

const types = [
  ...[MessageType.APPEND, MessageType.APPEND_RESPONSE, MessageType.HEARTBEAT],
  ...[MessageType.HEARTBEAT_RESPONSE, MessageType.VOTE, MessageType.VOTE_RESPONSE],
  ...[MessageType.PRE_VOTE, MessageType.PRE_VOTE_RESPONSE, MessageType.SNAPSHOT],
  ...[MessageType.READ_INDEX, MessageType.READ_INDEX_RESPONSE, MessageType.PROPOSE],
  ...[MessageType.TRANSFER_LEADER, MessageType.TIMEOUT_NOW],
];

const contexts = ["", "1e300", "Infinity", FAKE_MEMBER, "\u0000\n", "x".repeat(5000)];

function absurdMessage(
  chance: Chance,
  target: Target,
  from: string,
): MessageInitShape<typeof MessageSchema> {
  const numbers = new Numbers(chance, target);
  const logIndex = numbers.index();
  const term = numbers.term();
  return {
    type: chance.pick(types),
    to: target.memberId,
    from,
    term,
    logIndex,
    logTerm: chance.pick([term, 1n, 0n]),
    entries: numbers.entries(logIndex, term),
    commit: numbers.index(),
    reject: chance.next() < 0.5,
    rejectHint: numbers.index(),
    context: chance.pick(contexts),
    force: chance.next() < 0.5,
    snapshot: {
      index: numbers.index(),
      term: numbers.term(),
      confState: { voters: [target.memberId] },
    },
  };
}

function absurdBatch(chance: Chance, target: Target, from = FAKE_MEMBER): Buffer {
  const record = create(StreamFrameSchema, {
    frame: {
      case: "batch",
      value: create(MessageBatchSchema, {
        messages: Array.from({ length: 1 + chance.below(4) }, () =>
          create(MessageSchema, absurdMessage(chance, target, from)),
        ),
      }),
    },
  });
  return Buffer.from(toBinary(StreamFrameSchema, record));
}

/** One call: its method and the messages to write. */
export function callAttack(
  chance: Chance,
  target: Target,
): { kind: string; path: string; messages: readonly Buffer[] } {
  const right = helloFrame(hello(target));
  const batches = (from?: string): Buffer[] =>
    Array.from({ length: 1 + chance.below(5) }, () => absurdBatch(chance, target, from));
  const other = chance.bytes(8).toString("hex").padStart(16, "0");
  const service = "/raft.v1.RaftService/";
  const makers = {
    noise: () => [STREAM_PATH, [chance.bytes(200), chance.bytes(200)]],
    foreign: () => [STREAM_PATH, [helloFrame(hello(target, { clusterId: other })), ...batches()]],
    stranger: () => [STREAM_PATH, [helloFrame(hello(target, { to: other })), ...batches()]],
    itself: () => [
      STREAM_PATH,
      [helloFrame(hello(target, { from: target.memberId })), ...batches(target.memberId)],
    ],
    old: () => [STREAM_PATH, [helloFrame(hello(target, { serverVersion: "\n9" })), ...batches()]],
    "no hello": () => [STREAM_PATH, batches()],
    absurd: () => [STREAM_PATH, [right, ...batches()]],
    "in another's name": () => [STREAM_PATH, [right, ...batches(other)]],
    mutated: () => [STREAM_PATH, [right, ...batches().map((batch) => chance.mutate(batch))]],
    "mutated hello": () => [STREAM_PATH, [chance.mutate(right), ...batches()]],
    large: () => [STREAM_PATH, [right, Buffer.alloc(1 << 20, chance.below(256))]],
    snapshot: () => [`${service}Snapshot`, [chance.bytes(100), ...batches()]],
    info: () => [`${service}ClusterInfo`, [chance.bytes(100)]],
    health: () => ["/grpc.health.v1.Health/Check", [chance.bytes(100)]],
    unknown: () => [`/${other}/${other}`, [chance.bytes(100)]],
  } satisfies Record<string, () => [string, readonly Buffer[]]>;
  const kind = chance.pick(Object.keys(makers) as (keyof typeof makers)[]);
  const [path, messages] = makers[kind]();
  return { kind, path, messages };
}
