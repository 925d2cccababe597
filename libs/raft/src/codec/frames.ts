/**
 * The frames of the two streaming calls <-> bytes: StreamFrame of the message stream, SnapshotChunk
 * of a snapshot transfer. Data and message frames are written by hand (they are the volume), the
 * handshake by the generated code. Knows neither sockets nor what a frame sets off.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ClusterInfoRequestSchema,
  ClusterInfoResponseSchema,
  HelloSchema,
  LifeSchema,
  SnapshotResultSchema,
} from "@etcd2/proto/raft";
import type { Index, Message, NodeId, Term } from "../core/model/types.ts";
import type { Life, Position } from "../lives/peer-lives.ts";
import type { Life as WireLife } from "@etcd2/proto/raft";
import { encodeWith } from "./records.ts";
import { CodecError } from "./codec-error.ts";
import { readMessage, readMessageBatch, writeMessage, writeMessageBatch } from "./messages.ts";
import { WireReader } from "./wire-reader.ts";
import type { WireWriter } from "./wire-writer.ts";

/** Who is speaking, of which cluster, to whom: the first frame of a stream in either direction. */
export interface Hello {
  readonly clusterId: string;
  readonly from: NodeId;
  readonly to: NodeId;
  /** Version of the speaker's program. */
  readonly serverVersion: string;
  /** Oldest version the speaker can talk to. */
  readonly minClusterVersion: string;
  /** Absent from members of earlier versions. */
  readonly life?: Life;
}

/** One frame of the message stream. */
export type StreamFrame =
  | { readonly kind: "hello"; readonly hello: Hello }
  | { readonly kind: "batch"; readonly messages: readonly Message[] }
  /** `sentNs` is returned unchanged in the pong; only the sender knows what it means. */
  | { readonly kind: "ping"; readonly sentNs: number }
  | { readonly kind: "pong"; readonly sentNs: number }
  /** What the member dialled answers for from now on. */
  | { readonly kind: "position"; readonly position: Position };

/** One frame of a snapshot transfer: a header, then data, then a trailer. */
export type SnapshotChunk =
  | { readonly kind: "header"; readonly hello: Hello; readonly message: Message }
  | { readonly kind: "data"; readonly data: Uint8Array }
  | { readonly kind: "trailer"; readonly bytes: number; readonly crc32: number };

/** A member of the cluster as others are told of it. URLs are whole: scheme, host and port. */
export interface PeerMember {
  readonly id: NodeId;
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

/** What a member tells a joiner, a proxy or a tool about its cluster. */
export interface ClusterInfo {
  readonly clusterId: string;
  readonly memberId: NodeId;
  /** "" while there is no leader. */
  readonly leaderId: NodeId;
  readonly serverVersion: string;
  readonly clusterVersion: string;
  readonly members: readonly PeerMember[];
  readonly removedIds: readonly NodeId[];
  /** Term of the entry that was asked for; absent when it is not committed there, or compacted. */
  readonly logTerm?: Term;
}

const TAG_HELLO = 0x0a;
const TAG_BATCH = 0x12;
const TAG_PING = 0x1a;
const TAG_PONG = 0x22;
const TAG_POSITION = 0x2a;
const TAG_HEADER = 0x0a;
const TAG_DATA = 0x12;
const TAG_TRAILER = 0x1a;

/** Runs generated decoding; its errors become CodecErrors. */
function checked<T>(decode: () => T, what: string): T {
  try {
    return decode();
  } catch (cause) {
    throw new CodecError("malformed", `not a valid ${what}`, { cause });
  }
}

function helloBytes(hello: Hello): Uint8Array {
  const { life, ...rest } = hello;
  const message = create(HelloSchema, rest);
  if (life !== undefined) {
    const { starts, term, lastIndex, end, currentTerm } = life;
    const numbers = {
      starts: BigInt(starts),
      term: BigInt(term),
      lastIndex: BigInt(lastIndex),
      endTerm: BigInt(end.term),
      endIndex: BigInt(end.index),
      currentTerm: BigInt(currentTerm),
    };
    const { incarnation, session, isFounding } = life;
    message.life = create(LifeSchema, { incarnation, session, isFounding, ...numbers });
  }
  return toBinary(HelloSchema, message);
}

const ID = /^[0-9a-f]{16}$/;
/** Cluster ids and versions end up in logs and status texts of whoever is spoken to. */
const LABEL = /^[\x21-\x7e]{0,64}$/;

/**
 * Bytes of a Hello or a request at most, and what one takes with room to spare: the generated code
 * keeps every field that it does not know.
 */
const GREETING_BYTES_MAX = 4096;

/** @throws CodecError for more bytes than a Hello or a request may have. */
function checkGreetingSize(bytes: Uint8Array, what: string): void {
  if (bytes.length <= GREETING_BYTES_MAX) return;
  throw new CodecError("outOfRange", `${what} of more than ${GREETING_BYTES_MAX} bytes`);
}

/** Whether a frame is short enough for one that introduces the speaker. */
export function mayBeHelloFrame(bytes: Uint8Array): boolean {
  return bytes.length <= GREETING_BYTES_MAX + 8;
}

/** @throws CodecError unless `text` is a member id, or empty where that is allowed. */
function checkId(text: string, what: string, emptyAllowed = false): void {
  if (ID.test(text) || (emptyAllowed && text === "")) return;
  throw new CodecError("outOfRange", `${what} is not an id of 16 hexadecimal digits`);
}

function parseHello(bytes: Uint8Array): Hello {
  checkGreetingSize(bytes, "a hello");
  const hello = checked(() => fromBinary(HelloSchema, bytes), "hello");
  const { clusterId, from, to, serverVersion, minClusterVersion } = hello;
  checkId(from, "the sender of a hello");
  checkId(to, "the receiver of a hello");
  for (const label of [clusterId, serverVersion, minClusterVersion]) {
    if (!LABEL.test(label)) throw new CodecError("outOfRange", "unprintable text in a hello");
  }
  const life = hello.life === undefined ? {} : { life: parseLife(hello.life) };
  return { clusterId, from, to, serverVersion, minClusterVersion, ...life };
}

function parseLife(life: WireLife): Life {
  const { incarnation, session, isFounding } = life;
  checkId(incarnation, "the incarnation in a hello");
  checkId(session, "the session in a hello");
  return {
    incarnation,
    starts: safeNumber(life.starts),
    session,
    term: safeNumber(life.term),
    lastIndex: safeNumber(life.lastIndex),
    isFounding,
    end: { term: safeNumber(life.endTerm), index: safeNumber(life.endIndex) },
    currentTerm: safeNumber(life.currentTerm),
  };
}

function safeNumber(value: bigint): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw new CodecError("outOfRange", "a number in a hello is too large");
}

// StreamFrame

/** @throws Error of the generated code when a number is negative or not an integer. */
export function encodeHelloFrame(hello: Hello): Buffer {
  return encodeWith((w, record) => {
    w.raw(record);
    w.nestedField(TAG_HELLO, 0);
  }, helloBytes(hello));
}

function writeBatchFrame(w: WireWriter, messages: readonly Message[]): void {
  writeMessageBatch(w, messages);
  w.nestedField(TAG_BATCH, 0);
}

/** @throws CodecError when a message has a number or an id out of range. */
export function encodeBatchFrame(messages: readonly Message[]): Buffer {
  return encodeWith(writeBatchFrame, messages);
}

function writePing(w: WireWriter, sentNs: number): void {
  w.uintField(0x08, sentNs);
  w.nestedField(TAG_PING, 0);
}

function writePong(w: WireWriter, sentNs: number): void {
  w.uintField(0x08, sentNs);
  w.nestedField(TAG_PONG, 0);
}

/** `sentNs` is any safe integer; it comes back in the pong. */
export function encodePingFrame(sentNs: number): Buffer {
  return encodeWith(writePing, sentNs);
}

/** Answers a ping with its own `sentNs`. */
export function encodePongFrame(sentNs: number): Buffer {
  return encodeWith(writePong, sentNs);
}

function writePosition(w: WireWriter, { term, index }: Position): void {
  w.uintField(0x10, index);
  w.uintField(0x08, term);
  w.nestedField(TAG_POSITION, 0);
}

/** Tells a caller what this member answers for. @throws CodecError for a number out of range. */
export function encodePositionFrame(position: Position): Buffer {
  return encodeWith(writePosition, position);
}

function readPosition(r: WireReader): Position {
  const outer = r.enter();
  let term = 0;
  let index = 0;
  while (r.more()) {
    const tag = r.tag();
    if (tag === 0x08) term = r.uint();
    else if (tag === 0x10) index = r.uint();
    else r.skip(tag);
  }
  r.leave(outer);
  return { term, index };
}

function readPing(r: WireReader): number {
  const outer = r.enter();
  let sentNs = 0;
  while (r.more()) {
    const tag = r.tag();
    if (tag === 0x08) sentNs = r.uint();
    else r.skip(tag);
  }
  r.leave(outer);
  return sentNs;
}

/**
 * Entry data of the result are views into `bytes`. A frame of a kind this program does not know
 * gives undefined, so that a newer member may add kinds.
 * @throws CodecError
 */
export function decodeStreamFrame(bytes: Uint8Array): StreamFrame | undefined {
  const r = new WireReader(bytes);
  let frame: StreamFrame | undefined;
  let isKnown = false;
  while (r.more()) {
    const tag = r.tag();
    if (tag === TAG_BATCH) {
      const outer = r.enter();
      frame = { kind: "batch", messages: readMessageBatch(r) };
      r.leave(outer);
    } else if (tag === TAG_HELLO) frame = { kind: "hello", hello: parseHello(r.bytes()) };
    else if (tag === TAG_PING) frame = { kind: "ping", sentNs: readPing(r) };
    else if (tag === TAG_PONG) frame = { kind: "pong", sentNs: readPing(r) };
    else if (tag === TAG_POSITION) frame = { kind: "position", position: readPosition(r) };
    else {
      r.skip(tag);
      continue;
    }
    if (isKnown) throw new CodecError("malformed", "a frame of more than one kind");
    isKnown = true;
  }
  return frame;
}

// SnapshotChunk

/** Begins a transfer: who sends, and the message that the data goes with. @throws CodecError */
export function encodeSnapshotHeader(hello: Hello, message: Message): Buffer {
  return encodeWith((w, record) => {
    writeMessage(w, record);
    w.nestedField(0x12, 0);
    const before = w.length;
    w.raw(helloBytes(hello));
    w.nestedField(0x0a, before);
    w.nestedField(TAG_HEADER, 0);
  }, message);
}

/** One copy of `data`, no more: snapshots are large. */
export function encodeSnapshotData(data: Uint8Array): Buffer {
  return encodeWith((w, record) => {
    w.bytesField(TAG_DATA, record);
  }, data);
}

/** Ends a transfer: bytes of data sent, and their CRC-32 (unsigned). */
export function encodeSnapshotTrailer(bytes: number, crc32: number): Buffer {
  return encodeWith(
    (w, record) => {
      w.uintField(0x10, record.crc32);
      w.uintField(0x08, record.bytes);
      w.nestedField(TAG_TRAILER, 0);
    },
    { bytes, crc32 },
  );
}

function readSnapshotHeader(r: WireReader): SnapshotChunk {
  const outer = r.enter();
  let hello: Hello | undefined;
  let message: Message | undefined;
  while (r.more()) {
    const tag = r.tag();
    if (tag === 0x0a) hello = parseHello(r.bytes());
    else if (tag === 0x12) {
      const header = r.enter();
      message = readMessage(r);
      r.leave(header);
    } else r.skip(tag);
  }
  r.leave(outer);
  if (hello === undefined || message === undefined) {
    throw new CodecError("outOfRange", "snapshot header without hello or message");
  }
  return { kind: "header", hello, message };
}

function readSnapshotTrailer(r: WireReader): SnapshotChunk {
  const outer = r.enter();
  let bytes = 0;
  let crc32 = 0;
  while (r.more()) {
    const tag = r.tag();
    if (tag === 0x08) bytes = r.uint();
    else if (tag === 0x10) crc32 = r.uint();
    else r.skip(tag);
  }
  r.leave(outer);
  return { kind: "trailer", bytes, crc32 };
}

/** `data` is a view into `bytes`. @throws CodecError, also for a chunk of unknown kind. */
export function decodeSnapshotChunk(bytes: Uint8Array): SnapshotChunk {
  const r = new WireReader(bytes);
  let chunk: SnapshotChunk | undefined;
  while (r.more()) {
    const tag = r.tag();
    if (tag === TAG_DATA) chunk = { kind: "data", data: r.bytes() };
    else if (tag === TAG_HEADER) chunk = readSnapshotHeader(r);
    else if (tag === TAG_TRAILER) chunk = readSnapshotTrailer(r);
    else r.skip(tag);
  }
  if (chunk === undefined) throw new CodecError("malformed", "empty snapshot chunk");
  return chunk;
}

/** The answer to a transfer: bytes of data received. */
export function encodeSnapshotResult(bytesReceived: number): Buffer {
  const result = create(SnapshotResultSchema, { bytesReceived: BigInt(bytesReceived) });
  return Buffer.from(toBinary(SnapshotResultSchema, result));
}

/** Bytes the receiver counted. @throws CodecError */
export function decodeSnapshotResult(bytes: Uint8Array): number {
  return Number(checked(() => fromBinary(SnapshotResultSchema, bytes), "result").bytesReceived);
}

// ClusterInfo

/** @param logIndex an entry whose term is asked for as well; 0 for none. */
export function encodeClusterInfoRequest(logIndex: Index = 0): Buffer {
  const request = create(ClusterInfoRequestSchema, { logIndex: BigInt(logIndex) });
  return Buffer.from(toBinary(ClusterInfoRequestSchema, request));
}

/** The entry a caller asks about; 0 for none. @throws CodecError */
export function decodeClusterInfoRequest(bytes: Uint8Array): Index {
  checkGreetingSize(bytes, "a request");
  const request = checked(() => fromBinary(ClusterInfoRequestSchema, bytes), "request");
  return safeNumber(request.logIndex);
}

/** What a member answers about its cluster. */
export function encodeClusterInfo(info: ClusterInfo): Buffer {
  const response = create(ClusterInfoResponseSchema, {
    clusterId: info.clusterId,
    memberId: info.memberId,
    leaderId: info.leaderId,
    serverVersion: info.serverVersion,
    clusterVersion: info.clusterVersion,
    members: info.members.map((member) => ({
      id: member.id,
      name: member.name,
      peerUrls: [...member.peerUrls],
      clientUrls: [...member.clientUrls],
      isLearner: member.isLearner,
    })),
    removedIds: [...info.removedIds],
    logTerm: BigInt(info.logTerm ?? 0),
  });
  return Buffer.from(toBinary(ClusterInfoResponseSchema, response));
}

/** @throws CodecError */
export function decodeClusterInfo(bytes: Uint8Array): ClusterInfo {
  const info = checked(() => fromBinary(ClusterInfoResponseSchema, bytes), "cluster info");
  checkId(info.memberId, "the sender of cluster info");
  checkId(info.leaderId, "the leader", true);
  for (const { id } of info.members) checkId(id, "the id of a member");
  for (const id of info.removedIds) checkId(id, "the id of a removed member");
  return {
    clusterId: info.clusterId,
    memberId: info.memberId,
    leaderId: info.leaderId,
    serverVersion: info.serverVersion,
    clusterVersion: info.clusterVersion,
    members: info.members.map(({ id, name, peerUrls, clientUrls, isLearner }) => {
      return { id, name, peerUrls, clientUrls, isLearner };
    }),
    removedIds: info.removedIds,
    ...(info.logTerm > 0n && { logTerm: safeNumber(info.logTerm) }),
  };
}
