/**
 * The two small files beside an etcd 0.4 log: `conf` (the other machines) and `standby_info`.
 * Both are hints without checksums; the store itself never depends on them.
 */
import { readFileSync } from "node:fs";
import { MigrateError } from "../errors.ts";
import { decodeAt } from "../io/format-error.ts";
import { JsonObject } from "../io/json-object.ts";

/** A conf file larger than this is not one. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

export interface Conf04 {
  /** Usually far behind: written only when the membership changes. */
  readonly commitIndex: number;
  /** Names of the other machines. */
  readonly peers: readonly string[];
}

export interface StandbyInfo {
  /** The machine was in standby when it stopped. */
  readonly running: boolean;
  readonly cluster: readonly { readonly name: string; readonly peerUrl: string }[];
}

/** Undefined when there is no such file. */
export function readConf04(path: string): Conf04 | undefined {
  return readSmallJson(path, (json) => ({
    commitIndex: json.index("commitIndex"),
    peers: json.objects("peers").map((peer) => peer.byteString("name")),
  }));
}

/** Undefined when there is no such file. */
export function readStandbyInfo(path: string): StandbyInfo | undefined {
  return readSmallJson(path, (json) => ({
    running: json.boolean("Running"),
    cluster: json
      .objects("Cluster")
      .map((machine) => ({ name: machine.text("name"), peerUrl: machine.text("peerURL") })),
  }));
}

function readSmallJson<T>(path: string, read: (json: JsonObject) => T): T | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new MigrateError("unsupported", "cannot be read", { file: path, cause: error });
  }
  if (bytes.length > FILE_BYTES_MAX) {
    throw new MigrateError("corrupt", "is too large for what it is", { file: path });
  }
  return decodeAt(path, 0, () => read(JsonObject.parse(bytes.toString("utf8"))));
}
