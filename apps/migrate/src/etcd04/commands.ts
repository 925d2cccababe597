/**
 * The commands in an etcd 0.4 log: names, JSON members, checks. Turns log records into plain
 * records; what they do to a store is the replay's business.
 */
import { MigrateError } from "../errors.ts";
import { FormatError } from "../io/format-error.ts";
import { parseGoTime } from "../io/go-time.ts";
import { JsonObject } from "../io/json-object.ts";
import type { Log04Record } from "./log.ts";

interface KeyCommand {
  /** Absolute path as 0.4 shows it, as a byte string. */
  readonly key: string;
}

interface ValueCommand extends KeyCommand {
  readonly value: string;
  /** Nanoseconds since 1970; undefined is permanent. */
  readonly expirationNs: bigint | undefined;
}

export type Command04 =
  | ({ readonly kind: "set"; readonly dir: boolean } & ValueCommand)
  | ({ readonly kind: "create"; readonly dir: boolean; readonly unique: boolean } & ValueCommand)
  | ({ readonly kind: "update" } & ValueCommand)
  | ({ readonly kind: "delete"; readonly recursive: boolean; readonly dir: boolean } & KeyCommand)
  | ({
      readonly kind: "compareAndSwap";
      readonly prevValue: string;
      readonly prevIndex: number;
    } & ValueCommand)
  | ({
      readonly kind: "compareAndDelete";
      readonly prevValue: string;
      readonly prevIndex: number;
    } & KeyCommand)
  | { readonly kind: "sync"; readonly timeNs: bigint }
  | {
      readonly kind: "join";
      readonly name: string;
      readonly raftUrl: string;
      readonly etcdUrl: string;
    }
  | { readonly kind: "remove"; readonly name: string }
  | { readonly kind: "clusterConfig"; readonly activeSize: number; readonly json: string }
  /** Reads and elections: nothing changes. */
  | { readonly kind: "none" };

/**
 * @throws MigrateError "unknown" for a command name 0.4 never had; FormatError for bad JSON.
 */
export function decodeCommand04(record: Log04Record, file: string): Command04 {
  switch (record.name) {
    case "raft:nop":
    case "etcd:get":
      return { kind: "none" };
    case "etcd:set":
      return { kind: "set", dir: body(record).boolean("dir"), ...value(body(record)) };
    case "etcd:create": {
      const json = body(record);
      const flags = { dir: json.boolean("dir"), unique: json.boolean("unique") };
      return { kind: "create", ...flags, ...value(json) };
    }
    case "etcd:update":
      return { kind: "update", ...value(body(record)) };
    case "etcd:delete": {
      const json = body(record);
      const recursive = json.boolean("recursive");
      return { kind: "delete", key: key(json), recursive, dir: json.boolean("dir") };
    }
    case "etcd:compareAndSwap":
      return { kind: "compareAndSwap", ...conditions(body(record)), ...value(body(record)) };
    case "etcd:compareAndDelete": {
      const json = body(record);
      return { kind: "compareAndDelete", key: key(json), ...conditions(json) };
    }
    case "etcd:sync":
      return { kind: "sync", timeNs: parseGoTime(body(record).text("time")) ?? 0n };
    case "etcd:join":
      return join(body(record));
    case "etcd:remove":
      return { kind: "remove", name: body(record).byteString("name") };
    case "etcd:setClusterConfig":
      return clusterConfig(body(record));
    default:
      throw new MigrateError("unknown", `unknown command "${record.name.slice(0, 60)}"`, {
        file,
        offset: record.offset,
      });
  }
}

function body(record: Log04Record): JsonObject {
  return JsonObject.parse(record.command.toString("utf8"));
}

function key(json: JsonObject): string {
  const path = json.byteString("key");
  if (!path.startsWith("/")) throw new FormatError("unreadable command: its key is not a path");
  return path;
}

function value(json: JsonObject): ValueCommand {
  const time = json.text("expireTime");
  return {
    key: key(json),
    value: json.byteString("value"),
    expirationNs: time === "" ? undefined : parseGoTime(time),
  };
}

function conditions(json: JsonObject): { prevValue: string; prevIndex: number } {
  return { prevValue: json.byteString("prevValue"), prevIndex: json.index("prevIndex") };
}

function join(json: JsonObject): Command04 {
  const name = json.byteString("name");
  if (name === "") throw new FormatError("unreadable command: a join without a name");
  return { kind: "join", name, raftUrl: json.text("raftURL"), etcdUrl: json.text("etcdURL") };
}

function clusterConfig(json: JsonObject): Command04 {
  const config = json.object("config");
  const activeSize = config.number("activeSize");
  const fields = {
    activeSize,
    removeDelay: config.number("removeDelay"),
    syncInterval: config.number("syncInterval"),
  };
  return { kind: "clusterConfig", activeSize, json: JSON.stringify(fields) };
}
