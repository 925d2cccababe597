/**
 * etcd.v2.Command, by hand: the protobuf wire format of the decoded form in command.ts. Written out
 * because it is on the path of every write. proto/etcd/v2/command.proto is the schema; tests hold
 * the two together. Knows nothing of what commands do.
 */
import { ByteReader, ByteWriter } from "./bytes.ts";
import type { ByteString } from "../model/byte-string.ts";
import type {
  Command,
  ExpiredNode,
  LifeLeft,
  RequestId,
  WriteAction,
  WriteCommand,
} from "../model/command.ts";
import { StoreError } from "../model/errors.ts";
import { invariant } from "../model/invariant.ts";

/** Position is the number of the action on the wire. */
const WRITE_ACTIONS: readonly (WriteAction | undefined)[] = [
  undefined,
  "set",
  "create",
  "createInOrder",
  "update",
  "compareAndSwap",
  "delete",
  "compareAndDelete",
];
const ACTION_EXPIRE = 8;
const ACTION_CLUSTER_VERSION = 9;

/** Field number and wire type in one byte: number * 8 + (0 varint, 2 bytes). */
const TAG = {
  session: 0x08,
  sequence: 0x10,
  action: 0x18,
  path: 0x22,
  value: 0x2a,
  dir: 0x30,
  recursive: 0x38,
  prevValue: 0x42,
  prevIndex: 0x48,
  refresh: 0x50,
  expirationMs: 0x58,
  ttlMs: 0x60,
  expired: 0x6a,
  lives: 0x72,
} as const;
const EXPIRED_TAG = { path: 0x0a, modifiedIndex: 0x10, expirationMs: 0x18, leftMs: 0x20 } as const;

/** Signed times must survive zigzag within a double. */
const TIME_MAX = 2 ** 52 - 1;

const writer = new ByteWriter(8192);
const nodeWriter = new ByteWriter(1024);
const idReader = new ByteReader();

function writeNumber(tag: number, value: number): void {
  if (value === 0) return;
  writer.byte(tag);
  writer.varint(value);
}

function writeText(tag: number, value: ByteString): void {
  if (value.length === 0) return;
  writer.byte(tag);
  writer.sizedText(value);
}

function writeFlag(tag: number, value: boolean): void {
  if (!value) return;
  writer.byte(tag);
  writer.byte(1);
}

function writeTime(tag: number, value: number | undefined): void {
  if (value === undefined) return;
  invariant(Math.abs(value) <= TIME_MAX, "times fit 52 bits");
  writer.byte(tag);
  writer.signedVarint(value);
}

function actionNumber(action: Exclude<Command["action"], "group">): number {
  switch (action) {
    case "set":
      return 1;
    case "create":
      return 2;
    case "createInOrder":
      return 3;
    case "update":
      return 4;
    case "compareAndSwap":
      return 5;
    case "delete":
      return 6;
    case "compareAndDelete":
      return 7;
    case "expire":
      return ACTION_EXPIRE;
    case "clusterVersion":
      return ACTION_CLUSTER_VERSION;
  }
}

function writeWrite(command: WriteCommand): void {
  writeText(TAG.path, command.path);
  writeText(TAG.value, command.value);
  writeFlag(TAG.dir, command.dir);
  writeFlag(TAG.recursive, command.recursive);
  writeText(TAG.prevValue, command.prevValue);
  writeNumber(TAG.prevIndex, command.prevIndex);
  writeFlag(TAG.refresh, command.refresh);
  writeTime(TAG.expirationMs, command.expirationMs);
  writeTime(TAG.ttlMs, command.ttlMs);
}

/** Nodes of an expire command: those whose life is over, or those with a life left. */
function writeNodes(tag: number, nodes: readonly (ExpiredNode & Partial<LifeLeft>)[]): void {
  for (const node of nodes) {
    nodeWriter.length = 0;
    nodeWriter.byte(EXPIRED_TAG.path);
    nodeWriter.sizedText(node.path);
    nodeWriter.byte(EXPIRED_TAG.modifiedIndex);
    nodeWriter.varint(node.modifiedIndex);
    if (node.expirationMs !== 0) {
      invariant(Math.abs(node.expirationMs) <= TIME_MAX, "times fit 52 bits");
      nodeWriter.byte(EXPIRED_TAG.expirationMs);
      nodeWriter.signedVarint(node.expirationMs);
    }
    if (node.leftMs !== undefined && node.leftMs > 0) {
      nodeWriter.byte(EXPIRED_TAG.leftMs);
      nodeWriter.varint(node.leftMs);
    }
    writer.byte(tag);
    writer.varint(nodeWriter.length);
    writer.raw(nodeWriter.view());
  }
}

/** The bytes of a command. Group commands have none: they come from conf changes. */
export function encodeCommand(id: RequestId, command: Command): Uint8Array {
  writer.length = 0;
  writeId(id);
  writeBody(command);
  const bytes = writer.copy();
  writer.reset();
  return bytes;
}

/** A command without its id: what encodeCommand() has after it. */
export function encodeCommandBody(command: Command): Uint8Array {
  writer.length = 0;
  writeBody(command);
  const bytes = writer.copy();
  writer.reset();
  return bytes;
}

/** The bytes that encodeCommand() would give for the command with this body. */
export function withRequestId(id: RequestId, body: Uint8Array): Uint8Array {
  writer.length = 0;
  writeId(id);
  writer.raw(body);
  const bytes = writer.copy();
  writer.reset();
  return bytes;
}

function writeId(id: RequestId): void {
  writeNumber(TAG.session, id.session);
  writeNumber(TAG.sequence, id.sequence);
}

function writeBody(command: Command): void {
  invariant(command.action !== "group", "group commands are never encoded");
  writer.byte(TAG.action);
  writer.byte(actionNumber(command.action));
  if (command.action === "expire") {
    writeNodes(TAG.expired, command.expired);
    writeNodes(TAG.lives, command.lives ?? []);
  } else if (command.action === "clusterVersion") writeText(TAG.value, command.value);
  else writeWrite(command);
}

/**
 * The request id with which encodeCommand() starts; undefined if these bytes start otherwise.
 * @throws StoreError corrupt if they end within it.
 */
export function decodeRequestId(bytes: Uint8Array): RequestId | undefined {
  idReader.reset(bytes);
  if (bytes[0] !== TAG.session) return undefined;
  idReader.at = 1;
  const session = idReader.varint();
  if (bytes[idReader.at] !== TAG.sequence) return undefined;
  idReader.at += 1;
  return { session, sequence: idReader.varint() };
}

/** The fields met while decoding; a field met twice keeps its last value, as protobuf asks. */
class Fields {
  session = 0;
  sequence = 0;
  action = 0;
  path: ByteString = "";
  value: ByteString = "";
  dir = false;
  recursive = false;
  prevValue: ByteString = "";
  prevIndex = 0;
  refresh = false;
  expirationMs: number | undefined;
  ttlMs: number | undefined;
  expired: ExpiredNode[] = [];
  lives: LifeLeft[] | undefined;

  read(tag: number, reader: ByteReader): void {
    switch (tag) {
      case TAG.session:
        this.session = reader.varint();
        break;
      case TAG.sequence:
        this.sequence = reader.varint();
        break;
      case TAG.action:
        this.action = reader.varint();
        break;
      case TAG.path:
        this.path = reader.sizedText();
        break;
      case TAG.value:
        this.value = reader.sizedText();
        break;
      case TAG.dir:
        this.dir = reader.varint() !== 0;
        break;
      case TAG.recursive:
        this.recursive = reader.varint() !== 0;
        break;
      case TAG.prevValue:
        this.prevValue = reader.sizedText();
        break;
      case TAG.prevIndex:
        this.prevIndex = reader.varint();
        break;
      case TAG.refresh:
        this.refresh = reader.varint() !== 0;
        break;
      case TAG.expirationMs:
        this.expirationMs = reader.signedVarint();
        break;
      case TAG.ttlMs:
        this.ttlMs = reader.signedVarint();
        break;
      case TAG.expired:
        this.expired.push(expiredOf(readNode(reader)));
        break;
      case TAG.lives:
        this.lives ??= [];
        this.lives.push(readNode(reader));
        break;
      default:
        skipField(tag, reader);
    }
  }
}

/** Fields of later versions are passed over. */
function skipField(tag: number, reader: ByteReader): void {
  const wireType = tag & 7;
  if (tag < 8) throw malformed("field number 0");
  if (wireType === 0) reader.varint();
  else if (wireType === 1) reader.text(8);
  else if (wireType === 2) reader.sizedText();
  else if (wireType === 5) reader.text(4);
  else throw malformed(`wire type ${wireType}`);
}

function readNode(reader: ByteReader): LifeLeft {
  const length = reader.varint();
  const end = reader.at + length;
  let path: ByteString = "";
  let modifiedIndex = 0;
  let expirationMs = 0;
  let leftMs = 0;
  while (reader.at < end) {
    const tag = reader.varint();
    if (tag === EXPIRED_TAG.path) path = reader.sizedText();
    else if (tag === EXPIRED_TAG.modifiedIndex) modifiedIndex = reader.varint();
    else if (tag === EXPIRED_TAG.expirationMs) expirationMs = reader.signedVarint();
    else if (tag === EXPIRED_TAG.leftMs) leftMs = reader.varint();
    else skipField(tag, reader);
  }
  if (reader.at !== end) throw malformed("a node of wrong length");
  return { path: checkedPath(path), modifiedIndex, expirationMs, leftMs };
}

function expiredOf({ path, modifiedIndex, expirationMs }: LifeLeft): ExpiredNode {
  return { path, modifiedIndex, expirationMs };
}

function checkedPath(path: ByteString): ByteString {
  if (path.length < 2 || !path.startsWith("/") || path.endsWith("/") || path.includes("//")) {
    throw malformed("a path that is not clean");
  }
  return path;
}

function malformed(what: string, cause?: unknown): StoreError {
  return new StoreError("malformed", `not a command: ${what}`, { cause });
}

function commandOf(fields: Fields): Command {
  if (fields.action === ACTION_EXPIRE) {
    const { expired, lives } = fields;
    return lives === undefined
      ? { action: "expire", expired }
      : { action: "expire", expired, lives };
  }
  if (fields.action === ACTION_CLUSTER_VERSION) {
    return { action: "clusterVersion", value: fields.value };
  }
  const action = WRITE_ACTIONS[fields.action];
  if (action === undefined) throw malformed(`action ${fields.action}`);
  return {
    action,
    path: checkedPath(fields.path),
    value: fields.value,
    dir: fields.dir,
    recursive: fields.recursive,
    prevValue: fields.prevValue,
    prevIndex: fields.prevIndex,
    refresh: fields.refresh,
    expirationMs: fields.expirationMs,
    ttlMs: fields.ttlMs,
  };
}

/** @throws StoreError malformed. */
export function decodeCommand(bytes: Uint8Array): { id: RequestId; command: Command } {
  const reader = new ByteReader(bytes);
  const fields = new Fields();
  try {
    while (!reader.ended) fields.read(reader.varint(), reader);
  } catch (error) {
    if (error instanceof StoreError && error.code === "corrupt") {
      throw malformed("it ends early or holds an impossible number", error);
    }
    throw error;
  }
  const { session, sequence } = fields;
  return { id: { session, sequence }, command: commandOf(fields) };
}
