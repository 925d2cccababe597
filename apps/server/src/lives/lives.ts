/**
 * The data directories of this member and of the others, put together: what it says of its own, what
 * it remembers of theirs, and whether it may take part in elections. The transport asks it about
 * everybody who comes in; see PeerLives in libs/raft for the verdict.
 */
import type { Logger } from "@etcd2/observability";
import { formatId } from "@etcd2/member-dir";
import { PeerLives } from "@etcd2/raft";
import type {
  Life,
  LifeRegistry,
  Message,
  NodeId,
  Position,
  RaftNode,
  Term,
  Index,
} from "@etcd2/raft";
import type { Cluster } from "../cluster/cluster.ts";
import { Admission } from "./admission.ts";
import type { LifeFile } from "./life-file.ts";
import { PeersFile } from "./peers-file.ts";

/** How often what the others answer for is written down. */
const WRITE_INTERVAL_MS = 5000;

export interface LivesOptions {
  readonly life: LifeFile;
  /** Where the files are. */
  readonly memberDir: string;
  readonly memberId: NodeId;
  /** Term and end of the log as found on disk. */
  readonly found: { readonly term: Term; readonly lastIndex: Index };
  readonly cluster: Pick<Cluster, "get" | "isRemoved">;
  readonly voters: () => readonly NodeId[];
  /** Who has the raft node; asked from the first greeting on, not before. */
  readonly consensus: { readonly node: RaftNode };
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Logger;
  /** What must be remembered of the others cannot be written. */
  readonly onFatal: (error: Error) => void;
}

export class Lives implements LifeRegistry {
  readonly #options: LivesOptions;
  readonly #file: PeersFile;
  readonly #peers: PeerLives;
  readonly #admission: Admission;
  /** Members that let this one in since it started. */
  readonly #met = new Set<NodeId>();
  /** No leader has been known since the start. */
  #isLeaderless = true;
  #writtenAt: number;
  #writtenChanges = 0;
  #writing: Promise<void> | undefined;

  constructor(options: LivesOptions) {
    const { life, memberDir, memberId, found, cluster, consensus, now, log, voters } = options;
    this.#options = options;
    this.#file = new PeersFile(memberDir, log);
    this.#writtenAt = now();
    this.#peers = new PeerLives({
      remembered: this.#file.read().filter(([id]) => !cluster.isRemoved(id)),
      hasRun: (id) => cluster.get(id)?.started === true,
      acknowledgedBy: (id) => consensus.node.acknowledgedBy(id),
      onStart: () => {
        this.#write();
      },
    });
    this.#admission = new Admission({
      doubt: life.doubt,
      self: memberId,
      voters,
      logEnd: () => consensus.node.stableEnd,
      term: found.term,
      renounceVotes: (term) => {
        consensus.node.renounceVotes(term);
      },
      hasRenouncedVotes: (term) => consensus.node.hasRenouncedVotes(term),
      now,
      onAdmitted: () => {
        life.settle();
      },
      log,
      shownId: formatId,
    });
  }

  get own(): Life {
    const { life, found } = this.#options;
    const { incarnation, starts, session, doubt } = life;
    const { stableEnd: end, term: currentTerm } = this.#options.consensus.node;
    const isFounding = doubt === "founding";
    return { incarnation, starts, session, ...found, isFounding, end, currentTerm };
  }

  /** Whether this member may hear or say this about an election. */
  mayVote(message: Message): boolean {
    return this.#admission.permits(message);
  }

  /** Resolves when this member may vote, never otherwise. */
  get admitted(): Promise<unknown> {
    return this.#admission.admitted;
  }

  position(): Position {
    return this.#options.consensus.node.position;
  }

  validateLife(id: NodeId, life: Life): string | undefined {
    return this.#peers.validateLife(id, life);
  }

  greeted(id: NodeId, life: Life | undefined): void {
    if (life !== undefined) this.#peers.remember(id, life);
    this.#admission.greeted(id, life);
    this.#met.add(id);
    this.#campaignSoon();
  }

  /**
   * Until the first leader is known nobody waits out an election timeout: whoever may vote and
   * reaches a majority asks for pre-votes, again with each link, since an answer needs one too.
   */
  #campaignSoon(): void {
    const { consensus, memberId, voters } = this.#options;
    if (consensus.node.leader !== "") this.#isLeaderless = false;
    if (!this.#isLeaderless || !this.#admission.isAdmitted) return;
    const all = voters();
    const reached = all.filter((id) => id === memberId || this.#met.has(id));
    if (reached.length > all.length / 2) consensus.node.campaignSoon();
  }

  answersFor(id: NodeId, position: Position): void {
    this.#peers.answersFor(id, position);
  }

  /** A member was removed: its id does not come back. */
  forget(id: NodeId): void {
    this.#peers.forget(id);
  }

  /** To be called a few times a second. */
  look(): void {
    const wasAdmitted = this.#admission.isAdmitted;
    this.#admission.look();
    if (this.#admission.isAdmitted && !wasAdmitted) this.#campaignSoon();
    if (this.#options.now() - this.#writtenAt >= WRITE_INTERVAL_MS) this.#writeLater();
  }

  /** The last write of the files: the locks of the directory can be given back after this. */
  async close(): Promise<void> {
    await this.#writing;
    this.#write();
  }

  #write(): void {
    this.#writtenAt = this.#options.now();
    const { changes, entries } = this.#peers;
    if (changes === this.#writtenChanges) return;
    try {
      if (this.#file.write(entries)) this.#writtenChanges = changes;
    } catch (error) {
      this.#fail(error);
    }
  }

  #writeLater(): void {
    this.#writtenAt = this.#options.now();
    const { changes, entries } = this.#peers;
    if (this.#writing !== undefined || changes === this.#writtenChanges) return;
    this.#writing = this.#file.writeLater(entries).then(
      (isWritten) => {
        this.#writing = undefined;
        if (isWritten) this.#writtenChanges = changes;
      },
      (error: unknown) => {
        this.#writing = undefined;
        this.#fail(error);
      },
    );
  }

  /** Whoever is greeting somebody just now could take it for a fault of theirs. */
  #fail(error: unknown): void {
    this.#options.onFatal(error instanceof Error ? error : new Error(String(error)));
  }
}
