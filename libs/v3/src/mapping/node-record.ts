/**
 * The records beside the values: what a v2 node has that a v3 key has not. Short JSON texts, so that a
 * person can read them with `etcdctl get`. An index of 0 stands for the revision that wrote the record,
 * which is not known when it is written.
 */
import type { ByteString, EventAction } from "@etcd2/store";

/** Who wrote a node and how v2 shows it. */
export interface NodeRecord {
  /** What the write was, for watchers. */
  readonly action: Exclude<EventAction, "get" | "delete" | "compareAndDelete" | "expire">;
  /** Revision of the creation; 0 is that of this record. */
  readonly createdIndex: number;
  /** Unix milliseconds as told to clients; undefined is permanent. */
  readonly expirationMs: number | undefined;
  /** A refresh, of which no watcher is told. */
  readonly refresh: boolean;
}

export interface DirectoryRecord extends NodeRecord {
  /** Revision shown as modifiedIndex; 0 is that of this record. Updates of a directory keep it. */
  readonly modifiedIndex: number;
  /** Made on the way to another node: no event of its own. */
  readonly isImplicit: boolean;
}

/** What a deletion was. */
export interface Announcement {
  readonly action: "delete" | "compareAndDelete" | "expire";
  readonly path: ByteString;
  readonly dir: boolean;
}

const ACTIONS: ReadonlySet<unknown> = new Set<NodeRecord["action"]>([
  "set",
  "create",
  "update",
  "compareAndSwap",
]);
const REMOVALS: ReadonlySet<unknown> = new Set<Announcement["action"]>([
  "delete",
  "compareAndDelete",
  "expire",
]);

function encode(value: object): Buffer {
  return Buffer.from(JSON.stringify(value), "utf8");
}

function decode(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** Fields at rest are left out. */
function nodeFields(record: NodeRecord): object {
  return {
    action: record.action,
    ...(record.createdIndex !== 0 && { created: record.createdIndex }),
    ...(record.expirationMs !== undefined && { expires: record.expirationMs }),
    ...(record.refresh && { refresh: true }),
  };
}

function readNodeFields(fields: Readonly<Record<string, unknown>>): NodeRecord | undefined {
  const { action, created = 0, expires, refresh = false } = fields;
  if (!ACTIONS.has(action) || !isIndex(created) || typeof refresh !== "boolean") return undefined;
  if (expires !== undefined && !Number.isSafeInteger(expires)) return undefined;
  return {
    action: action as NodeRecord["action"],
    createdIndex: created,
    expirationMs: expires === undefined ? undefined : Number(expires),
    refresh,
  };
}

export function encodeFileRecord(record: NodeRecord): Buffer {
  return encode(nodeFields(record));
}

/** @returns undefined for what is no record of a file. */
export function decodeFileRecord(bytes: Uint8Array): NodeRecord | undefined {
  const fields = decode(bytes);
  return fields && readNodeFields(fields);
}

export function encodeDirectoryRecord(record: DirectoryRecord): Buffer {
  return encode({
    ...nodeFields(record),
    ...(record.modifiedIndex !== 0 && { modified: record.modifiedIndex }),
    ...(record.isImplicit && { implicit: true }),
  });
}

/** @returns undefined for what is no record of a directory. */
export function decodeDirectoryRecord(bytes: Uint8Array): DirectoryRecord | undefined {
  const fields = decode(bytes);
  const record = fields && readNodeFields(fields);
  if (fields === undefined || record === undefined) return undefined;
  const { modified = 0, implicit = false } = fields;
  if (!isIndex(modified) || typeof implicit !== "boolean") return undefined;
  return { ...record, modifiedIndex: modified, isImplicit: implicit };
}

/** The path is a byte string: each byte becomes one character of the JSON text. */
export function encodeAnnouncement(announcement: Announcement): Buffer {
  return encode(announcement);
}

/** @returns undefined for what is no announcement. */
export function decodeAnnouncement(bytes: Uint8Array): Announcement | undefined {
  const { action, path, dir } = decode(bytes) ?? {};
  if (!REMOVALS.has(action) || typeof path !== "string" || typeof dir !== "boolean") {
    return undefined;
  }
  return { action: action as Announcement["action"], path, dir };
}
