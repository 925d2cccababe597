/**
 * One event in a history row: docs/storage-format.md, "History rows". It knows nothing of rows,
 * rings or watchers.
 */
import type { ByteReader, ByteWriter } from "./bytes.ts";
import type { ByteString } from "../model/byte-string.ts";
import { StoreError } from "../model/errors.ts";
import type { EventAction, NodeExtern } from "../model/event.ts";
import type { RecordedEvent, RemovedNames } from "../tree/recorded-event.ts";

/** Position is the stored number. Part of the storage format. */
const ACTIONS = [
  "get",
  "set",
  "create",
  "update",
  "compareAndSwap",
  "delete",
  "compareAndDelete",
  "expire",
] as const satisfies readonly EventAction[];

const REFRESH = 0x10;
const HAS_PREVIOUS = 0x20;
const HAS_REMOVED = 0x40;

const DIR = 1;
const HAS_VALUE = 2;
const EXPIRES = 4;

function writeExtern(writer: ByteWriter, node: NodeExtern): void {
  const { value, expirationMs } = node;
  writer.byte(
    (node.dir ? DIR : 0) |
      (value === undefined ? 0 : HAS_VALUE) |
      (expirationMs === undefined ? 0 : EXPIRES),
  );
  writer.varint(node.createdIndex);
  writer.varint(node.modifiedIndex);
  if (expirationMs !== undefined) {
    writer.signedVarint(expirationMs);
    writer.signedVarint(node.ttl);
  }
  if (value !== undefined) writer.sizedText(value);
}

function readExtern(reader: ByteReader, key: ByteString): NodeExtern {
  const flags = reader.byte();
  const createdIndex = reader.varint();
  const modifiedIndex = reader.varint();
  const expires = (flags & EXPIRES) !== 0;
  const expirationMs = expires ? reader.signedVarint() : undefined;
  const ttl = expires ? reader.signedVarint() : 0;
  const value = (flags & HAS_VALUE) === 0 ? undefined : reader.sizedText();
  return {
    key,
    value,
    dir: (flags & DIR) !== 0,
    createdIndex,
    modifiedIndex,
    expirationMs,
    ttl,
  };
}

function actionNumber(action: EventAction): number {
  // A chain of comparisons of interned strings beats a map for so few.
  switch (action) {
    case "set":
      return 1;
    case "create":
      return 2;
    case "update":
      return 3;
    case "compareAndSwap":
      return 4;
    case "delete":
      return 5;
    case "compareAndDelete":
      return 6;
    case "expire":
      return 7;
    case "get":
      return 0;
  }
}

/** Appends an event. The names removed with it are stored apart. */
export function writeEventRecord(writer: ByteWriter, event: RecordedEvent): void {
  const { node, prevNode } = event;
  writer.byte(
    actionNumber(event.action) |
      (event.refresh ? REFRESH : 0) |
      (prevNode === undefined ? 0 : HAS_PREVIOUS) |
      (event.removed === undefined ? 0 : HAS_REMOVED),
  );
  writer.varint(event.etcdIndex);
  writer.sizedText(node.key);
  writeExtern(writer, node);
  if (prevNode !== undefined) writeExtern(writer, prevNode);
}

/** The index of the event that begins here. */
export function eventIndexOf(reader: ByteReader): number {
  reader.byte();
  return reader.varint();
}

/** Reads one event; `removedOf` yields the names stored for its index. @throws StoreError corrupt. */
export function readEventRecord(
  reader: ByteReader,
  removedOf: (etcdIndex: number, key: ByteString) => RemovedNames,
): RecordedEvent {
  const head = reader.byte();
  const action = ACTIONS[head & 0x0f];
  if (action === undefined) throw new StoreError("corrupt", "a history row has an unknown action");
  const etcdIndex = reader.varint();
  const key = reader.sizedText();
  const node = readExtern(reader, key);
  const prevNode = (head & HAS_PREVIOUS) === 0 ? undefined : readExtern(reader, key);
  return {
    action,
    node,
    prevNode,
    etcdIndex,
    refresh: (head & REFRESH) !== 0,
    removed: (head & HAS_REMOVED) === 0 ? undefined : removedOf(etcdIndex, key),
  };
}
