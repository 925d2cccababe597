/**
 * A data directory of etcd 0.4 as one thing: snapshot, log and the small files beside them. Replays
 * into a store as the old server showed it and works out members, identity and raft position.
 */
import { existsSync } from "node:fs";
import { formatId, MEMBERS_PATH } from "@etcd2/member-dir";
import type { NodeExtern, StoreEvent } from "@etcd2/store";
import type { Source04 } from "../detect.ts";
import { isDamage, MigrateError } from "../errors.ts";
import { decodeCommand04 } from "../etcd04/commands.ts";
import type { Conf04 } from "../etcd04/conf.ts";
import { readConf04, readStandbyInfo } from "../etcd04/conf.ts";
import { Log04Reader } from "../etcd04/log.ts";
import { chooseSnapshot04, readSnapshot04 } from "../etcd04/snapshot.ts";
import { FileCursor } from "../io/file-cursor.ts";
import { decodeAt, FormatError } from "../io/format-error.ts";
import type { Pacer } from "../pacer.ts";
import { loadNode04 } from "../replay/load.ts";
import { encodeAttributes, encodeRaftAttributes } from "../replay/member-directory.ts";
import type { Machine04 } from "../replay/replay04.ts";
import { CONFIG_PATH, MACHINES_PATH, Replay04 } from "../replay/replay04.ts";
import type { LoadedNode, ReplayStore } from "../replay/replay-store.ts";
import { EMPTY_LOAD } from "../replay/replay-store.ts";
import type { SourceNode } from "../store-json.ts";
import { describeTail } from "../tail.ts";
import { CLUSTER_ID_04, memberId04 } from "./ids04.ts";
import type { OpenedSource, ReplayResult, SourceMember, SourceOptions } from "./source.ts";

/** Terms rise by one: 0, which 0.4 used, means "none" to every later version. */
const TERM_OFFSET = 1;

/** @throws MigrateError when the directory must be refused. */
export function openSource04(source: Source04, options: SourceOptions): OpenedSource {
  refuseStandby(source);
  const choice =
    source.snapshotDir === undefined
      ? { path: undefined, damaged: [] }
      : chooseSnapshot04(source.snapshotDir, options.notice);
  return new OpenedSource04(source, options, choice.path, choice.damaged[0]);
}

function refuseStandby(source: Source04): void {
  const standby = readStandbyInfo(source.standbyPath);
  if (standby === undefined || (!standby.running && existsSync(source.logPath))) return;
  const machines = standby.cluster.map(({ name, peerUrl }) => `${name} (${peerUrl})`);
  throw new MigrateError(
    "unsupported",
    "belongs to a machine in standby: it holds no usable keys",
    {
      file: source.directory,
      remedy:
        machines.length === 0
          ? "take the directory of an active machine"
          : `take the directory of one of ${machines.join(", ")}`,
    },
  );
}

class OpenedSource04 implements OpenedSource {
  readonly format = "etcd 0.4";
  readonly #source: Source04;
  readonly #options: SourceOptions;
  readonly #snapshotPath: string | undefined;
  readonly #snapshotDamage: MigrateError | undefined;
  readonly #conf: Conf04 | undefined;
  readonly totalBytes: number;
  snapshotIndex = 0;
  #raftIndex = 0;
  #raftTerm = 0;

  constructor(
    source: Source04,
    options: SourceOptions,
    snapshotPath: string | undefined,
    snapshotDamage: MigrateError | undefined,
  ) {
    this.#source = source;
    this.#options = options;
    this.#snapshotPath = snapshotPath;
    this.#snapshotDamage = snapshotDamage;
    this.#conf = readConf04(source.confPath);
    const cursor = new FileCursor(source.logPath, 64);
    this.totalBytes = cursor.size;
    cursor.close();
  }

  async replay(store: ReplayStore, pacer: Pacer): Promise<ReplayResult> {
    if (this.#snapshotPath === undefined) await store.endLoad(EMPTY_LOAD);
    else await this.#load(this.#snapshotPath, store);
    const firstSync = this.#firstTimeSignal();
    if (firstSync !== undefined) store.setTime(firstSync);
    const replay = new Replay04(store);
    await this.#replayLog(replay, pacer);
    const machines = replay.machines();
    const own = this.#ownMachine(machines);
    if (machines.length > 1) this.#reportCommit(machines.length);
    const memberId = memberId04(own.raftUrl);
    return {
      memberId,
      clusterId: CLUSTER_ID_04,
      members: machines.map(toMember),
      removedIds: [],
      raftIndex: this.#raftIndex,
      raftTerm: this.#raftTerm,
      hardTerm: this.#raftTerm,
      vote: "0".repeat(16),
      clusterVersion: undefined,
      entriesApplied: replay.entries,
      entriesUncommitted: 0,
      v3Entries: 0,
    };
  }

  /**
   * 0.4 forgets the modified indexes of updated keys when it writes a snapshot, but the recent
   * events in it still know them: the events are read first, the nodes in a second reading.
   */
  async #load(path: string, store: ReplayStore): Promise<void> {
    const { document, lastIndex, lastTerm } = readSnapshot04(path, () => undefined);
    const updates = new Map<string, StoreEvent>();
    for (const event of document.events) updates.set(event.node.key, event);
    readSnapshot04(path, (node) => {
      loadNode04(store, withUpdate(node, updates.get(node.path)));
    });
    const events = document.events.map((event) => ({
      ...event,
      node: under1(event.node),
      prevNode: event.prevNode && under1(event.prevNode),
    }));
    this.snapshotIndex = lastIndex;
    this.#raftIndex = lastIndex;
    this.#raftTerm = lastTerm + TERM_OFFSET;
    await store.endLoad({
      etcdIndex: document.currentIndex,
      raftIndex: this.#raftIndex,
      raftTerm: this.#raftTerm,
      events,
    });
  }

  /** Time of the first time signal behind the snapshot, if the log gets that far unharmed. */
  #firstTimeSignal(): bigint | undefined {
    const cursor = new FileCursor(this.#source.logPath);
    try {
      const reader = new Log04Reader(cursor);
      for (let record = reader.next(); record !== undefined; record = reader.next()) {
        if (record.index <= this.snapshotIndex || record.name !== "etcd:sync") continue;
        const command = decodeCommand04(record, cursor.path);
        return command.kind === "sync" ? command.timeNs : undefined;
      }
      return undefined;
    } catch (error) {
      // The replay meets the same damage and says where it is.
      if (isDamage(error) || error instanceof FormatError) return undefined;
      throw error;
    } finally {
      cursor.close();
    }
  }

  async #replayLog(replay: Replay04, pacer: Pacer): Promise<void> {
    const cursor = new FileCursor(this.#source.logPath);
    const reader = new Log04Reader(cursor);
    try {
      for (let record = reader.next(); record !== undefined; record = reader.next()) {
        if (record.index <= this.snapshotIndex) continue;
        this.#checkContinuity(record.index, record.offset);
        const found = record;
        decodeAt(cursor.path, found.offset, () => {
          if (found.term + TERM_OFFSET < this.#raftTerm) {
            throw new FormatError(`term ${found.term} follows a higher one`);
          }
          const command = decodeCommand04(found, cursor.path);
          replay.apply(command, found.index, found.term + TERM_OFFSET);
        });
        this.#raftIndex = record.index;
        this.#raftTerm = record.term + TERM_OFFSET;
        if (pacer.due()) {
          this.#options.progress("replay", cursor.position, this.totalBytes);
          await pacer.pause();
        }
      }
      this.#reportTail(reader);
    } catch (error) {
      if (!this.#options.skipCorrupt || !isDamage(error)) throw error;
      const text = `${error.describe()}; everything from there on is left out`;
      this.#options.notice({ code: "dropped", text });
    } finally {
      cursor.close();
    }
  }

  #checkContinuity(index: number, offset: number): void {
    if (index === this.#raftIndex + 1) return;
    // The log starts behind what a damaged snapshot would have covered.
    if (this.#snapshotDamage !== undefined) throw this.#snapshotDamage;
    throw new MigrateError(
      "missing",
      `the log begins at index ${index}, but nothing covers what comes before ` +
        `(snapshot at ${this.snapshotIndex})`,
      { file: this.#source.logPath, offset },
    );
  }

  #reportTail(reader: Log04Reader): void {
    const { tail } = reader;
    if (tail === undefined) return;
    const code = tail.kind === "cutShort" ? "tornTail" : "zeroTail";
    this.#options.notice({ code, text: describeTail(tail), file: tail.file, offset: tail.offset });
  }

  #reportCommit(machines: number): void {
    this.#options.notice({
      code: "commitUnknown",
      text:
        `this cluster had ${machines} machines, and 0.4 does not record what was committed: the ` +
        "whole log is taken; its last entries may not have been acknowledged",
    });
  }

  /** The machine this directory belongs to: by the given name, or the one that is no peer. */
  #ownMachine(machines: readonly Machine04[]): Machine04 {
    const { name } = this.#options;
    const peers = this.#conf?.peers ?? [];
    const candidates =
      name !== undefined
        ? machines.filter((machine) => machine.name === name)
        : machines.filter((machine) => !peers.includes(machine.name));
    const own = candidates[0];
    if (own !== undefined && candidates.length === 1) return own;
    const known = machines.map((machine) => machine.name).join(", ");
    throw new MigrateError(
      "unsupported",
      "Couldn't figure out the node ID from the log or flags, cannot convert",
      {
        file: this.#source.directory,
        remedy: known === "" ? "the log knows no machine" : `name one of ${known} with --name`,
      },
    );
  }
}

/** The node with the modified index of its last update, if that is known. */
function withUpdate(node: SourceNode, last: StoreEvent | undefined): SourceNode {
  if (last === undefined || node.dir || last.node.createdIndex !== node.createdIndex) return node;
  return { ...node, modifiedIndex: Math.max(node.modifiedIndex, last.node.modifiedIndex) };
}

function under1(node: NodeExtern): NodeExtern {
  return { ...node, key: `/1${node.key}` };
}

function toMember(machine: Machine04): SourceMember {
  return {
    id: memberId04(machine.raftUrl),
    name: machine.name,
    peerUrls: [machine.raftUrl],
    clientUrls: machine.etcdUrl === "" ? [] : [machine.etcdUrl],
    isLearner: false,
  };
}

/** True for the nodes 0.4 keeps about its cluster, which become member records. */
export function isClusterNode04(path: string): boolean {
  return path === MACHINES_PATH || path.startsWith(`${MACHINES_PATH}/`) || path === CONFIG_PATH;
}

/** The member records under /0 that stand for the machines of a 0.4 cluster. */
export function memberNodes04(members: readonly SourceMember[]): readonly LoadedNode[] {
  const fixed = { createdIndex: 1, modifiedIndex: 1, expirationNs: undefined };
  const directory = (path: string): LoadedNode => ({ path, dir: true, value: "", ...fixed });
  const file = (path: string, value: string): LoadedNode => ({ path, dir: false, value, ...fixed });
  const nodes = [directory(MEMBERS_PATH)];
  for (const member of members) {
    const base = `${MEMBERS_PATH}/${formatId(member.id)}`;
    nodes.push(
      directory(base),
      file(`${base}/attributes`, encodeAttributes(member.name, member.clientUrls)),
      file(`${base}/raftAttributes`, encodeRaftAttributes(member)),
    );
  }
  return nodes;
}
