/**
 * What a migration sees of its source, whatever that is: nodes in depth-first order as of one moment, users
 * and roles. Opens directories and snapshot files; a live server is live-source.ts's business.
 */
import { createReadStream, statSync } from "node:fs";
import { fromByteString, importSnapshot, StateMachine, StoreError, walkTree } from "@etcd2/store";
import type { Kv } from "@etcd2/store";
import { RocksKv } from "@etcd2/store/rocks";
import { detectSource } from "../detect.ts";
import { MigrateError, messageOf } from "../errors.ts";
import { checkSnapshot04, readSnapshot04 } from "../etcd04/snapshot.ts";
import { checkSnapshot } from "../etcd2/snapshot.ts";
import { withLoadedStore } from "../import/load-store.ts";
import { Workspace } from "../import/workspace.ts";
import { fileChunks } from "../io/file-chunks.ts";
import { FileCursor } from "../io/file-cursor.ts";
import { decodeAt, FormatError } from "../io/format-error.ts";
import { JsonObject } from "../io/json-object.ts";
import { holdSource } from "../locks.ts";
import type { NoticeSink } from "../notices.ts";
import { loadNode04, loadNode2 } from "../replay/load.ts";
import { ReplayClock, TargetStore } from "../replay/target-store.ts";
import type { ProgressSink } from "../sources/source.ts";
import { isClusterNode04 } from "../sources/source04.ts";
import { readStoreJson } from "../store-json.ts";
import { snapshotKind } from "./snapshot-kind.ts";
import type { V2Auth, V2Role, V2User } from "./mapping/auth-map.ts";
import type { SourceNode } from "./mapping/rows.ts";

const ROWS = 512;
const USERS = "/2/users/";
const ROLES = "/2/roles/";

export interface SourceView {
  /** For the report. */
  readonly name: string;
  /** Store index of the moment. */
  readonly etcdIndex: number;
  /** Users' nodes in depth-first order, the root left out; may be asked for again. */
  nodes(): Iterable<SourceNode>;
  /** Undefined when users and roles cannot be read. */
  readonly auth: V2Auth | undefined;
}

export interface FileSource {
  readonly dataDir?: string | undefined;
  readonly walDir?: string | undefined;
  readonly snapshot?: string | undefined;
  readonly name?: string | undefined;
  readonly skipCorrupt: boolean;
  readonly notice: NoticeSink;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** Opens a directory or snapshot file for as long as `use` runs. @throws MigrateError */
export async function withFileSource<T>(
  source: FileSource,
  use: (view: SourceView) => Promise<T>,
): Promise<T> {
  const { dataDir, snapshot, walDir, notice } = source;
  if (snapshot !== undefined) return withSnapshotFile(snapshot, use);
  if (dataDir === undefined) throw new MigrateError("usage", "name a source");
  const detected = detectSource(dataDir, { walDir, notice });
  const release = holdSource(detected, "read");
  try {
    return await withLoadedStore(detected, source, ({ machine }) => use(viewOf(machine, dataDir)));
  } finally {
    release();
  }
}

async function withSnapshotFile<T>(
  file: string,
  use: (view: SourceView) => Promise<T>,
): Promise<T> {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new MigrateError("unsupported", "is no file", { file });
  }
  const workspace = Workspace.forTrial();
  let machine: StateMachine | undefined;
  try {
    const kv = await RocksKv.open(workspace.scratch("snapshot"));
    machine = await loadSnapshotFile(file, kv).catch(async (error: unknown) => {
      await kv.close();
      throw error;
    });
    return await use(viewOf(machine, file));
  } finally {
    await machine?.close();
    workspace.dispose();
  }
}

/** A file of this server's `snapshot save`, a .snap of 2.x, or an .ss of 0.4. */
async function loadSnapshotFile(file: string, kv: Kv): Promise<StateMachine> {
  const kind = snapshotKind(file);
  if (kind === "2.x") {
    const { jsonStart, jsonEnd } = checkSnapshot(file);
    return loadOld(kv, (store) => {
      const cursor = new FileCursor(file);
      try {
        const read = () =>
          readStoreJson(fileChunks(cursor, jsonStart, jsonEnd), (node) => {
            loadNode2(store, node);
          });
        return decodeAt(file, jsonStart, read).currentIndex;
      } finally {
        cursor.close();
      }
    });
  }
  if (kind === "0.4") {
    checkSnapshot04(file);
    return loadOld(kv, (store) => {
      const read = readSnapshot04(file, (node) => {
        if (!isClusterNode04(`/1${node.path}`)) loadNode04(store, node);
      });
      return read.document.currentIndex;
    });
  }
  if (kind === "bolt") {
    throw new MigrateError("unsupported", "is a snapshot of the v3 store, which holds no v2 keys", {
      file,
      remedy: "take --data-dir, or a .snap file of member/snap",
    });
  }
  try {
    await importSnapshot(kv, createReadStream(file), { clock: new ReplayClock() });
    return await StateMachine.open({ kv, clock: new ReplayClock() });
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause;
    throw new MigrateError("corrupt", messageOf(cause), {
      file,
      remedy: "take a file of etcdctl snapshot save, a .snap file of 2.x or an .ss file of 0.4",
      cause,
    });
  }
}

async function loadOld(kv: Kv, load: (store: TargetStore) => number): Promise<StateMachine> {
  const store = new TargetStore(kv);
  const etcdIndex = load(store);
  await store.endLoad({ etcdIndex, raftIndex: 0, raftTerm: 0, events: [] });
  return store.settle();
}

function viewOf(machine: StateMachine, name: string): SourceView {
  return {
    name,
    etcdIndex: machine.reader.etcdIndex,
    nodes: () => userNodes(machine),
    auth: storedAuth(machine),
  };
}

function* userNodes({ kv }: StateMachine): Generator<SourceNode> {
  const listing = walkTree(kv);
  try {
    for (let rows = listing.next(ROWS); rows.length > 0; rows = listing.next(ROWS)) {
      for (const { node } of rows) {
        if (!node.key.startsWith("/1/")) continue;
        const { dir, value = "", expirationMs } = node;
        yield { path: node.key.slice(2), dir, value, expirationMs };
      }
    }
  } finally {
    listing.close();
  }
}

function storedAuth({ kv }: StateMachine): V2Auth {
  const users: V2User[] = [];
  const roles: V2Role[] = [];
  let enabled = false;
  const listing = walkTree(kv);
  try {
    for (let rows = listing.next(ROWS); rows.length > 0; rows = listing.next(ROWS)) {
      for (const { node } of rows) {
        const { key, value = "" } = node;
        if (key === "/2/enabled") enabled = value === "true";
        else if (key.startsWith(USERS)) users.push(readUser(parse(value, key)));
        else if (key.startsWith(ROLES)) roles.push(readRole(parse(value, key)));
      }
    }
  } finally {
    listing.close();
  }
  return { enabled, users, roles };
}

function parse(value: string, key: string): JsonObject {
  try {
    return JsonObject.parse(fromByteString(value));
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new MigrateError("corrupt", `the record ${fromByteString(key)} is unreadable`, {
      remedy: "leave users and roles out with --no-auth",
      cause,
    });
  }
}

/** A user as stored and shown. @throws FormatError */
export function readUser(json: JsonObject): V2User {
  return {
    name: json.byteString("user"),
    roles: json.texts("roles").map(byteString),
  };
}

/** A role as stored and shown. @throws FormatError */
export function readRole(json: JsonObject): V2Role {
  const kv = json.object("permissions").object("kv");
  return {
    name: json.byteString("role"),
    read: kv.texts("read").map(byteString),
    write: kv.texts("write").map(byteString),
  };
}

function byteString(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
