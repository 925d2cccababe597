/**
 * What one revision of a v3 cluster is to watchers of v2: its events, and the directories whose TTL is
 * over. Writes of bridges come with their records and announcements; what v3 programs put counts as
 * set, what they remove as deleted, what their leases take away as expired. Pure.
 */
import { type Event, Event_EventType } from "@etcd2/proto/v3/watch";
import type { KeyValue } from "@etcd2/proto/v3/kv";
import {
  type ByteString,
  type EventAction,
  nodeExtern,
  parentPath,
  type RecordedEvent,
  RemovedNames,
  type TreeNode,
} from "@etcd2/store";
import type { RevisionChanges } from "../client/watch.ts";
import type { KeySpace } from "./key-space.ts";
import {
  type Announcement,
  decodeAnnouncement,
  decodeDirectoryRecord,
  decodeFileRecord,
} from "./node-record.ts";
import {
  CLIENTS,
  directoryNode,
  fileNode,
  impliedDirectory,
  isCurrent,
  latin1,
} from "./tree-rows.ts";

export interface Translation {
  /** In the order of their paths; all have the revision as their index. */
  readonly events: readonly RecordedEvent[];
  /** Directories whose lifetime ended: their subtrees are to be removed. */
  readonly lapsed: readonly ByteString[];
  /** Keys in the range that v2 cannot name. */
  readonly unnameable: readonly Uint8Array[];
}

/** What one revision did to one path. */
interface PathChange {
  data?: Event;
  file?: Event;
  directory?: Event;
  lifetime?: Event;
}

interface Sorted {
  readonly paths: ReadonlyMap<ByteString, PathChange>;
  readonly announcement: Announcement | undefined;
  readonly unnameable: readonly Uint8Array[];
}

function isPut(event: Event | undefined): event is Event & { kv: KeyValue } {
  return event?.kv !== undefined && event.type === Event_EventType.PUT_UNSPECIFIED;
}

function isDelete(event: Event | undefined): boolean {
  return event !== undefined && event.type !== Event_EventType.PUT_UNSPECIFIED;
}

function sort(events: readonly Event[], space: KeySpace): Sorted {
  const paths = new Map<ByteString, PathChange>();
  const unnameable: Uint8Array[] = [];
  let announcement: Announcement | undefined;
  for (const event of events) {
    if (event.kv === undefined) continue;
    const parsed = space.parse(event.kv.key);
    if (parsed === undefined) {
      if (latin1(event.kv.key).startsWith(`${space.prefix}/`)) unnameable.push(event.kv.key);
      continue;
    }
    const { kind, path } = parsed;
    if (kind === "sequence") continue;
    if (kind === "announcement") {
      if (isPut(event)) announcement = decodeAnnouncement(event.kv.value) ?? announcement;
      continue;
    }
    let change = paths.get(path);
    if (change === undefined) paths.set(path, (change = {}));
    change[kind] = event;
  }
  return { paths, announcement, unnameable };
}

/** All names that went away below a directory, those of implied directories too. */
function removedBelow(paths: ReadonlyMap<ByteString, PathChange>, directory: ByteString) {
  const names = new Set<ByteString>();
  for (const path of paths.keys()) {
    if (!path.startsWith(`${directory}/`)) continue;
    for (let at = path; at.length > directory.length && !names.has(CLIENTS + at);) {
      names.add(CLIENTS + at);
      at = parentPath(at);
    }
  }
  return names.size === 0 ? undefined : new RemovedNames([...names].sort());
}

function removalEvent(
  action: EventAction,
  path: ByteString,
  previous: TreeNode,
  revision: number,
  nowMs: number,
  removed?: RemovedNames,
): RecordedEvent {
  const key = CLIENTS + path;
  const prevNode = nodeExtern(key, previous, nowMs);
  return {
    action,
    node: {
      key,
      value: undefined,
      // As in etcd 2.3.8, which forgets what it was that expired.
      dir: action === "expire" ? false : previous.dir,
      createdIndex: previous.createdIndex,
      modifiedIndex: revision,
      expirationMs: undefined,
      ttl: 0,
    },
    prevNode: action === "expire" ? { ...prevNode, ttl: 0 } : prevNode,
    etcdIndex: revision,
    refresh: false,
    removed,
  };
}

/** The file that was there before a change; undefined when there was none. */
function previousFile({ data, file }: PathChange): TreeNode | undefined {
  return data?.prevKv === undefined ? undefined : fileNode(data.prevKv, file?.prevKv);
}

function announced(
  { action, path, dir }: Announcement,
  paths: ReadonlyMap<ByteString, PathChange>,
  revision: number,
  nowMs: number,
): RecordedEvent | undefined {
  const change = paths.get(path) ?? {};
  if (!dir) {
    const previous = previousFile(change);
    return previous && removalEvent(action, path, previous, revision, nowMs);
  }
  let previous = change.directory?.prevKv && directoryNode(change.directory.prevKv);
  if (previous === undefined) {
    // Only keys of v3 programs were below it.
    const first = [...paths].sort(byPath).find(([below]) => below.startsWith(`${path}/`));
    const row = first?.[1].data?.prevKv;
    if (row === undefined) return undefined;
    previous = impliedDirectory(row);
  }
  return removalEvent(action, path, previous, revision, nowMs, removedBelow(paths, path));
}

function byPath([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function putEvent(
  action: EventAction,
  path: ByteString,
  node: TreeNode,
  previous: TreeNode | undefined,
  refresh: boolean,
  revision: number,
  nowMs: number,
): RecordedEvent {
  const key = CLIENTS + path;
  return {
    action,
    // An updated directory keeps its modifiedIndex; only the event shows the new one.
    node: { ...nodeExtern(key, node, nowMs), modifiedIndex: revision },
    prevNode: previous && nodeExtern(key, previous, nowMs),
    etcdIndex: revision,
    refresh,
    removed: undefined,
  };
}

function directoryEvent(
  path: ByteString,
  change: PathChange,
  record: KeyValue,
  revision: number,
  nowMs: number,
): RecordedEvent | undefined {
  const fields = decodeDirectoryRecord(record.value);
  if (fields === undefined || fields.isImplicit) return undefined;
  const before = change.directory?.prevKv && directoryNode(change.directory.prevKv);
  const previous = before ?? previousFile(change);
  const { action, refresh } = fields;
  const shown = action === "create" ? undefined : previous;
  return putEvent(action, path, directoryNode(record), shown, refresh, revision, nowMs);
}

function fileEvent(
  path: ByteString,
  change: PathChange,
  data: KeyValue,
  revision: number,
  nowMs: number,
): RecordedEvent {
  const record = isPut(change.file) ? change.file.kv : undefined;
  const fields = record && decodeFileRecord(record.value);
  const node = fileNode(data, record);
  const action = fields?.action ?? "set";
  const previous = previousFile(change);
  return putEvent(action, path, node, previous, fields?.refresh ?? false, revision, nowMs);
}

function lostFile(
  path: ByteString,
  change: PathChange,
  revision: number,
  nowMs: number,
): RecordedEvent | undefined {
  const previous = previousFile(change);
  const data = change.data?.prevKv;
  if (previous === undefined || data === undefined) return undefined;
  const recordBefore = change.file?.prevKv;
  // A lease takes value and record; who deletes the value alone is a v3 program.
  const byLease = isCurrent(data, recordBefore) ? isDelete(change.file) : change.file === undefined;
  const action = byLease && data.lease !== 0n ? "expire" : "delete";
  return removalEvent(action, path, previous, revision, nowMs);
}

/** @param nowMs Unix milliseconds, for the TTLs that are shown. */
export function translate(
  { revision, events }: RevisionChanges,
  space: KeySpace,
  nowMs: number,
): Translation {
  const { paths, announcement, unnameable } = sort(events, space);
  if (announcement !== undefined) {
    const event = announced(announcement, paths, revision, nowMs);
    return { events: event === undefined ? [] : [event], lapsed: [], unnameable };
  }
  const told: RecordedEvent[] = [];
  const lapsed: ByteString[] = [];
  for (const [path, change] of [...paths].sort(byPath)) {
    let event: RecordedEvent | undefined;
    if (isPut(change.directory)) {
      event = directoryEvent(path, change, change.directory.kv, revision, nowMs);
    } else if (isPut(change.data)) {
      event = fileEvent(path, change, change.data.kv, revision, nowMs);
    } else if (isDelete(change.data)) {
      event = lostFile(path, change, revision, nowMs);
    }
    if (event !== undefined) told.push(event);
    if (isDelete(change.lifetime) && change.directory === undefined) lapsed.push(path);
  }
  return { events: told, lapsed, unnameable };
}
