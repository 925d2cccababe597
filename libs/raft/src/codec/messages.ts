/**
 * Raft messages <-> protobuf bytes. Maps the fields of the one wire message to the closed union of
 * the core, and checks on arrival what the core takes for granted: real ids, entries of an append
 * without gaps and with terms that never fall. Knows no frames, streams or peers.
 */
import type { Entry, Message, SnapshotMetadata } from "../core/model/types.ts";
import { encodeWith, fromEnum, readEntry, readSnapshotMetadata, toEnum } from "./records.ts";
import { writeEntry, writeSnapshotMetadata } from "./records.ts";
import { CodecError } from "./codec-error.ts";
import { WireReader } from "./wire-reader.ts";
import type { WireWriter } from "./wire-writer.ts";

/** Position = number on the wire. */
const MESSAGE_TYPES: readonly (Message["type"] | undefined)[] = [
  undefined,
  "append",
  "appendResponse",
  "heartbeat",
  "heartbeatResponse",
  "vote",
  "voteResponse",
  "preVote",
  "preVoteResponse",
  "snapshot",
  "readIndex",
  "readIndexResponse",
  "propose",
  "transferLeader",
  "timeoutNow",
];

const TAG_TYPE = 0x08;
const TAG_TO = 0x12;
const TAG_FROM = 0x1a;
const TAG_TERM = 0x20;
const TAG_LOG_INDEX = 0x28;
const TAG_LOG_TERM = 0x30;
const TAG_ENTRIES = 0x3a;
const TAG_COMMIT = 0x40;
const TAG_REJECT = 0x48;
const TAG_REJECT_HINT = 0x50;
const TAG_CONTEXT = 0x5a;
const TAG_FORCE = 0x60;
const TAG_SNAPSHOT = 0x6a;
const TAG_TRACE = 0x72;

/** A message of a batch, with its tag and length. */
const TAG_BATCH_MESSAGES = 0x0a;

/**
 * What a frame may hold at most, so that few bytes do not become very many records. Members send no
 * more than a quarter of these: a batch is 256 KiB, and one append has at most 16,384 entries.
 */
const BATCH_MESSAGES_MAX = 16_384;
const BATCH_ENTRIES_MAX = 131_072;

/** Bytes a message takes at most on the wire, nearly: what queues are bounded by. */
export function messageSizeEstimate(message: Message): number {
  let size = 96;
  switch (message.type) {
    case "append":
    case "propose":
      for (const entry of message.entries) size += entry.data.length + 24;
      if (message.type === "propose") size += message.trace?.length ?? 0;
      return size;
    case "heartbeat":
    case "heartbeatResponse":
    case "readIndex":
    case "readIndexResponse":
      return size + message.context.length;
    case "appendResponse":
    case "vote":
    case "preVote":
    case "voteResponse":
    case "preVoteResponse":
    case "snapshot":
    case "transferLeader":
    case "timeoutNow":
      return size;
  }
}

/** @throws CodecError when a number or an id is out of range. */
export function encodeMessage(message: Message): Buffer {
  return encodeWith(writeMessage, message);
}

/** Entry data of the result are views into `bytes`. @throws CodecError */
export function decodeMessage(bytes: Uint8Array): Message {
  return readMessage(new WireReader(bytes));
}

/**
 * Writes a batch backwards, as WireWriter does. @throws CodecError for a number or an id out of
 * range.
 */
export function writeMessageBatch(w: WireWriter, messages: readonly Message[]): void {
  for (let i = messages.length - 1; i >= 0; i--) {
    const message = messages[i];
    if (message === undefined) continue;
    const before = w.length;
    writeMessage(w, message);
    w.nestedField(TAG_BATCH_MESSAGES, before);
  }
}

/** Reads up to the end of the current message. @throws CodecError also for too many records. */
export function readMessageBatch(r: WireReader): Message[] {
  const messages: Message[] = [];
  let entries = 0;
  while (r.more()) {
    const tag = r.tag();
    if (tag === TAG_BATCH_MESSAGES) {
      const outer = r.enter();
      const message = readMessage(r);
      messages.push(message);
      if ("entries" in message) entries += message.entries.length;
      if (messages.length > BATCH_MESSAGES_MAX || entries > BATCH_ENTRIES_MAX) throw tooMany();
      r.leave(outer);
    } else r.skip(tag);
  }
  return messages;
}

/** Writes one message backwards. @throws CodecError for a number or an id out of range. */
export function writeMessage(w: WireWriter, message: Message): void {
  writeBody(w, message);
  w.uintField(TAG_TERM, message.term);
  w.idField(TAG_FROM, message.from);
  w.idField(TAG_TO, message.to);
  w.uintField(TAG_TYPE, toEnum(MESSAGE_TYPES, message.type, "message type"));
}

function writeEntries(w: WireWriter, entries: readonly Entry[]): void {
  for (let i = entries.length - 1; i >= 0; i--) {
    const entry = entries[i];
    if (entry === undefined) continue;
    const before = w.length;
    writeEntry(w, entry);
    w.nestedField(TAG_ENTRIES, before);
  }
}

/** The fields above the term, in descending order of their numbers. */
function writeBody(w: WireWriter, message: Message): void {
  switch (message.type) {
    case "append":
      w.uintField(TAG_COMMIT, message.commit);
      writeEntries(w, message.entries);
      w.uintField(TAG_LOG_TERM, message.prevTerm);
      w.uintField(TAG_LOG_INDEX, message.prevIndex);
      return;
    case "appendResponse":
      w.uintField(TAG_REJECT_HINT, message.rejectHint);
      w.boolField(TAG_REJECT, message.reject);
      w.uintField(TAG_LOG_TERM, message.rejectTerm);
      w.uintField(TAG_LOG_INDEX, message.index);
      return;
    case "heartbeat":
      w.stringField(TAG_CONTEXT, message.context);
      w.uintField(TAG_COMMIT, message.commit);
      return;
    case "heartbeatResponse":
    case "readIndex":
      w.stringField(TAG_CONTEXT, message.context);
      return;
    case "vote":
    case "preVote":
      w.boolField(TAG_FORCE, message.force);
      w.uintField(TAG_LOG_TERM, message.lastTerm);
      w.uintField(TAG_LOG_INDEX, message.lastIndex);
      return;
    case "voteResponse":
    case "preVoteResponse":
      w.boolField(TAG_REJECT, message.reject);
      return;
    case "snapshot": {
      const before = w.length;
      writeSnapshotMetadata(w, message.snapshot);
      w.nestedField(TAG_SNAPSHOT, before);
      return;
    }
    case "readIndexResponse":
      w.stringField(TAG_CONTEXT, message.context);
      w.uintField(TAG_LOG_INDEX, message.index);
      return;
    case "propose":
      if (message.trace !== undefined) w.bytesField(TAG_TRACE, message.trace);
      writeEntries(w, message.entries);
      return;
    case "transferLeader":
      w.idField(TAG_CONTEXT, message.transferee);
      return;
    case "timeoutNow":
      return;
  }
}

/** The wire message, field by field, before it is known which fields count. */
interface Fields {
  type: number;
  to: string;
  from: string;
  term: number;
  logIndex: number;
  logTerm: number;
  entries: Entry[];
  commit: number;
  reject: boolean;
  rejectHint: number;
  context: string;
  force: boolean;
  snapshot: SnapshotMetadata | undefined;
  trace: Uint8Array | undefined;
}

/** Shared by all messages without entries; never written to after it has been handed out. */
const NO_ENTRIES: Entry[] = [];

function readField(r: WireReader, tag: number, fields: Fields): void {
  switch (tag) {
    case TAG_TYPE:
      fields.type = r.uint();
      return;
    case TAG_TO:
      fields.to = r.id();
      return;
    case TAG_FROM:
      fields.from = r.id();
      return;
    case TAG_TERM:
      fields.term = r.uint();
      return;
    case TAG_LOG_INDEX:
      fields.logIndex = r.uint();
      return;
    case TAG_LOG_TERM:
      fields.logTerm = r.uint();
      return;
    case TAG_ENTRIES: {
      const outer = r.enter();
      if (fields.entries === NO_ENTRIES) fields.entries = [];
      fields.entries.push(readEntry(r));
      if (fields.entries.length > BATCH_ENTRIES_MAX) throw tooMany();
      r.leave(outer);
      return;
    }
    case TAG_COMMIT:
      fields.commit = r.uint();
      return;
    case TAG_REJECT:
      fields.reject = r.bool();
      return;
    case TAG_REJECT_HINT:
      fields.rejectHint = r.uint();
      return;
    case TAG_CONTEXT:
      fields.context = r.string();
      return;
    case TAG_FORCE:
      fields.force = r.bool();
      return;
    case TAG_SNAPSHOT: {
      const outer = r.enter();
      fields.snapshot = readSnapshotMetadata(r);
      r.leave(outer);
      return;
    }
    case TAG_TRACE:
      fields.trace = r.bytes();
      return;
    default:
      r.skip(tag);
  }
}

function tooMany(): CodecError {
  return new CodecError("outOfRange", "more messages or entries than one frame may hold");
}

/** Reads up to the end of the current message. */
export function readMessage(r: WireReader): Message {
  const fields: Fields = {
    type: 0,
    to: "",
    from: "",
    term: 0,
    logIndex: 0,
    logTerm: 0,
    entries: NO_ENTRIES,
    commit: 0,
    reject: false,
    rejectHint: 0,
    context: "",
    force: false,
    snapshot: undefined,
    trace: undefined,
  };
  while (r.more()) readField(r, r.tag(), fields);
  if (fields.to === "") throw new CodecError("outOfRange", "message without a receiver");
  if (fields.from === "") throw new CodecError("outOfRange", "message without a sender");
  return fromFields(fields);
}

function fromFields(fields: Fields): Message {
  const { to, from, term, logIndex, logTerm, entries, commit, reject, context, force } = fields;
  const type = fromEnum(MESSAGE_TYPES, fields.type, "message type");
  switch (type) {
    case "append":
      checkEntries(entries, logIndex, logTerm, term);
      return { type, to, from, term, prevIndex: logIndex, prevTerm: logTerm, entries, commit };
    case "appendResponse": {
      const rejectHint = fields.rejectHint;
      return { type, to, from, term, index: logIndex, reject, rejectHint, rejectTerm: logTerm };
    }
    case "heartbeat":
      return { type, to, from, term, commit, context };
    case "heartbeatResponse":
      return { type, to, from, term, context };
    case "vote":
    case "preVote":
      return { type, to, from, term, lastIndex: logIndex, lastTerm: logTerm, force };
    case "voteResponse":
    case "preVoteResponse":
      return { type, to, from, term, reject };
    case "snapshot":
      if (fields.snapshot === undefined) {
        throw new CodecError("outOfRange", "snapshot message without metadata");
      }
      return { type, to, from, term, snapshot: fields.snapshot };
    case "readIndex":
      return { type, to, from, term, context };
    case "readIndexResponse":
      return { type, to, from, term, context, index: logIndex };
    case "propose":
      return fields.trace === undefined
        ? { type, to, from, term, entries }
        : { type, to, from, term, entries, trace: fields.trace };
    case "transferLeader":
      if (!/^[0-9a-f]{16}$/.test(context)) {
        throw new CodecError("outOfRange", "the transferee is not a member id");
      }
      return { type, to, from, term, transferee: context };
    case "timeoutNow":
      return { type, to, from, term };
  }
}

/** An append continues at prevIndex without gaps; terms never fall and never pass the sender's. */
function checkEntries(entries: readonly Entry[], index: number, term: number, max: number): void {
  let last = term;
  let next = index;
  for (const entry of entries) {
    next++;
    if (entry.index !== next) {
      throw new CodecError("outOfRange", `append with entry ${entry.index} in place of ${next}`);
    }
    if (entry.term < last || entry.term > max) {
      throw new CodecError("outOfRange", `append with term ${entry.term} at ${next}`);
    }
    last = entry.term;
  }
}
