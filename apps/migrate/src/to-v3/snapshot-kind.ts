/** Tells the kinds of snapshot files apart by what they begin with; their names may say anything. */
import { closeSync, openSync, readSync } from "node:fs";
import { isSnapshotStart } from "@etcd2/store";

/**
 * - "own": `etcdctl snapshot save` of this project;
 * - "0.4": an `.ss` file; "2.x": a `.snap` file, also of 3.x with --enable-v2;
 * - "bolt": the database that `etcdctl snapshot save` of etcd 3 copies.
 */
export type SnapshotKind = "own" | "0.4" | "2.x" | "bolt" | "unknown";

/** Where a page of the database holds its magic number, and that number. */
const BOLT_MAGIC_OFFSET = 16;
const BOLT_MAGIC = 0xed0cdaed;

const HEAD_BYTES = 32;

/** @throws Error in the words of the system when the file cannot be read. */
export function snapshotKind(file: string): SnapshotKind {
  const head = Buffer.alloc(HEAD_BYTES);
  const fd = openSync(file, "r");
  let length: number;
  try {
    length = readSync(fd, head, 0, HEAD_BYTES, 0);
  } finally {
    closeSync(fd);
  }
  return kindOf(head.subarray(0, length));
}

function kindOf(head: Buffer): SnapshotKind {
  if (isSnapshotStart(head)) return "own";
  if (/^[0-9a-f]{8}\n/.test(head.toString("latin1"))) return "0.4";
  const magicEnd = BOLT_MAGIC_OFFSET + 4;
  if (head.length >= magicEnd && head.readUInt32LE(BOLT_MAGIC_OFFSET) === BOLT_MAGIC) return "bolt";
  // Field 1, the checksum as a number, comes first.
  return head[0] === 0x08 ? "2.x" : "unknown";
}
