/**
 * From what the v2 tree did to a snapshot to one guarded transaction: which rows are written, and what
 * must still be as it was read for the outcome to hold. Pure.
 */
import type { KeyValue } from "@etcd2/proto/v3/kv";
import { type ByteString, parentPath, type TreeNode, type WriteCommand } from "@etcd2/store";
import type { KeySpace } from "../mapping/key-space.ts";
import {
  type Announcement,
  encodeAnnouncement,
  encodeDirectoryRecord,
  encodeFileRecord,
  type NodeRecord,
} from "../mapping/node-record.ts";
import * as ops from "../upstream/operations.ts";
import type { RowChange } from "../rows/row-space.ts";
import type { Level, Snapshot } from "../rows/snapshot.ts";

/** Directories that one transaction can make on the way to a key. */
export const NEW_DIRECTORIES_MAX = 100;

export interface WritePlan {
  readonly guards: readonly ops.Guard[];
  readonly operations: readonly ops.Operation[];
}

export interface PlanInput {
  readonly space: KeySpace;
  readonly snapshot: Snapshot;
  readonly command: WriteCommand;
  /** What the tree wrote; its index for this write was the snapshot's revision + 1. */
  readonly changes: readonly RowChange[];
  /** The path that is written, of a write in order with its new name. */
  readonly target: ByteString;
  /** Index that the tree gave to what it wrote. */
  readonly newIndex: number;
  /** Lease of the target; 0 for none. */
  readonly lease: bigint;
  /** Key of this bridge's announcements. */
  readonly announcementPath: ByteString;
}

const RECORD_ACTIONS = {
  set: "set",
  create: "create",
  createInOrder: "create",
  update: "update",
  compareAndSwap: "compareAndSwap",
  delete: undefined,
  compareAndDelete: undefined,
} as const;

/** An index as records have it: 0 stands for the revision that is about to be. */
function recorded(index: number, newIndex: number): number {
  return index === newIndex ? 0 : index;
}

function nodeRecord(input: PlanInput, node: TreeNode): NodeRecord {
  const { command, newIndex } = input;
  return {
    action: RECORD_ACTIONS[command.action] ?? "set",
    createdIndex: recorded(node.createdIndex, newIndex),
    expirationMs: node.expirationMs,
    refresh: command.refresh,
  };
}

/** Whether a value without a record says the same: it counts as set at its own revision, for good. */
function isSaidByValue({ action, createdIndex, expirationMs, refresh }: NodeRecord): boolean {
  return action === "set" && createdIndex === 0 && expirationMs === undefined && !refresh;
}

/**
 * A value and what v2 needs besides. Where the value says it all, it stands alone, which is one row less
 * to write; a record of an earlier value goes in the same revision, where watchers see it.
 */
export function putFile(
  space: KeySpace,
  path: ByteString,
  value: ByteString,
  record: NodeRecord,
  lease: bigint,
): ops.Operation[] {
  const key = space.key("file", path);
  return [
    ops.put(space.key("data", path), Buffer.from(value, "latin1"), lease),
    isSaidByValue(record) ? ops.remove(key) : ops.put(key, encodeFileRecord(record), lease),
  ];
}

function putDirectory(
  input: PlanInput,
  path: ByteString,
  node: TreeNode,
  isImplicit: boolean,
): ops.Operation {
  const record = encodeDirectoryRecord({
    ...(isImplicit
      ? {
          action: "create",
          createdIndex: recorded(node.createdIndex, input.newIndex),
          expirationMs: node.expirationMs,
          refresh: false,
        }
      : nodeRecord(input, node)),
    modifiedIndex: recorded(node.modifiedIndex, input.newIndex),
    isImplicit,
  });
  return ops.put(input.space.key("directory", path), record, 0n);
}

/** The target itself, as a directory: its record, its lifetime, and the file that it replaces. */
function putTargetDirectory(
  input: PlanInput,
  path: ByteString,
  node: TreeNode,
  previous: TreeNode | undefined,
): ops.Operation[] {
  const { space, lease } = input;
  const lifetime = space.key("lifetime", path);
  const operations = [putDirectory(input, path, node, false)];
  operations.push(lease === 0n ? ops.remove(lifetime) : ops.put(lifetime, Buffer.of(), lease));
  if (previous?.dir === false) {
    operations.push(ops.remove(space.key("data", path)), ops.remove(space.key("file", path)));
  }
  return operations;
}

/** Everything of a directory and below it. */
export function removeSubtree(space: KeySpace, path: ByteString): ops.Operation[] {
  const kinds = ["data", "file", "directory", "lifetime", "sequence"] as const;
  return kinds.flatMap((kind) => [
    ops.remove(space.key(kind, path)),
    ops.removeRange(space.below(kind, path)),
  ]);
}

/** The announcement that goes with a removal. */
export function announce(
  space: KeySpace,
  announcementPath: ByteString,
  announcement: Announcement,
): ops.Operation {
  const key = space.key("announcement", announcementPath);
  return ops.put(key, encodeAnnouncement(announcement), 0n);
}

function removeTarget(
  input: PlanInput,
  path: ByteString,
  previous: TreeNode | undefined,
): ops.Operation[] {
  const { space, command, announcementPath } = input;
  const dir = previous?.dir === true;
  const action = command.action === "compareAndDelete" ? "compareAndDelete" : "delete";
  const removals = dir
    ? removeSubtree(space, path)
    : [ops.remove(space.key("data", path)), ops.remove(space.key("file", path))];
  return [...removals, announce(space, announcementPath, { action, path, dir })];
}

/** Directories that get a record because something is made below them. */
function adopt(input: PlanInput): ops.Operation[] {
  const { snapshot, target } = input;
  return snapshot.implied
    .filter(({ path }) => path !== target)
    .map(({ path }) => {
      const node = snapshot.node(path);
      return node === undefined ? undefined : putDirectory(input, path, node, true);
    })
    .filter((operation) => operation !== undefined);
}

function operationsOf(input: PlanInput): ops.Operation[] {
  const { changes, target, command, space } = input;
  const operations: ops.Operation[] = [];
  let makes = false;
  for (const { path, node, previous } of changes) {
    if (node === undefined) operations.push(...removeTarget(input, path, previous));
    else if (path !== target) operations.push(putDirectory(input, path, node, true));
    else if (node.dir) operations.push(...putTargetDirectory(input, path, node, previous));
    else {
      const record = nodeRecord(input, node);
      operations.push(...putFile(space, path, node.value, record, input.lease));
    }
    makes ||= node !== undefined;
  }
  if (makes) operations.push(...adopt(input));
  if (command.action === "createInOrder") {
    const name = Buffer.from(target.slice(target.lastIndexOf("/") + 1), "latin1");
    operations.push(ops.put(space.key("sequence", parentPath(target)), name, 0n));
  }
  return operations;
}

/** That nothing has come to be at a path or below. */
function nothingAt(space: KeySpace, path: ByteString): ops.Guard[] {
  return [
    ops.absent(space.key("data", path)),
    ops.absent(space.key("directory", path)),
    ops.emptyRange(space.below("data", path)),
    ops.emptyRange(space.below("directory", path)),
  ];
}

/** That an existing directory still is one. */
function stillDirectory(space: KeySpace, level: Level): ops.Guard[] {
  const record = space.key("directory", level.path);
  return level.directory !== undefined
    ? [ops.present(record)]
    : [ops.absent(record), ops.absent(space.key("data", level.path))];
}

/** That the directories above the target are what they were. */
function guardAbove({ space, snapshot, target }: PlanInput): ops.Guard[] {
  const guards: ops.Guard[] = [];
  const above = snapshot.levels.filter(({ path }) => path !== target);
  const missing = above.find(({ path }) => snapshot.node(path) === undefined);
  if (missing !== undefined) guards.push(...nothingAt(space, missing.path));
  for (const level of above.toReversed()) {
    if (snapshot.node(level.path) === undefined) continue;
    guards.push(...stillDirectory(space, level));
    // A record stands for the records of everything above.
    if (level.directory !== undefined) break;
  }
  return guards;
}

/** That the target is what it was, as far as the command depends on it. */
function guardTarget({ space, snapshot, command, target }: PlanInput): ops.Guard[] {
  const level = snapshot.levels.find(({ path }) => path === target);
  const key = { data: space.key("data", target), directory: space.key("directory", target) };
  const node = snapshot.node(target);
  if (node === undefined) return nothingAt(space, target);
  if (node.dir) return guardDirectory(space, command, target, level?.directory);
  const isFile = ops.absent(key.directory);
  // Who sets asks for nothing but a file: others may set it at the same time.
  if (command.action === "set" && !command.refresh && !command.dir) {
    return [isFile, ops.present(key.data)];
  }
  return [isFile, ops.unchanged(key.data, level?.data)];
}

function guardDirectory(
  space: KeySpace,
  { action, recursive }: WriteCommand,
  target: ByteString,
  record: KeyValue | undefined,
): ops.Guard[] {
  const guards = [ops.unchanged(space.key("directory", target), record)];
  if (action === "delete" && !recursive) {
    guards.push(ops.emptyRange(space.below("data", target)));
    guards.push(ops.emptyRange(space.below("directory", target)));
  }
  return guards;
}

/** The transaction of a write. */
export function planWrite(input: PlanInput): WritePlan {
  return {
    guards: [...guardAbove(input), ...guardTarget(input)],
    operations: operationsOf(input),
  };
}
