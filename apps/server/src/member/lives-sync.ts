/**
 * Members count lives from when they learn of a node, so one that was away counts those of that time
 * too long, and would end them late if it came to lead. When a member has caught up that was away or
 * behind, and after an election, the leader says how much of each life is left, and everyone shortens
 * what is longer. It goes through the log but changes nothing that is replicated.
 */
import type { NodeId } from "@etcd2/raft";
import { EtcdError, type LivesCursor } from "@etcd2/store";
import type { Consensus } from "../consensus/consensus.ts";
import type { MemberStorage } from "../storage/member-storage.ts";

/** Lives told by one log entry, which is applied in one turn; the next follows when it is settled. */
const LIVES_BATCH_MAX = 128;

/** A member that takes longer to have what the leader has applied is behind. */
const BEHIND_MS = 1000;

/** A life that ends sooner is over before anybody else could lead. */
const LEFT_MIN_MS = 500;

export interface LivesSyncOptions {
  readonly consensus: Consensus;
  readonly storage: MemberStorage;
  /** Milliseconds on the monotonic clock since when the link to a member is up; 0 while it is down. */
  readonly activeSince: (id: NodeId) => number;
}

/** How far one member has come since the leader looked. */
interface Follower {
  /** When its link came up. */
  readonly since: number;
  /** What the leader had applied, and when that was. */
  readonly index: number;
  readonly at: number;
  /** It was not seen to have caught up yet. */
  readonly isNew: boolean;
}

export class LivesSync {
  readonly #options: LivesSyncOptions;
  readonly #followers = new Map<NodeId, Follower>();
  /** Somebody caught up since the walk under way began. */
  #isDue = false;
  #isWalking = false;
  #cursor: LivesCursor | undefined;
  #isProposing = false;
  #isClosed = false;

  constructor(options: LivesSyncOptions) {
    this.#options = options;
  }

  close(): void {
    this.#isClosed = true;
  }

  /** Goes on telling, or looks for somebody to tell. Call it regularly. */
  check(): void {
    const { consensus, storage } = this.#options;
    if (!consensus.node.isLeader) {
      this.#followers.clear();
      this.#isDue = false;
      this.#isWalking = false;
      return;
    }
    if (storage.machine.nextDeadline() === undefined) return;
    if (this.#someoneCaughtUp()) this.#isDue = true;
    if (this.#isProposing) return;
    if (!this.#isWalking) {
      if (!this.#isDue) return;
      this.#isDue = false;
      this.#isWalking = true;
      this.#cursor = undefined;
    }
    this.#tellNext();
  }

  /** Looks how far the others are. @returns Whether one has caught up that was away or behind. */
  #someoneCaughtUp(): boolean {
    const { consensus, storage, activeSince } = this.#options;
    const index = storage.machine.appliedIndex;
    const at = performance.now();
    let isOne = false;
    for (const [id, { match }] of consensus.node.status().progress) {
      if (id === storage.memberId) continue;
      const since = activeSince(id);
      const follower = this.#followers.get(id);
      if (since === 0) this.#followers.delete(id);
      else if (follower?.since !== since) {
        this.#followers.set(id, { since, index, at, isNew: true });
      } else if (match >= follower.index) {
        if (follower.isNew || at - follower.at > BEHIND_MS) isOne = true;
        this.#followers.set(id, { since, index, at, isNew: false });
      }
    }
    return isOne;
  }

  #tellNext(): void {
    const { consensus, storage } = this.#options;
    const page = storage.machine.livesLeft(LIVES_BATCH_MAX, this.#cursor);
    this.#cursor = page.next;
    this.#isWalking = page.next !== undefined;
    const lives = page.lives.filter(({ leftMs }) => leftMs >= LEFT_MIN_MS);
    if (lives.length === 0) return;
    this.#isProposing = true;
    consensus.requests.propose({ action: "expire", expired: [], lives }, (result) => {
      this.#isProposing = false;
      // After a refusal the walk goes on with the next check.
      if (result instanceof EtcdError || !this.#isWalking) return;
      setImmediate(() => {
        if (!this.#isClosed) this.check();
      });
    });
  }
}
