/**
 * Members count lives from when they learn of a node, so one that was away counts those of that time
 * too long, and would end them late if it came to lead. When a link to a member comes up and it
 * has caught up, and after an election, the leader says how much of each life is left, and everyone
 * shortens what is longer. It goes through the log but changes nothing that is replicated.
 */
import type { NodeId } from "@etcd2/raft";
import type { LivesCursor } from "@etcd2/store";
import type { EtcdServer } from "./etcd-server.ts";
import type { MemberStorage } from "../storage/member-storage.ts";

/** Lives told by one log entry; one entry at a time, and one in each check(). */
const LIVES_BATCH_MAX = 1000;

/** A life that ends sooner is over before anybody else could lead. */
const LEFT_MIN_MS = 500;

export interface LivesSyncOptions {
  readonly server: EtcdServer;
  readonly storage: MemberStorage;
  /** Milliseconds on the monotonic clock since when the link to a member is up; 0 while it is down. */
  readonly activeSince: (id: NodeId) => number;
}

export class LivesSync {
  readonly #options: LivesSyncOptions;
  /** Links whose members need not be told, by when they came up. */
  readonly #told = new Map<NodeId, number>();
  #isWalking = false;
  #cursor: LivesCursor | undefined;
  #isProposing = false;

  constructor(options: LivesSyncOptions) {
    this.#options = options;
  }

  /** Goes on telling, or looks for somebody to tell. Call it regularly. */
  check(): void {
    const { server, storage } = this.#options;
    if (!server.node.isLeader) {
      this.#told.clear();
      this.#isWalking = false;
      return;
    }
    if (this.#isProposing) return;
    if (!this.#isWalking) {
      if (storage.machine.nextDeadline() === undefined || !this.#someoneCaughtUp()) return;
      this.#isWalking = true;
      this.#cursor = undefined;
    }
    this.#tellNext();
  }

  /** Notes the links of members that have caught up. @returns Whether one is new. */
  #someoneCaughtUp(): boolean {
    const { server, storage, activeSince } = this.#options;
    const { appliedIndex } = storage.machine;
    let isNew = false;
    for (const [id, { match }] of server.node.status().progress) {
      if (id === storage.memberId) continue;
      const since = activeSince(id);
      if (since === 0) this.#told.delete(id);
      else if (this.#told.get(id) !== since && match >= appliedIndex) {
        this.#told.set(id, since);
        isNew = true;
      }
    }
    return isNew;
  }

  #tellNext(): void {
    const { server, storage } = this.#options;
    const page = storage.machine.livesLeft(LIVES_BATCH_MAX, this.#cursor);
    this.#cursor = page.next;
    this.#isWalking = page.next !== undefined;
    const lives = page.lives.filter(({ leftMs }) => leftMs >= LEFT_MIN_MS);
    if (lives.length === 0) return;
    this.#isProposing = true;
    server.proposeCommand({ action: "expire", expired: [], lives }, () => {
      this.#isProposing = false;
    });
  }
}
