/**
 * Owns which members the transport holds links to: exactly the other members of the cluster, and
 * before the log names any, those known so far.
 */
import type { NodeId, Transport } from "@etcd2/raft";
import { bootstrapRecord } from "../cluster/bootstrap.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { MemberStorage } from "../storage/member-storage.ts";

export class PeerLinks {
  readonly #transport: Transport;
  readonly #storage: MemberStorage;
  readonly #cluster: Cluster;
  readonly #peers = new Set<NodeId>();

  constructor(transport: Transport, storage: MemberStorage, cluster: Cluster) {
    this.#transport = transport;
    this.#storage = storage;
    this.#cluster = cluster;
  }

  /** Adds and removes what the membership of now says. */
  sync(): void {
    const { members } = this.#cluster;
    const wanted = members.length > 0 ? members : bootstrapRecord(this.#storage).hosts;
    const ids = new Set(wanted.map((member) => member.id));
    for (const id of this.#peers) if (!ids.has(id)) this.remove(id);
    for (const member of wanted) this.add(member.id, member.peerURLs);
  }

  /** Holds a link to a member at these URLs from now on; this member itself is passed over. */
  add(id: NodeId, urls: readonly string[]): void {
    if (id === this.#storage.memberId) return;
    this.#peers.add(id);
    this.#transport.addPeer({ id, urls });
  }

  remove(id: NodeId): void {
    this.#peers.delete(id);
    this.#transport.removePeer(id);
  }

  /** Whether a link to this member is up. */
  isConnected(id: NodeId): boolean {
    return this.#transport.activeSince(id) > 0;
  }
}
