/**
 * The members of this cluster as the replicated store knows them: who there is, who was removed,
 * and which changes hold. It reads and writes the documents below /0 in etcd's own form, decides
 * whether a committed conf change is valid, and knows nothing of raft's log or of sockets.
 */
import type { ConfChange, NodeId } from "@etcd2/raft";
import type { ByteString, StoreReader, WriteCommand } from "@etcd2/store";
import {
  fromByteString,
  MEMBERS_PATH,
  memberWrites,
  REMOVED_PATH,
  removalWrites,
} from "@etcd2/store";
import type { Member } from "@etcd2/api-v2";
import { formatId } from "../base/ids.ts";

/** The member record a conf change carries. */
export interface MemberRecord {
  readonly id: NodeId;
  readonly peerURLs: readonly string[];
  readonly name: string;
  readonly clientURLs: readonly string[];
  readonly isLearner: boolean;
  /** What the configuration that founded the cluster calls it. */
  readonly configuredName?: string;
}

export interface ClusterMember extends MemberRecord {
  /** The published name; before that the configured one. */
  readonly name: string;
  readonly configuredName: string;
  /** The member has published its name and client URLs. */
  readonly started: boolean;
}

/** Why a committed conf change has no effect. */
export type ChangeRefusal = "removed" | "idExists" | "peerUrlExists" | "notFound" | "malformed";

function parse(bytes: ByteString | undefined): Record<string, unknown> | undefined {
  if (bytes === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(fromByteString(bytes));
    return typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function string(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Membership over a store reader; call reload() after every applied change below /0. */
export class Cluster {
  readonly #readerOf: () => StoreReader;
  #members = new Map<NodeId, ClusterMember>();
  #removed = new Set<NodeId>();

  /** @param reader gives the reader of the state machine in use. */
  constructor(reader: () => StoreReader) {
    this.#readerOf = reader;
    this.reload();
  }

  get #reader(): StoreReader {
    return this.#readerOf();
  }

  /** Sorted by id. */
  get members(): readonly ClusterMember[] {
    return [...this.#members.values()];
  }

  get removedIds(): readonly NodeId[] {
    return [...this.#removed];
  }

  get(id: NodeId): ClusterMember | undefined {
    return this.#members.get(id);
  }

  isRemoved(id: NodeId): boolean {
    return this.#removed.has(id);
  }

  /** The cluster version, "" before it was decided. */
  get version(): string {
    return fromByteString(this.#reader.peek("/0/version")?.value ?? "");
  }

  /** Reads everything below /0 again. */
  reload(): void {
    const members: ClusterMember[] = [];
    for (const node of this.#reader.peekChildren(MEMBERS_PATH)) {
      const id = node.key.slice(MEMBERS_PATH.length + 1);
      // Old servers could leave the attributes of a removed member behind.
      const raft = parse(this.#reader.peek(`${node.key}/raftAttributes`)?.value);
      if (raft === undefined) continue;
      const configuredName = string(raft["name"]);
      const attributes = parse(this.#reader.peek(`${node.key}/attributes`)?.value);
      members.push({
        id: id.padStart(16, "0"),
        peerURLs: strings(raft["peerURLs"]),
        name: attributes === undefined ? configuredName : string(attributes["name"]),
        clientURLs: strings(attributes?.["clientURLs"]),
        isLearner: raft["isLearner"] === true,
        configuredName,
        started: attributes !== undefined,
      });
    }
    members.sort((a, b) => (a.id < b.id ? -1 : 1));
    this.#members = new Map(members.map((member) => [member.id, member]));
    this.#removed = new Set(
      this.#reader
        .peekChildren(REMOVED_PATH)
        .map((node) => node.key.slice(REMOVED_PATH.length + 1).padStart(16, "0")),
    );
  }

  /** Why this change must not take effect; undefined when it holds. */
  refusal(change: ConfChange, member: MemberRecord | undefined): ChangeRefusal | undefined {
    const [single] = change.changes;
    if (single === undefined) return undefined;
    const id = single.nodeId;
    if (this.#removed.has(id)) return "removed";
    const known = this.#members.get(id);
    if (single.type === "remove") return known === undefined ? "notFound" : undefined;
    if (member === undefined) return "malformed";
    const promotes = single.type === "addVoter" && known?.isLearner === true;
    if (single.type === "update" || promotes) {
      if (known === undefined) return "notFound";
    } else if (known !== undefined) {
      return "idExists";
    }
    const others = [...this.#members.values()].filter((other) => other.id !== id);
    const taken = new Set(others.flatMap((other) => other.peerURLs));
    return member.peerURLs.some((url) => taken.has(url)) ? "peerUrlExists" : undefined;
  }

  /** What a change that holds does to the store. Joint leaves (no changes) do nothing. */
  writes(change: ConfChange, member: MemberRecord | undefined): readonly WriteCommand[] {
    const [single] = change.changes;
    if (single === undefined) return [];
    const id = single.nodeId;
    if (single.type === "remove") return removalWrites(id);
    if (member === undefined) return [];
    const known = this.#members.get(id);
    const isLearner =
      single.type === "addLearner" || (single.type === "update" && known?.isLearner === true);
    const row = known === undefined ? member : { ...member, configuredName: known.configuredName };
    return memberWrites(id, row, { isKnown: known !== undefined, isLearner });
  }

  /** Members as the v2 API shows them. */
  list(): Member[] {
    return this.members.map(toApiMember);
  }
}

export function toApiMember(member: ClusterMember): Member {
  return {
    id: formatId(member.id),
    name: member.name,
    peerURLs: member.peerURLs,
    clientURLs: member.clientURLs,
    isLearner: member.isLearner,
  };
}
