/**
 * The members of a cluster as the replicated store has them, and the one rule of what a committed
 * conf change does: whether it holds, and what it writes. Running members and the programs that
 * bring a store up to date without its server decide by it alike; otherwise their trees would
 * differ. Knows nothing of raft's log or of sockets.
 */
import type { ConfChange, NodeId } from "@etcd2/raft/wal";
import type { ByteString, StoreReader, WriteCommand } from "@etcd2/store";
import { fromByteString, StoreError } from "@etcd2/store";
import { decodeMemberChange } from "./member-change.ts";
import type { MemberRecord } from "./member-change.ts";
import { MEMBERS_PATH, memberWrites, REMOVED_PATH, removalWrites } from "./member-rows.ts";

/** A member as the store knows it. */
export interface ClusterMember extends MemberRecord {
  /** The published name; before that the configured one. */
  readonly name: string;
  readonly configuredName: string;
  /** The member has published its name and client URLs. */
  readonly started: boolean;
}

/** Why a committed conf change has no effect. */
export type ChangeRefusal = "removed" | "idExists" | "peerUrlExists" | "notFound" | "malformed";

/** A member that is forgotten because its document cannot be read would change who decides. */
function damaged(path: ByteString): StoreError {
  return new StoreError(
    "corrupt",
    `the member document ${path} is damaged: replace this member, or restore it from a backup`,
  );
}

/** The document; undefined when there is none. @throws StoreError corrupt. */
function parse(reader: StoreReader, path: ByteString): Record<string, unknown> | undefined {
  const node = reader.peek(path);
  if (node === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(fromByteString(node.value ?? ""));
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw damaged(path);
}

/** A list that may be left out. @throws StoreError corrupt. */
function strings(value: unknown, path: ByteString): string[] {
  if (value === undefined || value === null) return [];
  const isList = Array.isArray(value) && value.every((item) => typeof item === "string");
  if (!isList) throw damaged(path);
  return value;
}

/** The member an entry of a directory is named after. @throws StoreError corrupt. */
function idOf(path: ByteString): NodeId {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (!/^[0-9a-f]{1,16}$/.test(name)) throw damaged(path);
  return name.padStart(16, "0");
}

function string(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** The membership at one applied entry. */
export class Membership {
  readonly #members: ReadonlyMap<NodeId, ClusterMember>;
  readonly #removed: ReadonlySet<NodeId>;

  private constructor(members: ReadonlyMap<NodeId, ClusterMember>, removed: ReadonlySet<NodeId>) {
    this.#members = members;
    this.#removed = removed;
  }

  /** Reads everything below /0. @throws StoreError corrupt when a document does not decode. */
  static read(reader: StoreReader): Membership {
    const members: ClusterMember[] = [];
    for (const node of reader.peekChildren(MEMBERS_PATH)) {
      const paths = {
        raft: `${node.key}/raftAttributes`,
        attributes: `${node.key}/attributes`,
      };
      // Old servers could leave the attributes of a removed member behind.
      const raft = parse(reader, paths.raft);
      if (raft === undefined) continue;
      const configuredName = string(raft["name"]);
      const attributes = parse(reader, paths.attributes);
      members.push({
        id: idOf(node.key),
        peerURLs: strings(raft["peerURLs"], paths.raft),
        name: attributes === undefined ? configuredName : string(attributes["name"]),
        clientURLs: strings(attributes?.["clientURLs"], paths.attributes),
        isLearner: raft["isLearner"] === true,
        configuredName,
        started: attributes !== undefined,
      });
    }
    members.sort((a, b) => (a.id < b.id ? -1 : 1));
    const removed = reader.peekChildren(REMOVED_PATH).map((node) => idOf(node.key));
    return new Membership(new Map(members.map((member) => [member.id, member])), new Set(removed));
  }

  /** Sorted by id. */
  get members(): readonly ClusterMember[] {
    return [...this.#members.values()];
  }

  /** Ids that may never be used again. */
  get removedIds(): readonly NodeId[] {
    return [...this.#removed];
  }

  get(id: NodeId): ClusterMember | undefined {
    return this.#members.get(id);
  }

  isRemoved(id: NodeId): boolean {
    return this.#removed.has(id);
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
}

/** What a committed change writes to the store as it is: nothing when the change does not hold. */
export function confChangeWrites(change: ConfChange, reader: StoreReader): readonly WriteCommand[] {
  const membership = Membership.read(reader);
  const member = decodeMemberChange(change.context)?.member;
  return membership.refusal(change, member) === undefined ? membership.writes(change, member) : [];
}
