/**
 * The value of a node's row: docs/storage-format.md, "Node rows". It knows neither paths nor
 * caches.
 */
import type { ByteReader, ByteWriter } from "./bytes.ts";
import { StoreError } from "../model/errors.ts";
import { TreeNode } from "../tree/tree-node.ts";

const DIR = 1;
const EXPIRES = 2;
const KNOWN_FLAGS = DIR | EXPIRES;

/** Appends the record of a node. */
export function writeNodeRecord(writer: ByteWriter, node: TreeNode): void {
  const { expirationMs } = node;
  writer.byte((node.dir ? DIR : 0) | (expirationMs === undefined ? 0 : EXPIRES));
  writer.varint(node.createdIndex);
  writer.varint(node.modifiedIndex);
  if (expirationMs !== undefined) {
    writer.signedVarint(expirationMs);
    writer.signedVarint(Math.ceil(node.deadlineMs ?? expirationMs));
  }
  writer.text(node.value);
}

/** Reads the record that fills the rest of the reader. @throws StoreError corrupt. */
export function readNodeRecord(reader: ByteReader): TreeNode {
  const flags = reader.byte();
  if (flags > KNOWN_FLAGS) throw new StoreError("corrupt", "a node row has unknown flags");
  const createdIndex = reader.varint();
  const modifiedIndex = reader.varint();
  let expirationMs: number | undefined;
  let deadlineMs: number | undefined;
  if ((flags & EXPIRES) !== 0) {
    expirationMs = reader.signedVarint();
    deadlineMs = reader.signedVarint();
  }
  const dir = (flags & DIR) !== 0;
  return new TreeNode(dir, reader.rest(), createdIndex, modifiedIndex, expirationMs, deadlineMs);
}

/** Bytes of the value in the record that fills the rest of the reader, without decoding it. */
export function readValueLength(reader: ByteReader): number {
  const flags = reader.byte();
  reader.varint();
  reader.varint();
  if ((flags & EXPIRES) !== 0) {
    reader.signedVarint();
    reader.signedVarint();
  }
  return reader.left;
}

/** createdIndex of a record, without decoding the rest. */
export function readCreatedIndex(reader: ByteReader): number {
  reader.byte();
  return reader.varint();
}
