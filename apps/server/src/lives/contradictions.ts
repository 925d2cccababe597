/**
 * Follows up messages that contradict the committed log of this member. A forged message must not
 * end a member, so the one in whose name it came is asked, where it is dialled: if its committed log
 * has another entry in that place indeed, there are two histories, and this member must not serve
 * its own any more. Until that is known, reads are not confirmed.
 */
import { fetchClusterInfo } from "@etcd2/raft";
import type { CommittedEntry, NodeId, PeerCredentials } from "@etcd2/raft";

const ASK_TIMEOUT_MS = 2000;
/** Nothing more was heard, and nothing was proved: reads go on. */
const CALM_MS = 3000;

export interface ContradictionsOptions {
  readonly clusterId: NodeId;
  readonly credentials: PeerCredentials | undefined;
  /** Asks a peer about the cluster. Default: over gRPC. */
  readonly ask?: typeof fetchClusterInfo | undefined;
  readonly peerUrls: (id: NodeId) => readonly string[];
  readonly holdReads: (isHeld: boolean) => void;
  /** Two committed logs differ at this entry; called once. */
  readonly onProved: (id: NodeId, entry: CommittedEntry, theirTerm: number) => void;
}

export class Contradictions {
  readonly #options: ContradictionsOptions;
  #isAsking = false;
  #isOver = false;
  #calm: NodeJS.Timeout | undefined;

  constructor(options: ContradictionsOptions) {
    this.#options = options;
  }

  /** A message in the name of this member contradicts this committed entry. */
  suspect(id: NodeId, entry: CommittedEntry): void {
    if (this.#isOver || this.#options.peerUrls(id).length === 0) return;
    this.#options.holdReads(true);
    clearTimeout(this.#calm);
    this.#calm = setTimeout(() => {
      this.#options.holdReads(false);
    }, CALM_MS).unref();
    if (this.#isAsking) return;
    this.#isAsking = true;
    void this.#ask(id, entry).finally(() => {
      this.#isAsking = false;
    });
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#calm);
  }

  async #ask(id: NodeId, entry: CommittedEntry): Promise<void> {
    const { credentials, clusterId, peerUrls, holdReads, onProved } = this.#options;
    const ask = this.#options.ask ?? fetchClusterInfo;
    for (const url of peerUrls(id)) {
      const info = await ask(url, {
        ...{ timeoutMs: ASK_TIMEOUT_MS, logIndex: entry.index },
        ...(credentials !== undefined && { credentials }),
      }).catch(() => undefined);
      if (this.#isOver) return;
      if (info === undefined || info.memberId !== id || info.clusterId !== clusterId) continue;
      // It has not committed that far yet, has forgotten the entry, or is too old to be asked.
      if (info.logTerm === undefined) return;
      if (info.logTerm === entry.term) {
        clearTimeout(this.#calm);
        holdReads(false);
        return;
      }
      this.close();
      onProved(id, entry, info.logTerm);
      return;
    }
  }
}
