/**
 * Replays an etcd 0.4 log onto a store, so that it ends up as the old server showed it. The users'
 * keys move under /1; `_etcd` (machines, configuration) stays among them while replaying, because
 * its changes count in the store index, and is turned into members at the end.
 */
import type { Command04 } from "../etcd04/commands.ts";
import { cleanKey, fromByteString, toByteString } from "@etcd2/store";
import { JsonObject } from "../io/json-object.ts";
import type { ReplayStore, ReplayWrite } from "./replay-store.ts";
import { write } from "./writes.ts";

export const MACHINES_PATH = "/1/_etcd/machines";
export const CONFIG_PATH = "/1/_etcd/config";

const ACTIVE_SIZE_DEFAULT = 9;
const ACTIVE_SIZE_MIN = 3;

export interface Machine04 {
  readonly name: string;
  readonly raftUrl: string;
  readonly etcdUrl: string;
  /** Store index at which it joined. */
  readonly createdIndex: number;
}

export class Replay04 {
  readonly #store: ReplayStore;
  entries = 0;

  constructor(store: ReplayStore) {
    this.#store = store;
  }

  apply(command: Command04, raftIndex: number, raftTerm: number): void {
    this.#store.begin(raftIndex, raftTerm);
    this.entries++;
    switch (command.kind) {
      case "sync":
        this.#store.expire(command.timeNs);
        return;
      case "join":
        this.#join(command);
        return;
      case "remove":
        this.#store.write(write("delete", `${MACHINES_PATH}/${command.name}`));
        return;
      case "clusterConfig":
        this.#store.write(write("set", CONFIG_PATH, { value: command.json }));
        return;
      case "none":
        return;
      case "set":
      case "create":
      case "update":
      case "compareAndSwap":
      case "delete":
      case "compareAndDelete":
        this.#store.write(this.#keyWrite(command));
    }
  }

  /** The machines of the cluster as the store has them now. */
  machines(): readonly Machine04[] {
    return this.#store.peekChildren(MACHINES_PATH).map((node) => ({
      name: fromByteString(node.key.slice(MACHINES_PATH.length + 1)),
      ...decodeMachine(node.value ?? ""),
      createdIndex: node.createdIndex,
    }));
  }

  #keyWrite(
    command: Exclude<Command04, { kind: "sync" | "join" | "remove" | "clusterConfig" | "none" }>,
  ): ReplayWrite {
    const path = storePath(command.key);
    switch (command.kind) {
      case "set":
        return write("set", path, command);
      case "create": {
        const name = command.unique ? `${path}/${this.#store.etcdIndex + 1}` : path;
        return write("create", name, command);
      }
      case "update":
        return write("update", path, command);
      case "compareAndSwap":
        return write("compareAndSwap", path, command);
      case "delete": {
        const { recursive, dir } = command;
        return write("delete", path, { recursive, dir });
      }
      case "compareAndDelete":
        return write("compareAndDelete", path, command);
    }
  }

  /**
   * A machine that is known joins without effect, or with a new peer URL; a new one needs a free
   * peer URL and a free place.
   */
  #join(command: Extract<Command04, { kind: "join" }>): void {
    const path = `${MACHINES_PATH}/${command.name}`;
    const known = this.#store.peek(path);
    const value = encodeMachine(command.etcdUrl, command.raftUrl);
    if (known !== undefined) {
      if (decodeMachine(known.value ?? "").raftUrl !== command.raftUrl) {
        this.#store.write(write("update", path, { value }));
      }
      return;
    }
    const machines = this.machines();
    if (machines.some((machine) => machine.raftUrl === command.raftUrl)) return;
    if (machines.length >= this.#activeSize()) return;
    this.#store.write(write("create", path, { value }));
  }

  #activeSize(): number {
    const config = this.#store.peek(CONFIG_PATH)?.value;
    if (config === undefined || config === "") return ACTIVE_SIZE_DEFAULT;
    return Math.max(ACTIVE_SIZE_MIN, JsonObject.parse(fromByteString(config)).number("activeSize"));
  }
}

function storePath(key: string): string {
  const path = cleanKey(key);
  return path === "/" ? "/1" : `/1${path}`;
}

/** A machine's record as 0.4 stores it. */
function encodeMachine(etcdUrl: string, raftUrl: string): string {
  return toByteString(`etcd=${encodeURIComponent(etcdUrl)}&raft=${encodeURIComponent(raftUrl)}`);
}

function decodeMachine(value: string): { raftUrl: string; etcdUrl: string } {
  const fields = new URLSearchParams(fromByteString(value));
  return { raftUrl: fields.get("raft") ?? "", etcdUrl: fields.get("etcd") ?? "" };
}
