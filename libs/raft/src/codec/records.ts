/**
 * Core records <-> protobuf bytes (proto/raft/v1/raft.proto): what the write-ahead log holds. The
 * messages between members are in codec/messages.ts, the frames around them in codec/frames.ts.
 *
 * Written by hand because entries are the hot path: the generated, reflective code costs several
 * microseconds a record. Test: both ways against the generated schema. Owns the range checks at
 * the border (safe integers, member ids); everything invalid is a CodecError. Knows no I/O.
 */
import type {
  ConfChange,
  ConfChangeSingle,
  ConfState,
  Entry,
  EntryType,
  HardState,
  NodeId,
  SnapshotMetadata,
} from "../core/model/types.ts";
import { CodecError } from "./codec-error.ts";
import { WireReader } from "./wire-reader.ts";
import { WireWriter } from "./wire-writer.ts";

const NO_BYTES = new Uint8Array(0);

/** Shared by all encoders: they are synchronous and copy their result out. */
const scratch = new WireWriter(64 * 1024);

/** Runs one encoder over the shared scratch buffer. */
export function encodeWith<T>(write: (w: WireWriter, record: T) => void, record: T): Buffer {
  try {
    write(scratch, record);
    return scratch.finish();
  } catch (error) {
    scratch.reset();
    throw error;
  }
}

const ENTRY_TYPES: readonly (EntryType | undefined)[] = [undefined, "normal", "confChange"];
const CHANGE_TYPES: readonly (ConfChangeSingle["type"] | undefined)[] = [
  undefined,
  "addVoter",
  "addLearner",
  "remove",
  "update",
];
const TRANSITIONS: readonly (ConfChange["transition"] | undefined)[] = [
  undefined,
  "auto",
  "jointImplicit",
  "jointExplicit",
];

/** Looks an enum number up. @throws CodecError for a number this program does not know. */
export function fromEnum<T>(table: readonly (T | undefined)[], value: number, what: string): T {
  const found = table[value];
  if (found === undefined) throw new CodecError("outOfRange", `unknown ${what} ${value}`);
  return found;
}

/** The number of an enum name. @throws CodecError for a name outside the type. */
export function toEnum<T>(table: readonly (T | undefined)[], name: T, what: string): number {
  const value = table.indexOf(name, 1);
  if (value < 1) throw new CodecError("outOfRange", `unknown ${what} ${String(name)}`);
  return value;
}

// Entry

/** Writes one entry backwards. @throws CodecError for a number out of range. */
export function writeEntry(w: WireWriter, entry: Entry): void {
  w.bytesField(0x22, entry.data);
  w.uintField(0x18, toEnum(ENTRY_TYPES, entry.type, "entry type"));
  w.uintField(0x10, entry.index);
  w.uintField(0x08, entry.term);
}

/** Reads up to the end of the current message. `data` is a view into the bytes read. */
export function readEntry(r: WireReader): Entry {
  let term = 0;
  let index = 0;
  let type = 0;
  let data: Uint8Array = NO_BYTES;
  while (r.more()) {
    const tag = r.tag();
    if (tag === 0x08) term = r.uint();
    else if (tag === 0x10) index = r.uint();
    else if (tag === 0x18) type = r.uint();
    else if (tag === 0x22) data = r.bytes();
    else r.skip(tag);
  }
  return { term, index, type: fromEnum(ENTRY_TYPES, type, "entry type"), data };
}

/** @throws CodecError when a number is no unsigned safe integer. */
export function encodeEntry(entry: Entry): Buffer {
  return encodeWith(writeEntry, entry);
}

/** `data` of the result is a view into `bytes`. @throws CodecError */
export function decodeEntry(bytes: Uint8Array): Entry {
  return readEntry(new WireReader(bytes));
}

// HardState

function writeHardState(w: WireWriter, state: HardState): void {
  w.uintField(0x18, state.commit);
  if (state.vote !== "") w.idField(0x12, state.vote);
  w.uintField(0x08, state.term);
}

/** @throws CodecError for a vote that is neither a member id nor empty, or an unsafe number. */
export function encodeHardState(state: HardState): Buffer {
  return encodeWith(writeHardState, state);
}

/** @throws CodecError */
export function decodeHardState(bytes: Uint8Array): HardState {
  const r = new WireReader(bytes);
  let term = 0;
  let vote = "";
  let commit = 0;
  while (r.more()) {
    const tag = r.tag();
    if (tag === 0x08) term = r.uint();
    else if (tag === 0x12) vote = r.id();
    else if (tag === 0x18) commit = r.uint();
    else r.skip(tag);
  }
  return { term, vote, commit };
}

// ConfState

function writeIds(w: WireWriter, tag: number, ids: readonly NodeId[]): void {
  for (let i = ids.length - 1; i >= 0; i--) w.idField(tag, ids[i] ?? "");
}

function writeConfState(w: WireWriter, state: ConfState): void {
  w.boolField(0x28, state.autoLeave);
  writeIds(w, 0x22, state.learnersNext);
  writeIds(w, 0x1a, state.votersOutgoing);
  writeIds(w, 0x12, state.learners);
  writeIds(w, 0x0a, state.voters);
}

/** Ids in one conf state, of all kinds together; far beyond what a quorum can be made of. */
const CONF_STATE_IDS_MAX = 4096;

function readConfState(r: WireReader): ConfState {
  let ids = 0;
  const voters: NodeId[] = [];
  const learners: NodeId[] = [];
  const votersOutgoing: NodeId[] = [];
  const learnersNext: NodeId[] = [];
  let autoLeave = false;
  while (r.more()) {
    const tag = r.tag();
    if (tag === 0x0a) voters.push(r.id());
    else if (tag === 0x12) learners.push(r.id());
    else if (tag === 0x1a) votersOutgoing.push(r.id());
    else if (tag === 0x22) learnersNext.push(r.id());
    else if (tag === 0x28) autoLeave = r.bool();
    else r.skip(tag);
    ids += 1;
    if (ids > CONF_STATE_IDS_MAX) {
      throw new CodecError("outOfRange", "a conf state with too many members");
    }
  }
  return { voters, learners, votersOutgoing, learnersNext, autoLeave };
}

/** @throws CodecError when an element is no member id. */
export function encodeConfState(state: ConfState): Buffer {
  return encodeWith(writeConfState, state);
}

/** @throws CodecError */
export function decodeConfState(bytes: Uint8Array): ConfState {
  return readConfState(new WireReader(bytes));
}

// ConfChange

function writeConfChange(w: WireWriter, change: ConfChange): void {
  w.bytesField(0x1a, change.context);
  for (let i = change.changes.length - 1; i >= 0; i--) {
    const single = change.changes[i];
    if (single === undefined) continue;
    const before = w.length;
    w.idField(0x12, single.nodeId);
    w.uintField(0x08, toEnum(CHANGE_TYPES, single.type, "conf change type"));
    w.nestedField(0x12, before);
  }
  w.uintField(0x08, toEnum(TRANSITIONS, change.transition, "conf change transition"));
}

function readConfChangeSingle(r: WireReader): ConfChangeSingle {
  let type = 0;
  let nodeId = "";
  while (r.more()) {
    const tag = r.tag();
    if (tag === 0x08) type = r.uint();
    else if (tag === 0x12) nodeId = r.id();
    else r.skip(tag);
  }
  if (nodeId === "") throw new CodecError("outOfRange", "conf change without a member id");
  return { type: fromEnum(CHANGE_TYPES, type, "conf change type"), nodeId };
}

/** @throws CodecError when an id is no member id or a name is unknown. */
export function encodeConfChange(change: ConfChange): Buffer {
  return encodeWith(writeConfChange, change);
}

/** `context` of the result is a view into `bytes`. @throws CodecError */
export function decodeConfChange(bytes: Uint8Array): ConfChange {
  const r = new WireReader(bytes);
  const changes: ConfChangeSingle[] = [];
  let transition = 0;
  let context: Uint8Array = NO_BYTES;
  while (r.more()) {
    const tag = r.tag();
    if (tag === 0x08) transition = r.uint();
    else if (tag === 0x12) {
      const outer = r.enter();
      changes.push(readConfChangeSingle(r));
      r.leave(outer);
    } else if (tag === 0x1a) context = r.bytes();
    else r.skip(tag);
  }
  return {
    transition: fromEnum(TRANSITIONS, transition, "conf change transition"),
    changes,
    context,
  };
}

// SnapshotMetadata

/** Writes metadata backwards. @throws CodecError for a number or an id out of range. */
export function writeSnapshotMetadata(w: WireWriter, metadata: SnapshotMetadata): void {
  const before = w.length;
  writeConfState(w, metadata.confState);
  w.nestedField(0x1a, before);
  w.uintField(0x10, metadata.term);
  w.uintField(0x08, metadata.index);
}

/** Reads up to the end of the current message. */
export function readSnapshotMetadata(r: WireReader): SnapshotMetadata {
  let index = 0;
  let term = 0;
  let confState: ConfState | undefined;
  while (r.more()) {
    const tag = r.tag();
    if (tag === 0x08) index = r.uint();
    else if (tag === 0x10) term = r.uint();
    else if (tag === 0x1a) {
      const outer = r.enter();
      confState = readConfState(r);
      r.leave(outer);
    } else r.skip(tag);
  }
  if (confState === undefined) {
    throw new CodecError("outOfRange", "snapshot metadata without a conf state");
  }
  return { index, term, confState };
}
