/**
 * The members of this cluster as the replicated store knows them, kept at hand between changes, and
 * how the v2 API shows them. Knows nothing of raft's log or of sockets.
 */
import type { Member } from "@etcd2/api-v2";
import type { ChangeRefusal, ClusterMember, MemberRecord } from "@etcd2/member-dir";
import { formatId, Membership } from "@etcd2/member-dir";
import type { ConfChange, NodeId } from "@etcd2/raft";
import type { StoreReader, WriteCommand } from "@etcd2/store";
import { fromByteString } from "@etcd2/store";

/** Membership over a store reader; call reload() after every applied change below /0. */
export class Cluster {
  readonly #readerOf: () => StoreReader;
  #membership: Membership;

  /** @param reader gives the reader of the state machine in use. */
  constructor(reader: () => StoreReader) {
    this.#readerOf = reader;
    this.#membership = Membership.read(reader());
  }

  /** Sorted by id. */
  get members(): readonly ClusterMember[] {
    return this.#membership.members;
  }

  get removedIds(): readonly NodeId[] {
    return this.#membership.removedIds;
  }

  get(id: NodeId): ClusterMember | undefined {
    return this.#membership.get(id);
  }

  isRemoved(id: NodeId): boolean {
    return this.#membership.isRemoved(id);
  }

  /** The cluster version, "" before it was decided. */
  get version(): string {
    return fromByteString(this.#readerOf().peek("/0/version")?.value ?? "");
  }

  /** Reads everything below /0 again. @throws StoreError corrupt. */
  reload(): void {
    this.#membership = Membership.read(this.#readerOf());
  }

  /** Why this change must not take effect; undefined when it holds. */
  refusal(change: ConfChange, member: MemberRecord | undefined): ChangeRefusal | undefined {
    return this.#membership.refusal(change, member);
  }

  /** What a change that holds does to the store. */
  writes(change: ConfChange, member: MemberRecord | undefined): readonly WriteCommand[] {
    return this.#membership.writes(change, member);
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
