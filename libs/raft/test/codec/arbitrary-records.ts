/**
 * Arbitrary core records, and their mapping onto the contract written a second time with the
 * generated types: what the hand-written codec is compared with.
 */
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import * as pb from "@etcd2/proto/raft";
import fc from "fast-check";
import type {
  ConfChange,
  ConfState,
  Entry,
  HardState,
  Message,
} from "../../src/core/model/types.ts";
import type { SnapshotMetadata } from "../../src/core/model/types.ts";

/** Byte arrays as hex text: a Buffer and a Uint8Array of the same bytes are equal here. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `hex:${Buffer.from(value).toString("hex")}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, plain(field)]));
}

export function same(actual: unknown, expected: unknown): void {
  assert.deepEqual(plain(actual), plain(expected));
}

export const uint = fc.oneof(fc.nat(300), fc.maxSafeNat());
export const id = fc
  .bigInt({ min: 0n, max: 0xffffffffffffffffn })
  .map((value) => value.toString(16).padStart(16, "0"));
const ids = fc.array(id, { maxLength: 4 });
export const data = fc.uint8Array({ maxLength: 400 });
const text = fc.oneof(fc.constant(""), fc.string(), fc.string({ unit: "grapheme" }));
const entryType = fc.constantFrom("normal" as const, "confChange" as const);
export const entry: fc.Arbitrary<Entry> = fc.record({
  term: uint,
  index: uint,
  type: entryType,
  data,
});
export const confState: fc.Arbitrary<ConfState> = fc.record({
  voters: ids,
  learners: ids,
  votersOutgoing: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
});
export const metadata: fc.Arbitrary<SnapshotMetadata> = fc.record({
  index: uint,
  term: uint,
  confState,
});
export const hardState: fc.Arbitrary<HardState> = fc.record({
  term: uint,
  vote: fc.oneof(fc.constant(""), id),
  commit: uint,
});
const changeTypes = ["addVoter", "addLearner", "remove", "update"] as const;
const transitions = ["auto", "jointImplicit", "jointExplicit"] as const;
export const confChange: fc.Arbitrary<ConfChange> = fc.record({
  transition: fc.constantFrom(...transitions),
  changes: fc.array(fc.record({ type: fc.constantFrom(...changeTypes), nodeId: id }), {
    maxLength: 5,
  }),
  context: data,
});

export const base = { to: id, from: id, term: uint };
/** A well-formed append: entries follow prevIndex without gaps, terms do not fall. */
export const append: fc.Arbitrary<Message> = fc
  .record({
    ...base,
    term: fc.integer({ min: 100, max: 2 ** 40 }),
    prevIndex: fc.oneof(fc.nat(1000), fc.integer({ min: 0, max: 2 ** 50 })),
    commit: uint,
    parts: fc.array(fc.record({ type: entryType, data, step: fc.nat(3) }), { maxLength: 20 }),
  })
  .map(({ parts, ...rest }) => {
    let term = 1;
    const entries = parts.map(({ type, data, step }, i) => {
      term += step;
      return { term, index: rest.prevIndex + 1 + i, type, data };
    });
    return { type: "append" as const, ...rest, prevTerm: 1, entries };
  });
export const message: fc.Arbitrary<Message> = fc.oneof(
  append,
  fc.record({
    type: fc.constant("appendResponse" as const),
    ...base,
    index: uint,
    reject: fc.boolean(),
    rejectHint: uint,
    rejectTerm: uint,
  }),
  fc.record({ type: fc.constant("heartbeat" as const), ...base, commit: uint, context: text }),
  fc.record({ type: fc.constant("heartbeatResponse" as const), ...base, context: text }),
  fc.record({
    type: fc.constantFrom("vote" as const, "preVote" as const),
    ...base,
    lastIndex: uint,
    lastTerm: uint,
    force: fc.boolean(),
  }),
  fc.record({
    type: fc.constantFrom("voteResponse" as const, "preVoteResponse" as const),
    ...base,
    reject: fc.boolean(),
  }),
  fc.record({ type: fc.constant("snapshot" as const), ...base, snapshot: metadata }),
  fc.record({ type: fc.constant("readIndex" as const), ...base, context: text }),
  fc.record({
    type: fc.constant("readIndexResponse" as const),
    ...base,
    context: text,
    index: uint,
  }),
  fc.record({
    type: fc.constant("propose" as const),
    ...base,
    entries: fc.array(entry, { maxLength: 5 }),
  }),
  fc.record({
    type: fc.constant("propose" as const),
    ...base,
    entries: fc.array(entry, { maxLength: 2 }),
    trace: fc.uint8Array({ minLength: 1, maxLength: 60 }),
  }),
  fc.record({ type: fc.constant("transferLeader" as const), ...base, transferee: id }),
  fc.record({ type: fc.constant("timeoutNow" as const), ...base }),
);

// The mapping onto the contract, written a second time with the generated types.

export const big = (value: number): bigint => BigInt(value);

export function pbEntry(entry: Entry): pb.Entry {
  const type = entry.type === "normal" ? pb.EntryType.NORMAL : pb.EntryType.CONF_CHANGE;
  const { term, index, data } = entry;
  return create(pb.EntrySchema, { term: big(term), index: big(index), type, data });
}

export function pbConfState(state: ConfState): pb.ConfState {
  return create(pb.ConfStateSchema, {
    voters: [...state.voters],
    learners: [...state.learners],
    votersOutgoing: [...state.votersOutgoing],
    learnersNext: [...state.learnersNext],
    autoLeave: state.autoLeave,
  });
}

export function pbMetadata({ index, term, confState }: SnapshotMetadata): pb.SnapshotMetadata {
  return create(pb.SnapshotMetadataSchema, {
    index: big(index),
    term: big(term),
    confState: pbConfState(confState),
  });
}

export function pbConfChange(change: ConfChange): pb.ConfChange {
  const types = {
    addVoter: pb.ConfChangeType.ADD_VOTER,
    addLearner: pb.ConfChangeType.ADD_LEARNER,
    remove: pb.ConfChangeType.REMOVE,
    update: pb.ConfChangeType.UPDATE,
  };
  const ways = {
    auto: pb.ConfChangeTransition.AUTO,
    jointImplicit: pb.ConfChangeTransition.JOINT_IMPLICIT,
    jointExplicit: pb.ConfChangeTransition.JOINT_EXPLICIT,
  };
  return create(pb.ConfChangeSchema, {
    transition: ways[change.transition],
    changes: change.changes.map(({ type, nodeId }) => ({ type: types[type], nodeId })),
    context: change.context,
  });
}

const pbTypes = {
  append: pb.MessageType.APPEND,
  appendResponse: pb.MessageType.APPEND_RESPONSE,
  heartbeat: pb.MessageType.HEARTBEAT,
  heartbeatResponse: pb.MessageType.HEARTBEAT_RESPONSE,
  vote: pb.MessageType.VOTE,
  voteResponse: pb.MessageType.VOTE_RESPONSE,
  preVote: pb.MessageType.PRE_VOTE,
  preVoteResponse: pb.MessageType.PRE_VOTE_RESPONSE,
  snapshot: pb.MessageType.SNAPSHOT,
  readIndex: pb.MessageType.READ_INDEX,
  readIndexResponse: pb.MessageType.READ_INDEX_RESPONSE,
  propose: pb.MessageType.PROPOSE,
  transferLeader: pb.MessageType.TRANSFER_LEADER,
  timeoutNow: pb.MessageType.TIMEOUT_NOW,
};

/** Every field a core message can have, under its name in the contract. */
export function pbMessage(message: Message): pb.Message {
  const out = create(pb.MessageSchema, {
    type: pbTypes[message.type],
    to: message.to,
    from: message.from,
    term: big(message.term),
  });
  if ("prevIndex" in message) out.logIndex = big(message.prevIndex);
  if ("prevTerm" in message) out.logTerm = big(message.prevTerm);
  if ("index" in message) out.logIndex = big(message.index);
  if ("rejectTerm" in message) out.logTerm = big(message.rejectTerm);
  if ("lastIndex" in message) out.logIndex = big(message.lastIndex);
  if ("lastTerm" in message) out.logTerm = big(message.lastTerm);
  if ("entries" in message) out.entries = message.entries.map(pbEntry);
  if ("commit" in message) out.commit = big(message.commit);
  if ("reject" in message) out.reject = message.reject;
  if ("rejectHint" in message) out.rejectHint = big(message.rejectHint);
  if ("context" in message) out.context = message.context;
  if ("transferee" in message) out.context = message.transferee;
  if ("force" in message) out.force = message.force;
  if ("snapshot" in message) out.snapshot = pbMetadata(message.snapshot);
  if ("trace" in message) out.trace = message.trace;
  return out;
}

/** Fields no version of the contract has, of every wire type that can be skipped. */
export function unknownFields(): Uint8Array {
  return new BinaryWriter()
    .tag(500, WireType.Varint)
    .uint64(2n ** 64n - 1n)
    .tag(501, WireType.Bit64)
    .fixed64(7n)
    .tag(502, WireType.LengthDelimited)
    .bytes(new Uint8Array(300))
    .tag(503, WireType.Bit32)
    .fixed32(9)
    .finish();
}
