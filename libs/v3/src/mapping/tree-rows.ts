/**
 * V3 rows as nodes of the v2 tree. A record beside a value is current when both were written by one
 * transaction; a value that a v3 program wrote later stands for itself, as if it had been set then. Pure.
 */
import type { KeyValue } from "@etcd2/proto/v3/kv";
import { type ByteString, TreeNode } from "@etcd2/store";
import { decodeDirectoryRecord, decodeFileRecord } from "./node-record.ts";

/** Namespace of clients in store paths: "/foo" of a client is "/1/foo" there. */
export const CLIENTS = "/1";

/** Bytes as a string with one character for each. */
export function latin1(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** Whether a record tells of the value beside it, not of one that was there before. */
export function isCurrent(data: KeyValue, record: KeyValue | undefined): boolean {
  return record !== undefined && record.modRevision === data.modRevision;
}

/**
 * A file.
 * @param leaseEndMs Unix milliseconds at which the lease of a v3 program ends, where that is known.
 */
export function fileNode(
  data: KeyValue,
  record: KeyValue | undefined,
  leaseEndMs?: number,
): TreeNode {
  const value = latin1(data.value);
  const revision = Number(data.modRevision);
  const fields =
    record !== undefined && isCurrent(data, record) ? decodeFileRecord(record.value) : undefined;
  if (fields === undefined) {
    return new TreeNode(false, value, revision, revision, leaseEndMs, leaseEndMs);
  }
  const { createdIndex, expirationMs } = fields;
  return new TreeNode(false, value, createdIndex || revision, revision, expirationMs, expirationMs);
}

/** A directory that has a record. One that cannot be read says as much as that there is a directory. */
export function directoryNode(record: KeyValue): TreeNode {
  const revision = Number(record.modRevision);
  const fields = decodeDirectoryRecord(record.value);
  const created = fields?.createdIndex || revision;
  const modified = fields?.modifiedIndex || revision;
  return new TreeNode(true, "", created, modified, fields?.expirationMs, fields?.expirationMs);
}

/** A directory without a record: there are keys below it. Its age is that of the first of them. */
export function impliedDirectory(below: KeyValue): TreeNode {
  const revision = Number(below.createRevision);
  return new TreeNode(true, "", revision, revision, undefined, undefined);
}
